import {claimName} from '../../../src/session/naming.ts'
import {SessionStore} from '../../../src/session/state.ts'
import {toReport} from '../../../src/errors/mirrord-error.ts'
import {identify} from '../../../src/util/process.ts'

// A start that gets a name when its stdin ends, says which as JSON, and lives until it is killed.
const [root, program, wanted] = process.argv.slice(2) as [string, string, string?]
const store = new SessionStore(root, 'aaaaaaaa')
const directory = store.create()
process.stdout.write('ready\n')
process.stdin.resume()
await new Promise((resolve) => process.stdin.once('end', resolve))
try {
  const name = await claimName(store, directory, {program, wanted, launcher: identify(process.pid)!})
  process.stdout.write(`${JSON.stringify({name, id: directory.id})}\n`)
} catch (error) {
  process.stdout.write(`${JSON.stringify(toReport(error))}\n`)
}
setInterval(() => {}, 1e6)
