// HubSpot's own Node SDK does what an integration does. Only its basePath is set.

import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { installed } from './common.mjs'

const BASE = (process.env.HUBSPOT_SIMULATOR_URL ?? 'http://127.0.0.1:4010').replace(/\/$/, '')
const RUN = randomUUID().slice(0, 8)
const DOMAIN = `${RUN}.example.com`
const ODD = `Zoë "${RUN}"\n🙂 <b>&amp;</b> O'Brien;x`
const APP = ['simulator-client-id', 'simulator-client-secret']
const REDIRECT = 'http://127.0.0.1/callback'
const provoked = {}

const sdk = () => createRequire(join(installed(join(import.meta.dirname, 'sdk_node')), 'package.json'))('@hubspot/api-client')

const step = (text) => console.log(`- ${text}`)

function exactlyOnce(got, wanted, what) {
  assert.equal(new Set(got).size, got.length, `${what}: some came twice`)
  assert.deepEqual([...got].sort(), [...wanted].sort(), what)
  console.log(`  ${got.length} ${what}, each once`)
}

/** The call is refused with this status; its body. `request` is as the simulator counts it. */
async function refused(request, status, call) {
  provoked[`${request} ${status}`] = (provoked[`${request} ${status}`] ?? 0) + 1
  const error = await call().then((answer) => assert.fail(`${request} answered ${JSON.stringify(answer)}`), (e) => e)
  assert.equal(error.code, status, `${request}: ${error}`)
  return error.body
}

async function until(seconds, ask) {
  const deadline = Date.now() + seconds * 1000
  for (;;) {
    const answer = await ask()
    if (answer) return answer
    assert.ok(Date.now() < deadline, `nothing came within ${seconds} s`)
    await new Promise((again) => setTimeout(again, 100))
  }
}

/** All pages of a call that takes `after`. */
async function pages(ask) {
  const found = []
  for (let after; ; ) {
    const page = await ask(after)
    found.push(...page.results)
    after = page.paging?.next?.after
    if (after === undefined) return found
  }
}

/** A portal of this run's own, through the control API. */
const portal = {
  id: 3_900_000_000 + Math.floor(Math.random() * 90_000_000),
  async control(method, path, body) {
    const url = `${BASE}/_simulator${path.startsWith('/') ? path : `/portals/${this.id}/${path}`}`.replace(/\/$/, '')
    const answer = await fetch(url, { method, body: body && JSON.stringify(body) })
    const text = await answer.text()
    assert.ok(answer.ok, `${method} ${path}: ${answer.status} ${text}`)
    return text && JSON.parse(text)
  },
  async live(kind) {
    const { results } = await this.control('GET', `records/${kind}?limit=10000`)
    return new Map(results.filter((r) => !r.archived).map((r) => [r.id, r]))
  },
  /** Live contacts of this run whose address begins so: address → id. */
  async ours(start) {
    const all = [...(await this.live('contacts')).values()].map((r) => [r.properties.email ?? '', r.id])
    return new Map(all.filter(([email]) => email.startsWith(start) && email.endsWith(DOMAIN)))
  },
}

