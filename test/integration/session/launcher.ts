import {mkdirSync, symlinkSync} from 'node:fs'
import path from 'node:path'
import {processSignals} from '../../../src/cli/signals.ts'
import {resolveConfig} from '../../../src/config/index.ts'
import {toReport} from '../../../src/errors/mirrord-error.ts'
import {startSession} from '../../../src/session/start.ts'

// Starts a session from the sources and prints the report of its failure as JSON.
const [program, foreground] = process.argv.slice(2) as [string, string]
const {config} = await resolveConfig({flags: {target: 'deployment/web'}, env: {}, cwd: '/'})
// The session's entry has the name that the build gives it, in a folder of this test.
const lib = path.join(process.env.HOME!, 'lib')
mkdirSync(path.join(lib, 'session'), {recursive: true})
symlinkSync(path.join(import.meta.dirname, '../../../src/session/main.ts'), path.join(lib, 'session/main.js'))
try {
  await startSession(
    {
      version: '0.0.0',
      config,
      warnings: [],
      words: [program, '1000'],
      cwd: '/',
      env: process.env,
      lib,
      foreground: foreground === 'true',
      intercept: false,
      wait: true,
    },
    {phase: () => {}, waiting: () => {}, warning: () => {}, ready: () => {}},
    processSignals,
  )
} catch (error) {
  process.stdout.write(JSON.stringify(toReport(error)))
}
