// Entry of `npm run sandbox`: prepares this checkout, then runs the local cluster until Ctrl-C. Arguments are passed on.
import {spawn, spawnSync} from 'node:child_process'
import {existsSync} from 'node:fs'
import {fileURLToPath} from 'node:url'

const path = (relative) => fileURLToPath(new URL(relative, import.meta.url))

const setup = path('setup.mjs')
if (existsSync(setup)) {
  const {status} = spawnSync(process.execPath, [setup], {stdio: 'inherit'})
  if (status !== 0) process.exit(status ?? 1)
}

// The project's own Node, not the machine's: the sandbox is TypeScript that Node runs as it is.
const node = path('../node_modules/.bin/node')
const child = spawn(node, ['--no-warnings', path('../sandbox/main.ts'), ...process.argv.slice(2)], {stdio: 'inherit'})
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal))
child.on('error', (error) => {
  console.error(`The sandbox cannot be started with ${node}: ${error.message}. Run npm ci.`)
  process.exitCode = 1
})
child.on('exit', (code, signal) => {
  process.exitCode = code ?? (signal ? 1 : 0)
})
