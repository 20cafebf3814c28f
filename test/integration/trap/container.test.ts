import {closeSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, statSync, writeFileSync} from 'node:fs'
import path from 'node:path'
import {afterEach, beforeAll, beforeEach, describe, expect, test} from 'vitest'
import {startTrap} from '../../../src/trap/trap.ts'
import type {ContainerLaunch, Trap, TrapHandlers} from '../../../src/trap/types.ts'
import {buildTrap, trapPath, which} from './harness.ts'

// What a container's entrypoint does, without a container: any program that starts `mirrord-trap --connect` will do.
beforeAll(buildTrap)

let folder: string
let removed: number
beforeEach(() => {
  folder = mkdtempSync('/tmp/mirrord-connect-')
  removed = 0
})
afterEach(() => rmSync(folder, {recursive: true}))

const handlers: TrapHandlers = {
  connect: async () => ({direct: true}),
  listen: async () => ({}),
  listenerClosed: () => {},
  warning: () => {},
}
const output = () => readFileSync(path.join(folder, 'output'), 'utf8')

/** `client` are the words that stand for the runtime's client and its container; the socket comes behind them. */
async function start(
  argv: string[],
  client = [trapPath, '--connect'],
  options: {environment?: string[]; startMs?: number} = {},
): Promise<Trap> {
  const socket = path.join(folder, 't.sock')
  const [file = '', ...words] = client
  const container: ContainerLaunch = {
    file,
    args: [...words, socket],
    env: {PATH: `relative:${folder}/bin:/usr/bin:/bin`, IMAGE: 'image', GONE: 'image'},
    cwd: folder,
    socket,
    startMs: options.startMs,
    remove: async () => void removed++,
  }
  const out = openSync(path.join(folder, 'output'), 'a')
  try {
    return await startTrap(
      {
        trapPath,
        container,
        program: argv[0]!,
        argv,
        cwd: '',
        env: {},
        environment: options.environment,
        stdio: {stdin: 'ignore', stdout: out, stderr: out},
        newSession: true,
        intercept: true,
        incoming: false,
        outgoing: {tcp: true, udp: true},
        overlays: [],
        local: [],
      },
      handlers,
    )
  } finally {
    closeSync(out)
  }
}

describe('a trap that connects', () => {
  test('runs a program of its PATH where it is, with the changes of its environment', async () => {
    mkdirSync(path.join(folder, 'bin/show'), {recursive: true}) // a directory of that name is passed over
    mkdirSync(path.join(folder, 'relative'))
    writeFileSync(path.join(folder, 'relative/show'), 'echo "$0 $1 $PWD $IMAGE $NEW ${GONE-none}"\n', {mode: 0o755})
    const environment = ['IMAGE=of the target', 'NEW=a=b\nc', 'GONE', 'NEVER']
    const trap = await start(['show', 'word'], undefined, {environment})
    expect(await trap.exited).toEqual({code: 0})
    expect(await trap.ended).toEqual({clean: true})
    expect(output()).toBe(`${folder}/relative/show word ${folder} of the target a=b\nc none\n`)
    expect(removed).toBe(1)
    expect(statSync(path.join(folder, 't.sock'), {throwIfNoEntry: false})).toBeUndefined()
  })

  test('says which program is not there, or may not be run, and leaves nothing', async () => {
    await expect(start(['no-such-program'])).rejects.toMatchObject({reason: 'not-found'})
    mkdirSync(path.join(folder, 'bin'))
    writeFileSync(path.join(folder, 'bin/plain'), '')
    await expect(start(['plain'])).rejects.toMatchObject({reason: 'not-executable'})
    expect(removed).toBe(2)
  })

  test('ends its tree when it is told to, and its client with it', async () => {
    const trap = await start(['sleep', '1000'])
    process.kill(trap.pid, 0)
    trap.killTree()
    expect(await trap.ended).toEqual({clean: true})
    expect(() => process.kill(trap.pid, 0)).toThrow('ESRCH')
  })

  test('is refused in another network', async ({skip}) => {
    if (process.getuid?.() !== 0 || !which('unshare')) skip('needs root and unshare')
    const client = ['/usr/bin/unshare', '--net', trapPath, '--connect']
    await expect(start(['true'], client)).rejects.toMatchObject({
      reason: 'container',
      message: expect.stringContaining('another network') as string,
    })
    expect(removed).toBe(1)
  })
})

describe('a client', () => {
  test('that ends before its container runs fails the start, and its container is removed', async () => {
    const client = ['/bin/sh', '-c', 'echo no such image >&2; exit 125']
    await expect(start(['true'], client)).rejects.toMatchObject({
      reason: 'container',
      message: expect.stringContaining('status 125') as string,
    })
    expect(output()).toBe('no such image\n')
    expect(removed).toBe(1)
  })

  test('that cannot be run fails the start', async () => {
    await expect(start(['true'], ['/no/such/client'])).rejects.toMatchObject({reason: 'container'})
  })

  test('whose container does not connect in time is ended', async () => {
    const client = ['/bin/sh', '-c', 'exec sleep 1000']
    await expect(start(['true'], client, {startMs: 100})).rejects.toMatchObject({reason: 'container'})
    expect(removed).toBe(1)
  })

  test('that is killed takes the tree along', async () => {
    // The trap goes on without it, as a container does.
    const client = ['/bin/sh', '-c', `${trapPath} --connect "$0" & wait`]
    const trap = await start(['sleep', '1000'], client)
    process.kill(trap.pid, 'SIGKILL')
    const {clean, reason} = await trap.ended
    expect(clean).toBe(false)
    expect(reason).toContain('SIGKILL')
    expect(removed).toBe(1)
  })
})