async function contacts(api) {
  step('contacts: create, read, update, archive')
  const made = await api.basicApi.create({ properties: { email: `one@${DOMAIN}`, firstname: ODD, phone: '+1 555 0100' }, associations: [] })
  assert.equal(made.properties.firstname, ODD)
  assert.ok(/^\d+$/.test(made.id) && !made.archived && made.createdAt instanceof Date)
  const read = await api.basicApi.getById(made.id, ['firstname', 'phone', 'jobtitle', 'no_such_property'])
  assert.equal(read.properties.firstname, ODD)
  assert.equal(read.properties.jobtitle, null, 'a property without a value')
  assert.ok(!('no_such_property' in read.properties) && !('email' in read.properties), 'only what was asked for and exists')
  const changed = await api.basicApi.update(made.id, { properties: { jobtitle: 'Buyer' } })
  assert.ok(changed.updatedAt > made.updatedAt, 'an update moves the time of the last change')
  const again = await api.basicApi.getById(`one@${DOMAIN}`, ['jobtitle', 'phone', 'lastmodifieddate'], undefined, undefined, false, 'email')
  assert.deepEqual([again.id, again.properties.jobtitle, again.properties.phone], [made.id, 'Buyer', '+1 555 0100'])
  assert.deepEqual(new Date(again.properties.lastmodifieddate), again.updatedAt)
  const history = await api.basicApi.getById(made.id, undefined, ['jobtitle'])
  assert.equal(history.propertiesWithHistory.jobtitle[0].value, 'Buyer', 'the latest value of its history')

  step('contacts: what HubSpot refuses')
  const path = '/crm/v3/objects/contacts'
  const create = (properties) => () => api.basicApi.create({ properties, associations: [] })
  const conflict = await refused(`POST ${path}`, 409, create({ email: `ONE@${DOMAIN}` }))
  assert.equal(conflict.message, `Contact already exists. Existing ID: ${made.id}`)
  for (const [properties, code] of [
    [{ no_such_property: '1' }, 'PROPERTY_DOESNT_EXIST'],
    [{ email: 'nobody' }, 'INVALID_EMAIL'],
    [{ lifecyclestage: 'friend' }, 'INVALID_OPTION'],
    [{ hs_object_id: '1' }, 'READ_ONLY_VALUE'],
  ]) {
    const body = await refused(`POST ${path}`, 400, create({ firstname: 'x', ...properties }))
    assert.deepEqual([body.category, body.errors[0].code], ['VALIDATION_ERROR', code])
  }
  await api.basicApi.archive(made.id)
  await refused(`GET ${path}/*`, 404, () => api.basicApi.getById(made.id))
  const gone = await api.basicApi.getById(made.id, undefined, undefined, undefined, true)
  assert.ok(gone.archived && gone.archivedAt instanceof Date, 'an archived record is read as such')
}

async function batches(api) {
  step('batch: create, read, update, archive')
  const before = await portal.live('contacts')
  const inputs = Array.from({ length: 40 }, (_, n) => ({ properties: { email: `b${n}@${DOMAIN}`, lastname: `${RUN} ${n + 10}` }, associations: [] }))
  const made = await api.batchApi.create({ inputs })
  const ids = new Map(made.results.map((r) => [r.properties.email, r.id]))
  const now = [...(await portal.live('contacts')).keys()].filter((id) => !before.has(id))
  exactlyOnce([...ids.values()], now, 'created contacts')
  const asked = inputs.map((i) => ({ id: i.properties.email }))
  const read = await api.batchApi.read({ inputs: asked, idProperty: 'email', properties: ['email', 'lastname'], propertiesWithHistory: [] })
  const got = new Map(read.results.map((r) => [r.properties.email, [r.id, r.properties.lastname]]))
  assert.deepEqual(got.size, 40)
  for (const { properties } of inputs) assert.deepEqual(got.get(properties.email), [ids.get(properties.email), properties.lastname])
  const some = [...ids.values()]
  const partly = await api.batchApi.read({ inputs: [{ id: some[0] }, { id: '999' }], properties: ['email'], propertiesWithHistory: [] })
  assert.deepEqual([partly.results.length, partly.numErrors, partly.errors[0].category, partly.errors[0].context.ids], [1, 1, 'OBJECT_NOT_FOUND', ['999']])
  await api.batchApi.update({ inputs: some.map((id) => ({ id, properties: { city: `${RUN} ${id}` } })) })
  const known = await portal.live('contacts')
  for (const id of some) assert.equal(known.get(id).properties.city, `${RUN} ${id}`)
  await api.batchApi.archive({ inputs: some.slice(0, 10).map((id) => ({ id })) })

  step('lists of records: pages, archived ones')
  const all = await pages((after) => api.basicApi.getPage(37, after))
  exactlyOnce(all.map((r) => r.id), (await portal.live('contacts')).keys(), 'listed contacts of the portal')
  const gone = await pages((after) => api.basicApi.getPage(37, after, undefined, undefined, undefined, true))
  exactlyOnce(gone.map((r) => r.id).filter((id) => some.includes(id)), some.slice(0, 10), 'archived contacts of this run')

  step('batch: one bad row fails all of it, unless rows bear trace ids')
  const rows = [0, 1, 2].map((n) => ({ properties: { email: `t${n}@${DOMAIN}` }, associations: [] }))
  rows.push({ properties: { email: 'nobody' }, associations: [] })
  await refused('POST /crm/v3/objects/contacts/batch/create', 400, () => api.batchApi.create({ inputs: rows }))
  assert.equal((await portal.ours('t')).size, 0, 'nothing of it was written')
  const traced = await api.batchApi.create({ inputs: rows.map((row, n) => ({ ...row, objectWriteTraceId: `row ${n}` })) })
  assert.deepEqual([traced.results.length, traced.numErrors, traced.errors[0].context.objectWriteTraceId], [3, 1, ['row 3']])

  step('batch: upsert by address')
  const upsert = { inputs: [0, 1, 2, 3, 4].map((n) => ({ id: `t${n}@${DOMAIN}`, idProperty: 'email', properties: { city: `${RUN} up` } })) }
  const first = await api.batchApi.upsert(upsert)
  assert.deepEqual(first.results.map((r) => r._new).sort(), [false, false, false, true, true])
  exactlyOnce(first.results.map((r) => r.id), (await portal.ours('t')).values(), 'upserted contacts')
  const second = await api.batchApi.upsert(upsert)
  assert.ok(second.results.every((r) => !r._new), 'the second time all are there')
}

