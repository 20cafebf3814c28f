import {spawn, type ChildProcess} from 'node:child_process'
import {once} from 'node:events'
import {existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync} from 'node:fs'
import net from 'node:net'
import path from 'node:path'
import {createInterface} from 'node:readline'
import {setTimeout as delay} from 'node:timers/promises'
import {afterEach, beforeEach, describe, expect, it} from 'vitest'
import type {ErrorReport} from '../../../src/errors/mirrord-error.ts'
import {connectControl, serveControl} from '../../../src/session/control.ts'
import {SessionStore, type SessionDirectory, type SessionRecord} from '../../../src/session/state.ts'
import {stopSessions} from '../../../src/session/stop.ts'
import {identify, isAlive} from '../../../src/util/process.ts'
import type {FakeSession} from './fake-session.ts'

const failure: ErrorReport = {code: 'PROGRAM_CRASHED', exit: 'programCrashed', what: 'It crashed.', next: []}
let folder: string
let store: SessionStore
let children: ChildProcess[]

beforeEach(() => {
  folder = mkdtempSync('/tmp/msp-')
  store = new SessionStore(path.join(folder, 'm'), 'aaaaaaaa')
  children = []
})
afterEach(() => {
  for (const child of children) child.kill('SIGKILL')
  rmSync(folder, {recursive: true, force: true})
})

