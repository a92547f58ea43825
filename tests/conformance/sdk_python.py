"""HubSpot's own Python SDK does what an integration does. Only the host is set."""

import json
import uuid
from collections import Counter

import common

common.enter(__file__)

from hubspot import HubSpot  # noqa: E402
from hubspot.utils.oauth import get_auth_url  # noqa: E402
from common import equal, exactly_once, holds, step, until  # noqa: E402

RUN = uuid.uuid4().hex[:8]
DOMAIN = f"{RUN}.example.com"
ODD = f"Zoë \"{RUN}\"\n🙂 <b>&amp;</b> O'Brien;x"
PROVOKED = Counter()


def refused(request, status, call):
    """The call is refused with this status; its body. `request` is as the simulator counts it."""
    PROVOKED[f"{request} {status}"] += 1
    try:
        answer = call()
    except Exception as error:  # noqa: BLE001: each of the SDK's packages has a class of its own
        equal(getattr(error, "status", error), status, f"the status of {request}")
        return json.loads(error.body)
    holds(False, f"{request} was not refused but answered {answer}")


def plain(contact):
    return contact.properties


def contacts(api, portal):
    step("contacts: create, read, update, archive")
    made = api.basic_api.create({"properties": {"email": f"One@{DOMAIN}", "firstname": ODD, "phone": "+1 555 0100"}})
    equal(made.properties["firstname"], ODD, "the name comes back as it was sent")
    equal(made.properties["email"].lower(), f"one@{DOMAIN}", "the address comes back")
    holds(not made.archived and made.id.isdigit(), "a new record has an id and is not archived")
    read = api.basic_api.get_by_id(made.id, properties=["firstname", "phone", "jobtitle", "no_such_property"])
    equal(read.properties["firstname"], ODD, "the name, read")
    equal(read.properties["jobtitle"], None, "a property without a value")
    holds("no_such_property" not in read.properties, "an unknown property is left out")
    holds("email" not in read.properties, "only what was asked for comes")
    equal(read.created_at, made.created_at, "the time of creation")
    changed = api.basic_api.update(made.id, {"properties": {"jobtitle": "Buyer"}})
    holds(changed.updated_at > made.updated_at, "an update moves the time of the last change")
    again = api.basic_api.get_by_id(f"one@{DOMAIN}", id_property="email", properties=["jobtitle", "phone", "lastmodifieddate"])
    equal(again.id, made.id, "the same record by its address")
    equal((again.properties["jobtitle"], again.properties["phone"]), ("Buyer", "+1 555 0100"), "one changed, the other not")
    equal(common.moment(again.properties["lastmodifieddate"]), again.updated_at, "both times of the last change")
    api.basic_api.update(made.id, {"properties": {"phone": ""}})
    equal(api.basic_api.get_by_id(made.id, properties=["phone"]).properties["phone"], None, "a cleared property")

    step("contacts: what HubSpot refuses")
    objects = "/crm/v3/objects/contacts"
    body = refused(f"POST {objects}", 409, lambda: api.basic_api.create({"properties": {"email": f"ONE@{DOMAIN}"}}))
    equal(body["message"], f"Contact already exists. Existing ID: {made.id}", "the conflict names the record")
    equal(body["category"], "CONFLICT", "the category of a conflict")
    for properties, code in (
        ({"email": f"x@{DOMAIN}", "no_such_property": "1"}, "PROPERTY_DOESNT_EXIST"),
        ({"email": "nobody"}, "INVALID_EMAIL"),
        ({"email": f"x@{DOMAIN}", "lifecyclestage": "friend"}, "INVALID_OPTION"),
        ({"email": f"x@{DOMAIN}", "hs_object_id": "1"}, "READ_ONLY_VALUE"),
    ):
        body = refused(f"POST {objects}", 400, lambda p=properties: api.basic_api.create({"properties": p}))
        equal((body["category"], body["errors"][0]["code"]), ("VALIDATION_ERROR", code), f"the refusal of {properties}")
    refused(f"GET {objects}/*", 404, lambda: api.basic_api.get_by_id("999"))
    api.basic_api.archive(made.id)
    refused(f"GET {objects}/*", 404, lambda: api.basic_api.get_by_id(made.id))
    gone = api.basic_api.get_by_id(made.id, archived=True)
    holds(gone.archived and gone.archived_at is not None, "an archived record is read as such")
    equal(portal.records("contacts").get(made.id, {}).get("archived"), True, "and is archived in the portal")