async function search(api) {
  step('search: filters, sorts, pages')
  const known = [...(await portal.live('contacts')).values()]
  const found = async (filters, more = {}) => {
    let total
    const results = await pages(async (after) => {
      const page = await api.searchApi.doSearch({ filterGroups: [{ filters }], limit: 50, ...more, ...(after && { after }) })
      total = page.total
      return page
    })
    assert.equal(total, results.length, 'the total and what came')
    return results
  }
  const mine = { propertyName: 'lastname', operator: 'CONTAINS_TOKEN', value: RUN }
  const want = known.filter((r) => r.properties.lastname?.includes(RUN)).map((r) => r.id)
  await until(30, async () => (await found([mine])).length === want.length)
  const hits = await found([mine], { limit: 7, sorts: ['-lastname'], properties: ['lastname'] })
  exactlyOnce(hits.map((r) => r.id), want, 'contacts by a word of their name, by pages of seven')
  const names = hits.map((r) => r.properties.lastname)
  assert.deepEqual(names, [...names].sort().reverse(), 'in descending order')
  for (const [operator, extra, test] of [
    ['EQ', { value: 'lead' }, (v) => v === 'lead'],
    ['IN', { values: ['lead', 'customer'] }, (v) => ['lead', 'customer'].includes(v)],
    ['HAS_PROPERTY', {}, (v) => Boolean(v)],
    ['NOT_HAS_PROPERTY', {}, (v) => !v],
  ]) {
    const hits = await found([{ propertyName: 'lifecyclestage', operator, ...extra }])
    exactlyOnce(hits.map((r) => r.id), known.filter((r) => test(r.properties.lifecyclestage)).map((r) => r.id), `contacts whose lifecycle stage passes ${operator}`)
  }
  const path = 'POST /crm/v3/objects/contacts/search'
  await refused(path, 400, () => found(Array(7).fill(mine)))
  await refused(path, 400, () => found([mine], { limit: 201 }))
}