/** Starts a stand-in of a session; resolves when it serves (or, if `late`, waits). */
async function session(plan: Omit<FakeSession, 'directory' | 'id'> = {}) {
  const directory = store.create()
  const argument = JSON.stringify({...plan, directory: directory.path, id: directory.id} satisfies FakeSession)
  const child = spawn(process.execPath, [path.join(import.meta.dirname, 'fake-session.ts'), argument], {
    env: {...process.env, NODE_NO_WARNINGS: '1'},
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  children.push(child)
  const lines: string[] = []
  const reader = createInterface({input: child.stdout})
  reader.on('line', (line) => lines.push(line))
  const exited = once(child, 'exit')
  await until('the stand-in', () => lines.some((line) => line === 'ready' || line === 'waiting'))
  return {child, directory, lines, exited, id: identify(child.pid!)!}
}

async function until(what: string, check: () => boolean): Promise<void> {
  const deadline = Date.now() + 15_000
  while (!check()) {
    if (Date.now() > deadline) throw new Error(`${what} did not come`)
    await delay(5)
  }
}

const nothingLeft = () => expect(existsSync(path.join(folder, 'm'))).toBe(false)

describe('stopping the sessions of a job', () => {
  it('returns when the session and its process are gone, and leaves nothing', async () => {
    const {id, directory, lines} = await session()
    expect(await stopSessions(store, {graceMs: 5000})).toMatchObject([
      {id: directory.id, program: 'server', target: 'deployment/web', outputDirectory: undefined, failure: undefined},
    ])
    expect(isAlive(id)).toBe(false)
    expect(lines).toContain('stop 5000')
    nothingLeft()
  })

  it('does nothing where there is nothing', async () => {
    expect(await stopSessions(store, {graceMs: 0})).toEqual([])
  })

  it('stops all of them, and reports the one that had failed', async () => {
    await Promise.all([session(), session({failure}), session()])
    const stopped = await stopSessions(store, {graceMs: 0})
    expect(stopped.map((one) => one.failure?.code).sort()).toEqual(['PROGRAM_CRASHED', undefined, undefined])
    nothingLeft()
  })

  it('may be done by several at once: all succeed', async () => {
    for (let round = 0; round < 5; round++) {
      await session()
      const results = await Promise.all(Array.from({length: 4}, () => stopSessions(store, {graceMs: 1000})))
      for (const stopped of results) for (const one of stopped) expect(one.failure).toBeUndefined()
      expect(results.flat().length).toBeGreaterThan(0)
      nothingLeft()
    }
  })

  it('reports what a session that ended by itself has on record, once', async () => {
    const {directory, child, exited} = await session()
    const record = directory.read()!
    child.kill('SIGKILL')
    await exited
    directory.write({...record, state: 'ended', failure})
    expect(await stopSessions(store, {graceMs: 0})).toMatchObject([{failure}])
    expect(await stopSessions(store, {graceMs: 0})).toEqual([])
    nothingLeft()
  })

  it('reports a session that was killed, with the end of its log', async () => {
    const {directory, child, exited} = await session()
    const output = path.join(folder, 'out')
    mkdirSync(output)
    writeFileSync(path.join(output, 'mirrord.log'), 'one\nlast words\n')
    directory.write({...directory.read()!, outputDirectory: output})
    child.kill('SIGKILL')
    await exited
    const [stopped] = await stopSessions(store, {graceMs: 0})
    expect(stopped!.failure).toMatchObject({code: 'SESSION_LOST', exit: 'programCrashed', detail: 'one\nlast words'})
    nothingLeft()
  })

  it('reports a session that dies while it is being stopped', async () => {
    await session({die: true})
    expect(await stopSessions(store, {graceMs: 0})).toMatchObject([{failure: {code: 'SESSION_LOST'}}])
    nothingLeft()
  })

  it('waits until the trap of a dead session is gone too', async () => {
    const {directory, child, exited} = await session({trap: true})
    const {trap} = directory.read()!
    expect(isAlive(trap!)).toBe(true)
    child.kill('SIGKILL') // the trap's stdin ends with it
    await exited
    await stopSessions(store, {graceMs: 0})
    expect(isAlive(trap!)).toBe(false)
  })

  it('kills a session that hangs, and says so', async () => {
    const {id, lines} = await session({hang: true})
    const [stopped] = await stopSessions(store, {graceMs: 50, teardownMs: 50})
    expect(stopped!.failure).toMatchObject({code: 'SESSION_HUNG', exit: 'unexpected'})
    expect(lines).toContain('stop 50')
    expect(isAlive(id)).toBe(false)
    nothingLeft()
  })

  it('kills a session that does not even accept its connection', async () => {
    const directory = store.create()
    const child = spawn('/bin/sh', ['-c', 'read line'], {stdio: ['pipe', 'ignore', 'ignore']})
    children.push(child)
    directory.write(recordOf(directory, child.pid!))
    const [stopped] = await stopSessions(store, {graceMs: 0, birthMs: 100})
    expect(stopped!.failure).toMatchObject({code: 'SESSION_HUNG'})
    await until('the end of the process', () => child.signalCode !== null)
    nothingLeft()
  })

  it('cuts the grace short when it is itself cancelled', async () => {
    const {lines} = await session()
    const hurry = new AbortController()
    const stopping = stopSessions(store, {graceMs: 60_000, hurry: hurry.signal})
    await until('the stop', () => lines.includes('stop 60000'))
    hurry.abort()
    expect(await stopping).toMatchObject([{failure: undefined}])
    expect(lines).toContain('hurry 2000')
  })

  it('asks for a short grace when it was cancelled before', async () => {
    const {lines, exited} = await session()
    await stopSessions(store, {graceMs: 60_000, hurry: AbortSignal.abort()})
    await exited
    expect(lines).toContain('stop 2000')
  })

  it('waits for a session that is being born', async () => {
    const {child, id} = await session({late: true})
    const stopping = stopSessions(store, {graceMs: 0})
    child.stdin.end()
    expect(await stopping).toMatchObject([{program: 'server', failure: undefined}])
    expect(isAlive(id)).toBe(false)
    nothingLeft()
  })

  it('removes what died at its birth', async () => {
    store.create()
    expect(await stopSessions(store, {graceMs: 0, birthMs: 60})).toEqual([])
    nothingLeft()
  })

  it('does not take another process for a session whose number it has', async () => {
    const directory = store.create()
    const record = recordOf(directory, process.pid)
    directory.write({...record, session: {...record.session, startTime: '1'}})
    expect(await stopSessions(store, {graceMs: 0})).toMatchObject([{failure: {code: 'SESSION_LOST'}}])
  })
})

function recordOf(directory: SessionDirectory, pid: number): SessionRecord {
  return {
    format: 1,
    id: directory.id,
    job: 'aaaaaaaa',
    name: 'server',
    program: 'server',
    state: 'starting',
    createdAt: new Date().toISOString(),
    session: identify(pid)!,
  }
}

describe('the control socket', () => {
  const serve = (handlers: Partial<Parameters<typeof serveControl>[1]> = {}) => {
    const directory = store.create()
    const record = recordOf(directory, process.pid)
    return {
      directory,
      record,
      serving: serveControl(directory.socket, {
        status: () => ({record}),
        watch: (tell) => {
          tell(record)
          return () => {}
        },
        stop: async () => undefined,
        hurry: () => {},
        ...handlers,
      }),
    }
  }

  it('tells the status, and ends its clients when it closes', async () => {
    const {directory, record, serving} = serve()
    const control = await serving
    const replies: unknown[] = []
    const {promise, resolve} = Promise.withResolvers<void>()
    const client = await connectControl(directory.socket, {reply: (reply) => replies.push(reply), closed: resolve})
    client.send({type: 'status'})
    await until('the status', () => replies.length === 1)
    expect(replies).toEqual([{type: 'status', record}])
    await control.close()
    await promise
    await expect(connectControl(directory.socket, {reply: () => {}, closed: () => {}})).rejects.toThrow(
      /ENOENT|REFUSED/,
    )
  })

  it('survives what is no request', async () => {
    const {directory, serving} = serve()
    const control = await serving
    for (const text of ['null\n', '3\n', '{}\n', '{"type":"what"}\n', 'no json\n', '[', '']) {
      const socket = net.connect(directory.socket)
      await once(socket, 'connect')
      const closed = once(socket, 'close')
      socket.resume()
      socket.end(text)
      await closed
    }
    const client = await connectControl(directory.socket, {reply: () => {}, closed: () => {}})
    client.close()
    await control.close()
  })

  it('does not wait for ever for a client that does not read', async () => {
    const {directory, serving} = serve()
    const control = await serving
    const socket = net.connect({path: directory.socket, allowHalfOpen: true})
    await once(socket, 'connect')
    await control.close()
    socket.destroy()
  })
})