def batches(api, portal):
    step("batch: create, read, update, archive")
    before = set(portal.live("contacts"))
    inputs = [{"properties": {"email": f"b{n}@{DOMAIN}", "lastname": f"{RUN} {n:02}"}} for n in range(40)]
    made = api.batch_api.create({"inputs": inputs})
    equal((made.status, len(made.results)), ("COMPLETE", 40), "the answer to the batch")
    ids = {r.properties["email"]: r.id for r in made.results}
    exactly_once(list(ids.values()), set(portal.live("contacts")) - before, "created contacts")
    wanted = [{"id": i["properties"]["email"]} for i in inputs]
    read = api.batch_api.read({"inputs": wanted, "idProperty": "email", "properties": ["email", "lastname"], "propertiesWithHistory": []})
    for record in read.results:
        number = int(record.properties["email"].split("@")[0][1:])
        equal((record.id, record.properties["lastname"]), (ids[f"b{number}@{DOMAIN}"], f"{RUN} {number:02}"), "each by its address")
    equal(len(read.results), 40, "all were read")
    some = list(ids.values())
    partly = api.batch_api.read({"inputs": [{"id": some[0]}, {"id": "999"}], "properties": ["email"], "propertiesWithHistory": []})
    equal((len(partly.results), partly.num_errors), (1, 1), "one is there, one is not")
    equal((partly.errors[0].category, partly.errors[0].context["ids"]), ("OBJECT_NOT_FOUND", ["999"]), "the missing one is named")
    api.batch_api.update({"inputs": [{"id": i, "properties": {"city": f"{RUN} {i}"}} for i in some]})
    known = portal.live("contacts")
    equal({i: known[i]["properties"]["city"] for i in some}, {i: f"{RUN} {i}" for i in some}, "each got its own value")
    api.batch_api.archive({"inputs": [{"id": i} for i in some[:10]]})

    step("lists of records: pages, archived ones, associations")
    listed = [c for c in everything(api, properties=["email"]) if c.properties["email"].endswith(DOMAIN)]
    exactly_once([c.id for c in listed], set(some[10:]), "listed contacts of this run")
    gone = everything(api, archived=True, properties=["email"])
    exactly_once([c.id for c in gone if c.id in some], set(some[:10]), "archived contacts of this run")
    exactly_once([c.id for c in everything(api)], set(portal.live("contacts")), "listed contacts of the portal")

    step("batch: one bad row fails all of it, unless rows bear trace ids")
    rows = [{"properties": {"email": f"t{n}@{DOMAIN}"}} for n in range(3)] + [{"properties": {"email": "nobody"}}]
    refused("POST /crm/v3/objects/contacts/batch/create", 400, lambda: api.batch_api.create({"inputs": rows}))
    equal(by_email(portal, "t"), {}, "nothing of it was written")
    traced = [{**row, "objectWriteTraceId": f"row {n}"} for n, row in enumerate(rows)]
    partly = api.batch_api.create({"inputs": traced})
    equal((len(partly.results), partly.num_errors), (3, 1), "three were made, one was not")
    equal(partly.errors[0].context["objectWriteTraceId"], ["row 3"], "the bad row is named")
    equal(len(by_email(portal, "t")), 3, "and so it is in the portal")

    step("batch: upsert by address")
    rows = [{"id": f"t{n}@{DOMAIN}", "idProperty": "email", "properties": {"city": f"{RUN} up"}} for n in range(5)]
    done = api.batch_api.upsert({"inputs": rows})
    equal(sorted(r.new for r in done.results), [False] * 3 + [True] * 2, "three were there, two are new")
    equal({r.id for r in done.results}, set(by_email(portal, "t").values()), "the records in the portal")
    done = api.batch_api.upsert({"inputs": rows})
    equal([r.new for r in done.results], [False] * 5, "the second time all are there")


def by_email(portal, start):
    """Live contacts of this run by address."""
    emails = ((r["properties"].get("email") or "", i) for i, r in portal.live("contacts").items())
    return {email: i for email, i in emails if email.startswith(start) and email.endswith(DOMAIN)}


def everything(api, **wanted):
    """All pages of a list."""
    found, after = [], None
    while True:
        page = api.basic_api.get_page(limit=37, after=after, **wanted)
        found += page.results
        if page.paging is None:
            return found
        after = page.paging.next.after