async function associations(crm) {
  step('associations v4: create, read from both ends, archive')
  const { v4 } = crm.associations
  const spec = (associationTypeId, associationCategory = 'HUBSPOT_DEFINED') => [{ associationCategory, associationTypeId }]
  const company = await crm.companies.basicApi.create({ properties: { name: `${RUN} Ltd`, domain: DOMAIN }, associations: [] })
  const people = [...(await portal.ours('b')).values()].slice(0, 5)
  const deal = await crm.deals.basicApi.create({
    properties: { dealname: `${RUN} deal`, dealstage: 'appointmentscheduled', pipeline: 'default', amount: '1234.5' },
    associations: [{ to: { id: company.id }, types: spec(341) }],
  })
  const inline = await crm.deals.basicApi.getById(deal.id, ['amount'], undefined, ['companies'])
  assert.deepEqual([...new Set(inline.associations.companies.results.map((a) => a.id))], [company.id])
  assert.equal(inline.properties.amount, '1234.5', 'a number is text')
  await v4.basicApi.create('contacts', people[0], 'companies', company.id, spec(279))
  await v4.basicApi.createDefault('contacts', people[1], 'companies', company.id)
  await v4.batchApi.create('contacts', 'companies', { inputs: people.slice(2).map((id) => ({ _from: { id }, to: { id: company.id }, types: spec(279) })) })
  const back = await pages((after) => v4.basicApi.getPage('companies', company.id, 'contacts', after, 2))
  exactlyOnce(back.map((r) => String(r.toObjectId)), people, 'contacts of the company, by pages of two')
  assert.ok(back.every((r) => r.associationTypes.some((t) => t.typeId === 280)), 'by the type of that direction')
  const read = await v4.batchApi.getPage('contacts', 'companies', { inputs: people.map((id) => ({ id })) })
  assert.deepEqual(new Map(read.results.map((r) => [r._from.id, r.to.map((t) => String(t.toObjectId))])), new Map(people.map((id) => [id, [company.id]])))
  await v4.batchApi.archive('contacts', 'companies', { inputs: [{ _from: { id: people[0] }, to: [{ id: company.id }] }] })
  await v4.basicApi.archive('contacts', people[1], 'companies', company.id)
  const left = await crm.companies.basicApi.getById(company.id, undefined, undefined, ['contacts'])
  exactlyOnce([...new Set(left.associations.contacts.results.map((a) => a.id))], people.slice(2), 'contacts that are left')

  step('engagements: a note and a call with their associations')
  for (const [api, typeId, extra] of [
    [crm.objects.notes, 202, { hs_note_body: ODD }],
    [crm.objects.calls, 194, { hs_call_title: RUN, hs_call_duration: '61000', hs_call_status: 'COMPLETED' }],
  ]) {
    const made = await api.basicApi.create({ properties: { hs_timestamp: '2026-03-04T05:06:07.000Z', ...extra }, associations: [{ to: { id: people[2] }, types: spec(typeId) }] })
    const read = await api.basicApi.getById(made.id, ['hs_timestamp', ...Object.keys(extra)], undefined, ['contacts'])
    for (const [name, value] of Object.entries(extra)) assert.equal(read.properties[name], value)
    assert.equal(Date.parse(read.properties.hs_timestamp), Date.parse('2026-03-04T05:06:07.000Z'))
    assert.equal(read.associations.contacts.results[0].id, people[2])
  }
}

