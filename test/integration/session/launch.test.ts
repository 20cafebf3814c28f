import {spawn} from 'node:child_process'
import {once} from 'node:events'
import {existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync} from 'node:fs'
import net from 'node:net'
import path from 'node:path'
import {setTimeout as delay} from 'node:timers/promises'
import {afterEach, beforeEach, describe, expect, it} from 'vitest'

const root = path.join(import.meta.dirname, '../../..')
let folder: string
let server: net.Server
let accepted: net.Socket[]

/** A cluster that accepts connections and never answers. */
beforeEach(async () => {
  folder = mkdtempSync('/tmp/mlt-')
  for (const name of ['run', 'tmp', 'home']) mkdirSync(path.join(folder, name))
  accepted = []
  server = net.createServer((socket) => {
    accepted.push(socket)
    socket.on('error', () => {})
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
})
afterEach(() => {
  for (const socket of accepted) socket.destroy()
  server.close()
  rmSync(folder, {recursive: true, force: true})
})

async function until(what: string, check: () => boolean): Promise<void> {
  const deadline = Date.now() + 20_000
  while (!check()) {
    if (Date.now() > deadline) throw new Error(`${what} did not come`)
    await delay(10)
  }
}

/** Starts a launcher in a process of its own, which prints the report of its failure. */
function launcher(options: {kubeconfig: string; program?: string; foreground?: boolean}) {
  const child = spawn(
    process.execPath,
    [path.join(import.meta.dirname, 'launcher.ts'), options.program ?? 'sleep', String(options.foreground ?? false)],
    {
      env: {
        ...process.env,
        HOME: path.join(folder, 'home'),
        RUNNER_TEMP: path.join(folder, 'run'),
        TMPDIR: path.join(folder, 'tmp'),
        KUBECONFIG: options.kubeconfig,
        MIRRORD_CI_JOB: folder,
        NODE_NO_WARNINGS: '1',
      },
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  )
  let output = ''
  child.stdout.on('data', (text: Buffer) => (output += text.toString()))
  return {child, ended: once(child, 'close').then(() => output)}
}

function silentCluster(): string {
  const file = path.join(folder, 'kubeconfig')
  const {port} = server.address() as net.AddressInfo
  writeFileSync(
    file,
    JSON.stringify({
      apiVersion: 'v1',
      kind: 'Config',
      'current-context': 'c',
      contexts: [{name: 'c', context: {cluster: 'c', user: 'u'}}],
      clusters: [{name: 'c', cluster: {server: `http://127.0.0.1:${port}`}}],
      users: [{name: 'u', user: {token: 't'}}],
    }),
  )
  return file
}

/** Processes whose environment names this test's folder. */
const processes = () =>
  readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => {
      try {
        return readFileSync(`/proc/${pid}/environ`, 'latin1').includes(`RUNNER_TEMP=${folder}/run`)
      } catch {
        return false
      }
    })

const nothingLeft = async () => {
  await until('the end of every process', () => processes().length === 0)
  expect(readdirSync(path.join(folder, 'run'))).toEqual([])
}

describe('a start that cannot work', () => {
  it('reports what the session met, and leaves nothing', async () => {
    const file = path.join(folder, 'bad')
    writeFileSync(file, 'clusters: [')
    const report = JSON.parse(await launcher({kubeconfig: file}).ended) as Record<string, unknown>
    expect(report).toMatchObject({exit: 'kubeconfig', code: 'KUBECONFIG_MALFORMED'})
    await nothingLeft()
  })

  it('says that a program does not exist before anything is made', async () => {
    const report = JSON.parse(await launcher({kubeconfig: silentCluster(), program: 'no-such-program'}).ended) as object
    expect(report).toMatchObject({exit: 'programNotFound', code: 'PROGRAM_NOT_FOUND'})
    expect(existsSync(path.join(folder, 'tmp/mirrord'))).toBe(false)
    await nothingLeft()
  })
})

describe.each([
  ['in the background', false],
  ['in the foreground', true],
])('a start %s whose launcher goes away before it is ready', (_name, foreground) => {
  it('is undone', async () => {
    const {child} = launcher({kubeconfig: silentCluster(), foreground})
    await until('the session to ask the cluster', () => accepted.length > 0)
    expect(processes().length).toBe(2)
    child.kill('SIGKILL')
    await nothingLeft()
  })

  it.each([
    ['EXIT-129', 'SIGHUP', 'hungUp'],
    ['EXIT-130', 'SIGINT', 'interrupted'],
    ['EXIT-131', 'SIGQUIT', 'quit'],
    ['EXIT-143', 'SIGTERM', 'terminated'],
  ] as const)('[%s] is undone and says so when the launcher got %s', async (_id, signal, exit) => {
    const {child, ended} = launcher({kubeconfig: silentCluster(), foreground})
    await until('the session to ask the cluster', () => accepted.length > 0)
    child.kill(signal)
    expect(JSON.parse(await ended)).toMatchObject({code: 'START_CANCELLED', exit})
    await nothingLeft()
  })
})

describe('a session process that is killed before it is ready', () => {
  it('[EXIT-74] is reported, and its state is removed by the launcher', async () => {
    const {child, ended} = launcher({kubeconfig: silentCluster()})
    await until('the session to ask the cluster', () => accepted.length > 0)
    const [session] = processes().filter((pid) => Number(pid) !== child.pid)
    process.kill(Number(session), 'SIGKILL')
    expect(JSON.parse(await ended)).toMatchObject({code: 'SESSION_KILLED', exit: 'programCrashed'})
    await nothingLeft()
  })

  it('that is asked to end by SIGTERM undoes everything and says so', async () => {
    const {child, ended} = launcher({kubeconfig: silentCluster()})
    await until('the session to ask the cluster', () => accepted.length > 0)
    const [session] = processes().filter((pid) => Number(pid) !== child.pid)
    process.kill(Number(session), 'SIGTERM')
    expect(JSON.parse(await ended)).toMatchObject({code: 'SESSION_TERMINATED', exit: 'programCrashed'})
    await nothingLeft()
  })
})

describe('a stop during a start', () => {
  it('cancels it', async () => {
    const {ended} = launcher({kubeconfig: silentCluster()})
    await until('the session to ask the cluster', () => accepted.length > 0)
    const stop = spawn(process.execPath, [path.join(root, 'test/integration/session/stopper.ts')], {
      env: {
        ...process.env,
        RUNNER_TEMP: path.join(folder, 'run'),
        MIRRORD_CI_JOB: folder,
        NODE_NO_WARNINGS: '1',
      },
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    let output = ''
    stop.stdout.on('data', (text: Buffer) => (output += text.toString()))
    await once(stop, 'close')
    expect(JSON.parse(output)).toMatchObject([{program: 'sleep'}])
    expect(JSON.parse(await ended)).toMatchObject({code: 'START_CANCELLED', exit: 'terminated'})
    await nothingLeft()
  })
})
