import {execFile} from 'node:child_process'
import {join} from 'node:path'
import {promisify} from 'node:util'
import {beforeAll, expect, it} from 'vitest'
import {buildTrap, python, trapPath} from './harness.ts'

const run = promisify(execFile)
const script = join(import.meta.dirname, 'bridge.py')
const rounds = process.env.MIRRORD_LONG ? '20' : '2'

beforeAll(() => buildTrap(), 120_000)

it.skipIf(!python)(
  '[OUT-16] bridges seqpacket messages of every size to a stream and back (needs python3)',
  async () => {
    const {stdout, stderr} = await run(python!, [script, trapPath, rounds], {timeout: 100_000, killSignal: 'SIGKILL'})
    expect(stdout + stderr).toBe('')
  },
  120_000,
)
