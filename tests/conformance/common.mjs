// What the Node scripts share: an environment of their own.

import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { cpSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { homedir } from 'node:os'
import { basename, join } from 'node:path'

/** The folder where a package.json and its lock are installed: once for each lock, beside and then renamed. */
export function installed(here) {
  const below = process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache')
  const cache = process.env.CONFORMANCE_CACHE ?? join(below, 'hubspot-sync', 'conformance')
  const lock = readFileSync(join(here, 'package-lock.json'))
  const key = createHash('sha256').update(lock).update(process.version).digest('hex').slice(0, 12)
  const home = join(cache, `${basename(here)}-${key}`)
  if (existsSync(home)) return home
  const began = Date.now()
  const draft = `${home}.${process.pid}`
  console.log(`installing ${here} into ${home}`)
  mkdirSync(draft, { recursive: true })
  for (const file of ['package.json', 'package-lock.json']) cpSync(join(here, file), join(draft, file))
  execFileSync('npm', ['ci', '--no-audit', '--no-fund', '--ignore-scripts', '--silent'], { cwd: draft, stdio: 'inherit' })
  try {
    renameSync(draft, home)
  } catch {
    rmSync(draft, { recursive: true }) // Another run was faster.
  }
  console.log(`installed in ${Math.round((Date.now() - began) / 1000)} s`)
  return home
}
