// Where axe-core is, which the browser tests put into pages.

import { join } from 'node:path'
import { installed } from '../conformance/common.mjs'

console.log(join(installed(join(import.meta.dirname, 'axe')), 'node_modules', 'axe-core', 'axe.min.js'))
console.log('OK')