async function lists(crm) {
  step('lists: create, members, pages, search')
  const { listsApi, membershipsApi } = crm.lists
  const { list } = await listsApi.create({ name: `List ${RUN}`, objectTypeId: '0-1', processingType: 'MANUAL' })
  const people = [...(await portal.ours('b')).values()].slice(0, 12)
  const added = await membershipsApi.add(list.listId, [...people, '999'])
  assert.deepEqual(added.recordIdsMissing, ['999'])
  const members = await pages((after) => membershipsApi.getPage(list.listId, after, undefined, 5))
  exactlyOnce(members.map((m) => String(m.recordId)), people, 'members, by pages of five')
  await membershipsApi.remove(list.listId, people.slice(0, 4))
  const joined = await membershipsApi.getPageOrderedByAddedToListDate(list.listId)
  exactlyOnce(joined.results.map((m) => String(m.recordId)), people.slice(4), 'members that are left, by the time they joined')
  const hits = await listsApi.doSearch({ query: `List ${RUN}`, offset: 0, count: 10, additionalProperties: ['hs_list_size'] })
  assert.deepEqual(hits.lists.map((l) => [l.listId, l.additionalProperties.hs_list_size]), [[list.listId, '8']])
  const all = await listsApi.doSearch({ query: '', offset: 0, count: 500, additionalProperties: [] })
  assert.equal(all.total, (await portal.control('GET', '')).lists)
  const dynamic = all.lists.find((l) => l.processingType === 'DYNAMIC')
  await refused('PUT /crm/v3/lists/*/memberships/add', 400, () => membershipsApi.add(dynamic.listId, people))
  await listsApi.remove(list.listId)
  await refused('GET /crm/v3/lists/*', 404, () => listsApi.getById(list.listId))
}

async function definitions(crm) {
  step('properties, owners, pipelines')
  const name = `p_${RUN}`
  const options = [0, 1, 2].map((n) => ({ label: `Label ${n}`, value: `v${n}`, displayOrder: n, hidden: false }))
  const property = { name, label: 'Ours', type: 'enumeration', fieldType: 'select', groupName: 'contactinformation', options }
  await crm.properties.coreApi.create('contacts', property)
  await refused('POST /crm/v3/properties/contacts', 409, () => crm.properties.coreApi.create('contacts', property))
  await until(10, async () => (await crm.properties.coreApi.getAll('contacts')).results.some((p) => p.name === name))
  const made = await crm.contacts.basicApi.create({ properties: { firstname: RUN, [name]: 'v1' }, associations: [] })
  assert.equal((await crm.contacts.basicApi.getById(made.id, [name])).properties[name], 'v1')
  await crm.properties.coreApi.update('contacts', name, { options: options.slice(0, 2) })
  assert.deepEqual((await crm.properties.coreApi.getByName('contacts', name)).options.map((o) => o.value), ['v0', 'v1'])
  await refused('PATCH /crm/v3/objects/contacts/*', 400, () => crm.contacts.basicApi.update(made.id, { properties: { [name]: 'v2' } }))
  await crm.properties.coreApi.archive('contacts', name)
  await refused(`GET /crm/v3/properties/contacts/${name}`, 404, () => crm.properties.coreApi.getByName('contacts', name))

  const owners = await pages((after) => crm.owners.ownersApi.getPage(undefined, after, 4))
  const gone = (await crm.owners.ownersApi.getPage(undefined, undefined, 100, true)).results
  assert.equal(new Set([...owners, ...gone].map((o) => o.id)).size, (await portal.control('GET', '')).owners)
  assert.ok(owners.every((o) => !o.archived) && gone.length > 0 && gone.every((o) => o.archived))
  assert.equal((await crm.owners.ownersApi.getById(Number(owners[1].id))).email, owners[1].email)
  const pipeline = (await crm.pipelines.pipelinesApi.getAll('deals')).results.find((p) => p.id === 'default')
  const stages = Object.fromEntries(pipeline.stages.map((s) => [s.id, s.metadata]))
  assert.deepEqual([stages.closedwon.isClosed, stages.closedwon.probability, stages.closedlost.probability], ['true', '1.0', '0.0'])
}

