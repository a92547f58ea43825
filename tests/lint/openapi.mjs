// Redocly's linter finds nothing to say about the OpenAPI document of the running front door.

import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { installed } from '../conformance/common.mjs'

const here = import.meta.dirname
const url = process.env.HUBSPOT_SYNC_URL ?? 'http://127.0.0.1:8080'
const cli = join(installed(join(here, 'openapi')), 'node_modules', '@redocly', 'cli', 'bin', 'cli.js')
const folder = mkdtempSync(join(tmpdir(), 'openapi-'))
try {
  const document = join(folder, 'openapi.json')
  const answer = await fetch(`${url}/api/v1/openapi.json`)
  assert.equal(answer.status, 200)
  writeFileSync(document, await answer.text())
  const quiet = { ...process.env, REDOCLY_TELEMETRY: 'off', REDOCLY_SUPPRESS_UPDATE_NOTICE: 'true' }
  const lint = ['lint', document, '--config', join(here, 'redocly.yaml'), '--format', 'json', '--max-problems', '1000']
  let said
  try {
    said = execFileSync(process.execPath, [cli, ...lint], { cwd: folder, env: quiet, encoding: 'utf8' })
  } catch (error) {
    said = error.stdout // Errors end it with a status other than 0; what they are is on the way out.
    assert.ok(said, String(error))
  }
  const { totals, problems } = JSON.parse(said)
  const told = problems.map((p) => `${p.severity} ${p.ruleId}: ${p.message} at ${p.location?.[0]?.pointer}`)
  assert.deepEqual(totals, { errors: 0, warnings: 0, ignored: 0 }, told.join('\n'))
} finally {
  rmSync(folder, { recursive: true })
}
console.log('OK')
