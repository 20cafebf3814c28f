// names.mjs HOST MISSING EMPTY: what Node makes of names, by the C library (lookup) and by its own resolver (c-ares, which reads
// resolv.conf itself), and the files that it reads; every line begins with `node`.
import dns from 'node:dns'
import {readFileSync} from 'node:fs'
import {promisify} from 'node:util'

const [host, missing, empty] = process.argv.slice(2)
const attempt = async (what, look, name) => {
  const result = await promisify(look)(name).catch((error) => error.code)
  console.log(`node ${what}`, String(result))
}
const lookup = (name, callback) => dns.lookup(name, (error, address) => callback(error, address))
await attempt('lookup', lookup, host)
await attempt('lookup missing', lookup, missing)
await attempt('lookup empty', lookup, empty)
await attempt('resolve4', dns.resolve4, host)
await attempt('resolve4 missing', dns.resolve4, missing)
await attempt('resolve4 empty', dns.resolve4, empty)
console.log('node servers', dns.getServers().join(' '))
for (const path of ['/etc/resolv.conf', '/etc/hosts'])
  for (const line of readFileSync(path, 'utf8').trim().split('\n'))
    console.log(`node ${path}: ${line.replaceAll('\t', ' ')}`)