def search(api, portal):
    step("search: filters, sorts, pages")
    known = portal.live("contacts")

    def found(*filters, limit=7, **more):
        """All pages of a search, which may lag behind writes."""
        results, after = [], None
        while True:
            asked = {"filterGroups": [{"filters": list(filters)}], "limit": limit, **more}
            page = api.search_api.do_search(asked | ({"after": after} if after else {}))
            results += page.results
            if page.paging is None:
                equal(page.total, len(results), "the total and what came")
                return results
            equal(len(page.results), limit, "a page that is not the last is full")
            after = page.paging.next.after

    mine = {"propertyName": "lastname", "operator": "CONTAINS_TOKEN", "value": RUN}
    want = {i for i, r in known.items() if RUN in (r["properties"].get("lastname") or "")}
    until(30, lambda: {r.id for r in found(mine)} == want)
    hits = found(mine, sorts=[{"propertyName": "lastname", "direction": "DESCENDING"}], properties=["lastname"])
    exactly_once([r.id for r in hits], want, "contacts by a word of their name")
    names = [r.properties["lastname"] for r in hits]
    equal(names, sorted(names, reverse=True), "in descending order")
    holds("email" not in hits[0].properties, "only what was asked for comes")
    for operator, extra, test in (
        ("EQ", {"value": "lead"}, lambda v: v == "lead"),
        ("IN", {"values": ["lead", "customer"]}, lambda v: v in ("lead", "customer")),
        ("HAS_PROPERTY", {}, bool),
        ("NOT_HAS_PROPERTY", {}, lambda v: not v),
    ):
        hits = found({"propertyName": "lifecyclestage", "operator": operator, **extra}, limit=100)
        want = {i for i, r in known.items() if test(r["properties"].get("lifecyclestage"))}
        exactly_once([r.id for r in hits], want, f"contacts whose lifecycle stage passes {operator}")
    middle = sorted(r["updatedAt"] for r in known.values())[len(known) // 2]
    hits = found({"propertyName": "lastmodifieddate", "operator": "GTE", "value": str(milliseconds(middle))}, limit=100)
    exactly_once([r.id for r in hits], {i for i, r in known.items() if r["updatedAt"] >= middle}, "contacts changed since a time")
    path = "POST /crm/v3/objects/contacts/search"
    refused(path, 400, lambda: found(*[mine] * 7))
    refused(path, 400, lambda: found({**mine, "propertyName": "no_such_property"}))
    refused(path, 400, lambda: api.search_api.do_search({"limit": 201}))
    refused(path, 400, lambda: api.search_api.do_search({"limit": 100, "after": "10000"}))


def milliseconds(text):
    return round(common.moment(text).timestamp() * 1000)


def associations(crm, portal):
    step("associations v4: create, read from both ends, labels, archive")
    v4 = crm.associations.v4
    company = crm.companies.basic_api.create({"properties": {"name": f"{RUN} Ltd", "domain": f"www.{DOMAIN}"}})
    people = list(by_email(portal, "b").values())[:5]
    deal_types = [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 341}]
    deal = crm.deals.basic_api.create({
        "properties": {"dealname": f"{RUN} deal", "dealstage": "appointmentscheduled", "pipeline": "default", "amount": "1234.5"},
        "associations": [{"to": {"id": company.id}, "types": deal_types}],
    })
    inline = crm.deals.basic_api.get_by_id(deal.id, associations=["companies"], properties=["amount"])
    equal({a.id for a in inline.associations["companies"].results}, {company.id}, "the company that the deal was made with")
    equal(inline.properties["amount"], "1234.5", "a number is text")
    v4.basic_api.create("contacts", people[0], "companies", company.id, [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 279}])
    v4.basic_api.create_default("contacts", people[1], "companies", company.id)
    pairs = [{"from": {"id": p}, "to": {"id": company.id}, "types": [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 279}]} for p in people[2:]]
    v4.batch_api.create("contacts", "companies", {"inputs": pairs})
    back, after = [], None
    while True:
        page = v4.basic_api.get_page("companies", company.id, "contacts", limit=2, after=after)
        back += page.results
        if page.paging is None:
            break
        after = page.paging.next.after
    exactly_once([str(r.to_object_id) for r in back], set(people), "contacts of the company, by pages of two")
    holds(all(280 in {t.type_id for t in r.association_types} for r in back), "each by the type of that direction")
    read = v4.batch_api.get_page("contacts", "companies", {"inputs": [{"id": p} for p in people]})
    got = {r._from.id: {str(t.to_object_id) for t in r.to} for r in read.results}
    equal(got, {p: {company.id} for p in people}, "the company of each contact")
    v4.batch_api.archive("contacts", "companies", {"inputs": [{"from": {"id": people[0]}, "to": [{"id": company.id}]}]})
    v4.basic_api.archive("contacts", people[1], "companies", company.id)
    left = crm.companies.basic_api.get_by_id(company.id, associations=["contacts"])
    equal({a.id for a in left.associations["contacts"].results}, set(people[2:]), "those who are left, read inline")
    labels = v4.schema.definitions_api.get_all("contacts", "companies").results
    holds({1, 279} <= {t.type_id for t in labels}, "the types of HubSpot are defined")
    label = v4.schema.definitions_api.create("contacts", "companies", {"label": f"Advisor {RUN}", "name": f"advisor_{RUN}"}).results[0]
    spec = [{"associationCategory": "USER_DEFINED", "associationTypeId": label.type_id}]
    v4.basic_api.create("contacts", people[0], "companies", company.id, spec)
    types = v4.basic_api.get_page("contacts", people[0], "companies").results[0].association_types
    holds((label.type_id, f"Advisor {RUN}") in {(t.type_id, t.label) for t in types}, "a label of the portal's own")

    step("engagements: a note and a call with their associations")
    when = "2026-03-04T05:06:07.000Z"
    for api, kind, type_id, extra in (
        (crm.objects.notes, "notes", 202, {"hs_note_body": ODD}),
        (crm.objects.calls, "calls", 194, {"hs_call_title": RUN, "hs_call_duration": "61000", "hs_call_status": "COMPLETED"}),
    ):
        to = [{"to": {"id": people[2]}, "types": [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": type_id}]}]
        made = api.basic_api.create({"properties": {"hs_timestamp": when, **extra}, "associations": to})
        read = api.basic_api.get_by_id(made.id, properties=["hs_timestamp", *extra], associations=["contacts"])
        equal({k: read.properties[k] for k in extra}, extra, f"the content of {kind}")
        equal(common.moment(read.properties["hs_timestamp"]), common.moment(when), f"the time of {kind}")
        equal({a.id for a in read.associations["contacts"].results}, {people[2]}, f"the contact of {kind}")


def lists(crm, portal):
    step("lists: create, search, members, pages")
    api, members = crm.lists.lists_api, crm.lists.memberships_api
    made = api.create({"name": f"List {RUN}", "objectTypeId": "0-1", "processingType": "MANUAL"}).list
    people = sorted(by_email(portal, "b").values())[:12]
    done = members.add(made.list_id, [*people, "999"])
    equal(done.record_ids_missing, ["999"], "who does not exist is told")
    found, after = [], None
    while True:
        page = members.get_page(made.list_id, limit=5, after=after)
        found += page.results
        if page.paging is None or page.paging.next is None:
            break
        after = page.paging.next.after
    exactly_once([str(m.record_id) for m in found], set(people), "members, by pages of five")
    members.remove(made.list_id, people[:4])
    equal({str(m.record_id) for m in members.get_page(made.list_id).results}, set(people[4:]), "members after a removal")
    belongs = members.get_lists("0-1", people[5]).results
    holds(made.list_id in {m.list_id for m in belongs}, "the lists of a record")
    hits = api.do_search({"query": f"List {RUN}", "offset": 0, "count": 10, "additionalProperties": ["hs_list_size"]})
    equal([(hit.list_id, hit.additional_properties["hs_list_size"]) for hit in hits.lists], [(made.list_id, "8")], "the list, searched for")
    every, offset = [], 0
    while True:
        page = api.do_search({"offset": offset, "count": 2, "query": "", "additionalProperties": []})
        every += page.lists
        if not page.has_more:
            break
        offset = page.offset
    equal(len({one.list_id for one in every}), portal.control("GET", "")["lists"], "all lists, by pages of two")
    dynamic = next(one for one in every if one.processing_type == "DYNAMIC")
    path = "PUT /crm/v3/lists/*/memberships/add"
    refused(path, 400, lambda: members.add(dynamic.list_id, people))
    api.remove(made.list_id)
    refused("GET /crm/v3/lists/*", 404, lambda: api.get_by_id(made.list_id))


def properties(crm):
    step("properties: create, read, use, change, archive")
    api = crm.properties.core_api
    name = f"p_{RUN}"
    options = [{"label": f"Label {n}", "value": f"v{n}", "displayOrder": n, "hidden": False} for n in range(3)]
    group = {g.name for g in crm.properties.groups_api.get_all("contacts").results}
    holds("contactinformation" in group, "the group of contacts")
    api.create("contacts", {"name": name, "label": "Ours", "type": "enumeration", "fieldType": "select", "groupName": "contactinformation", "options": options})
    body = refused("POST /crm/v3/properties/contacts", 409, lambda: api.create("contacts", {"name": name, "label": "Ours", "type": "string", "fieldType": "text", "groupName": "contactinformation"}))
    equal(body["category"], "OBJECT_ALREADY_EXISTS", "a name is given once")
    seen = until(10, lambda: next((p for p in api.get_all("contacts").results if p.name == name), None))
    equal(([o.value for o in seen.options], seen.type, seen.has_unique_value), (["v0", "v1", "v2"], "enumeration", False), "the definition")
    made = crm.contacts.basic_api.create({"properties": {"email": f"p@{DOMAIN}", name: "v1"}})
    equal(crm.contacts.basic_api.get_by_id(made.id, properties=[name]).properties[name], "v1", "a value of our own property")
    api.update("contacts", name, {"label": "Ours, changed", "options": options[:2]})
    equal([o.value for o in api.get_by_name("contacts", name).options], ["v0", "v1"], "the options were replaced")
    refused("PATCH /crm/v3/objects/contacts/*", 400, lambda: crm.contacts.basic_api.update(made.id, {"properties": {name: "v2"}}))
    api.archive("contacts", name)
    refused(f"GET /crm/v3/properties/contacts/{name}", 404, lambda: api.get_by_name("contacts", name))

    step("properties: a unique one is a key for reads and upserts")
    key = f"key_{RUN}"
    api.create("companies", {"name": key, "label": "Key", "type": "string", "fieldType": "text", "groupName": "companyinformation", "hasUniqueValue": True})
    until(10, lambda: key in {p.name for p in api.get_all("companies").results})
    rows = [{"id": f"k{n}", "idProperty": key, "properties": {"name": f"{RUN} {n}"}} for n in range(3)]
    first = crm.companies.batch_api.upsert({"inputs": rows})
    equal([r.new for r in first.results], [True] * 3, "three new companies")
    second = crm.companies.batch_api.upsert({"inputs": [{**r, "properties": {"city": "Oslo"}} for r in rows]})
    equal({r.id for r in second.results}, {r.id for r in first.results}, "the same three again")
    by_key = crm.companies.basic_api.get_by_id("k1", id_property=key, properties=["name", "city", key])
    equal([by_key.properties[n] for n in ("name", "city", key)], [f"{RUN} 1", "Oslo", "k1"], "one by its key")
    body = refused("POST /crm/v3/objects/companies", 400, lambda: crm.companies.basic_api.create({"properties": {"name": "Twin", key: "k1"}}))
    holds("k1" in body["message"] or "CONFLICT" in json.dumps(body), "the value that is taken")


def owners_and_pipelines(crm, portal):
    step("owners and pipelines")
    api = crm.owners.owners_api
    found, after = [], None
    while True:
        page = api.get_page(limit=4, after=after)
        found += page.results
        if page.paging is None:
            break
        after = page.paging.next.after
    gone = api.get_page(archived=True).results
    equal((len({o.id for o in found}), len(gone)), (len(found), portal.control("GET", "")["owners"] - len(found)), "active and archived owners")
    holds(not any(o.archived for o in found) and all(o.archived and o.user_id is None for o in gone), "each on its side")
    one = api.get_page(email=found[0].email).results
    equal([o.id for o in one], [found[0].id], "an owner by address")
    equal(api.get_by_id(found[1].id).email, found[1].email, "an owner by id")
    equal(api.get_by_id(found[1].user_id, id_property="userId").id, found[1].id, "an owner by user id")
    refused("POST /crm/v3/objects/contacts", 400, lambda: crm.contacts.basic_api.create({"properties": {"email": f"o@{DOMAIN}", "hubspot_owner_id": str(found[0].user_id)}}))
    [pipeline] = [p for p in crm.pipelines.pipelines_api.get_all("deals").results if p.id == "default"]
    stages = {s.id: s.metadata for s in pipeline.stages}
    equal((stages["closedwon"]["isClosed"], stages["closedwon"]["probability"]), ("true", "1.0"), "the won stage")
    equal((stages["closedlost"]["isClosed"], stages["closedlost"]["probability"]), ("true", "0.0"), "the lost stage")
    same = crm.pipelines.pipeline_stages_api.get_all("deals", "default").results
    equal({s.id for s in same}, set(stages), "stages, asked for by themselves")


def merge_and_erase(crm, portal):
    step("contacts: merge to a new id, erase")
    a, b, *_ = sorted(by_email(portal, "t").values())
    merged = crm.contacts.basic_api.merge({"primaryObjectId": a, "objectIdToMerge": b})
    holds(merged.id not in (a, b), "the merged record has an id of its own")
    for old in (a, b):
        equal(crm.contacts.basic_api.get_by_id(old).id, merged.id, "an old id leads to it")
    holds(not {a, b} & set(portal.live("contacts")), "the old records are gone")
    crm.contacts.basic_api.purge({"objectId": merged.id})
    refused("GET /crm/v3/objects/contacts/*", 404, lambda: crm.contacts.basic_api.get_by_id(merged.id))
    refused("GET /crm/v3/objects/contacts/*", 404, lambda: crm.contacts.basic_api.get_by_id(merged.id, archived=True))


def oauth(portal):
    step("OAuth: code, refresh, expiry, scopes, revocation")
    scopes = ("crm.objects.contacts.read", "oauth")
    link = get_auth_url(common.CLIENT_ID, common.REDIRECT, scopes, state="s")
    hub = HubSpot(host=portal.base)
    app = {"client_id": common.CLIENT_ID, "client_secret": common.CLIENT_SECRET}
    first = hub.oauth.tokens_api.create(
        grant_type="authorization_code", code=portal.approve(link), redirect_uri=common.REDIRECT, **app
    )
    hub.access_token = first.access_token
    about = hub.oauth.access_tokens_api.get(first.access_token)
    equal((about.hub_id, sorted(about.scopes)), (portal.id, sorted(scopes)), "what the token is for")
    holds(hub.crm.contacts.basic_api.get_page(limit=1).results, "the token reads contacts")
    body = refused("POST /crm/v3/objects/contacts", 403, lambda: hub.crm.contacts.basic_api.create({"properties": {"email": f"n@{DOMAIN}"}}))
    equal((body["category"], body["errors"][0]["context"]["requiredGranularScopes"]), ("MISSING_SCOPES", ["crm.objects.contacts.write"]), "the missing scope")
    portal.control("POST", "expire-tokens", {})
    body = refused("GET /crm/v3/objects/contacts", 401, lambda: hub.crm.contacts.basic_api.get_page(limit=1))
    equal(body["category"], "EXPIRED_AUTHENTICATION", "an expired token")
    second = hub.oauth.tokens_api.create(grant_type="refresh_token", refresh_token=first.refresh_token, **app)
    holds(second.access_token != first.access_token, "another token")
    hub.access_token = second.access_token
    holds(hub.crm.contacts.basic_api.get_page(limit=1).results, "the new token reads contacts")
    hub.oauth.refresh_tokens_api.archive(second.refresh_token)
    # The portal of a refresh token that is not known is not known either: nothing is counted.
    body = refused("", 400, lambda: hub.oauth.tokens_api.create(grant_type="refresh_token", refresh_token=second.refresh_token, **app))
    equal(body["status"], "BAD_REFRESH_TOKEN", "a revoked token")
    del PROVOKED[" 400"]


def main():
    portal = common.Portal(contacts=150, companies=30, deals=20, lists=5, owners=15, limits="off", auto_companies=False, property_delay_ms=300)
    crm = HubSpot(access_token=portal.service_key(), host=portal.base).crm
    contacts(crm.contacts, portal)
    batches(crm.contacts, portal)
    search(crm.contacts, portal)
    associations(crm, portal)
    lists(crm, portal)
    properties(crm)
    owners_and_pipelines(crm, portal)
    merge_and_erase(crm, portal)
    oauth(portal)
    portal.finish(dict(PROVOKED))


if __name__ == "__main__":
    main()