async function oauth(Client) {
  step('OAuth: code, refresh, expiry, scopes, revocation')
  const client = new Client({ basePath: BASE, numberOfApiCallRetries: 0 })
  const scopes = ['crm.objects.contacts.read', 'oauth']
  const link = new URL(client.oauth.getAuthorizationUrl(APP[0], REDIRECT, scopes.join(' '), undefined, 'a state'))
  const form = new URLSearchParams({ ...Object.fromEntries(link.searchParams), portal_id: portal.id, decision: 'approve' })
  const answer = await fetch(`${BASE}/oauth/authorize/decision`, { method: 'POST', body: form, redirect: 'manual' })
  const back = new URL(answer.headers.get('location'))
  assert.equal(back.searchParams.get('state'), 'a state')
  const first = await client.oauth.tokensApi.create('authorization_code', back.searchParams.get('code'), REDIRECT, ...APP)
  client.setAccessToken(first.accessToken)
  const about = await client.oauth.accessTokensApi.get(first.accessToken)
  assert.deepEqual([about.hubId, about.scopes.sort()], [portal.id, scopes])
  assert.equal((await client.crm.contacts.basicApi.getPage(1)).results.length, 1)
  const missing = await refused('POST /crm/v3/objects/contacts', 403, () => client.crm.contacts.basicApi.create({ properties: { firstname: 'x' }, associations: [] }))
  assert.deepEqual([missing.category, missing.errors[0].context.requiredGranularScopes], ['MISSING_SCOPES', ['crm.objects.contacts.write']])
  await portal.control('POST', 'expire-tokens', {})
  const expired = await refused('GET /crm/v3/objects/contacts', 401, () => client.crm.contacts.basicApi.getPage(1))
  assert.equal(expired.category, 'EXPIRED_AUTHENTICATION')
  const refresh = (token) => client.oauth.tokensApi.create('refresh_token', undefined, undefined, ...APP, token)
  const second = await refresh(first.refreshToken)
  assert.notEqual(second.accessToken, first.accessToken)
  client.setAccessToken(second.accessToken)
  assert.equal((await client.crm.contacts.basicApi.getPage(1)).results.length, 1)
  await client.oauth.refreshTokensApi.archive(second.refreshToken)
  const error = await refresh(second.refreshToken).then(() => assert.fail('a revoked token was taken'), (e) => e)
  assert.deepEqual([error.code, error.body.status], [400, 'BAD_REFRESH_TOKEN'])
}

async function limits(Client, token) {
  step('limits: the SDK knows a 429 by its body, waits and asks again')
  await portal.control('PATCH', '', { limits: { search_secondly: 2 } })
  const client = new Client({ basePath: BASE, accessToken: token, numberOfApiCallRetries: 6 })
  const asked = await Promise.all([1, 2, 3, 4, 5].map(() => client.crm.contacts.searchApi.doSearch({ limit: 1 })))
  assert.ok(asked.every((page) => page.results.length === 1))
  const { by_status } = await portal.control('GET', 'counters')
  assert.ok(by_status[429] >= 1, 'a limit of two searches a second was met by five at once')
  provoked['POST /crm/v3/objects/contacts/search 429'] = by_status[429]
}

const { Client } = sdk()
await portal.control('POST', '/portals', { portal_id: portal.id, contacts: 150, companies: 30, deals: 20, lists: 5, owners: 15, limits: 'off', auto_companies: false })
const { token } = await portal.control('POST', 'service-keys', {})
const { crm } = new Client({ basePath: BASE, accessToken: token, numberOfApiCallRetries: 0 })
await contacts(crm.contacts)
await batches(crm.contacts)
await search(crm.contacts)
await associations(crm)
await lists(crm)
await definitions(crm)
await oauth(Client)
await limits(Client, token)
const { by_path, total } = await portal.control('GET', 'counters')
const refusedAll = Object.fromEntries(Object.entries(by_path).filter(([path]) => !/ 2\d\d$/.test(path)))
assert.deepEqual(refusedAll, provoked, 'statuses other than 2xx are those provoked')
console.log(`  ${total} requests, refused as provoked: ${Object.values(provoked).reduce((a, b) => a + b)}`)
await portal.control('DELETE', '')
console.log('OK')
