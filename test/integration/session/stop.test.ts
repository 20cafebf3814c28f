import {spawn, spawnSync, type ChildProcess} from 'node:child_process'
import {once} from 'node:events'
import {chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync} from 'node:fs'
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
import {asNobodyWhoReads} from '../nobody.ts'
import type {FakeSession} from './fake-session.ts'

const failure: ErrorReport = {code: 'PROGRAM_CRASHED', exit: 'programCrashed', what: 'It crashed.', next: []}
const stopModule = path.join(import.meta.dirname, '../../../src/session/stop.ts')
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
  it('[LIF-05, D12] returns when the session and its process are gone, and leaves nothing', async () => {
    const {id, directory, lines} = await session()
    expect(await stopSessions([store], {graceMs: 5000})).toMatchObject([
      {
        id: directory.id,
        name: 'server',
        program: 'server',
        target: 'deployment/web',
        outputDirectory: undefined,
        failure: undefined,
      },
    ])
    expect(isAlive(id)).toBe(false)
    expect(lines).toContain('stop 5000')
    nothingLeft()
  })

  it('does nothing where there is nothing', async () => {
    expect(await stopSessions([store], {graceMs: 0})).toEqual([])
  })

  it('stops all of them, and reports the one that had failed', async () => {
    await Promise.all([session(), session({failure}), session()])
    const stopped = await stopSessions([store], {graceMs: 0})
    expect(stopped.map((one) => one.failure?.code).sort()).toEqual(['PROGRAM_CRASHED', undefined, undefined])
    nothingLeft()
  })

  it('[D2] may be done by several at once: all succeed', async () => {
    for (let round = 0; round < 5; round++) {
      await session()
      const results = await Promise.all(Array.from({length: 4}, () => stopSessions([store], {graceMs: 1000})))
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
    expect(await stopSessions([store], {graceMs: 0})).toMatchObject([{failure}])
    expect(await stopSessions([store], {graceMs: 0})).toEqual([])
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
    const [stopped] = await stopSessions([store], {graceMs: 0})
    expect(stopped!.failure).toMatchObject({code: 'SESSION_LOST', exit: 'programCrashed', detail: 'one\nlast words'})
    nothingLeft()
  })

  it('reports a session that dies while it is being stopped', async () => {
    await session({die: true})
    expect(await stopSessions([store], {graceMs: 0})).toMatchObject([{failure: {code: 'SESSION_LOST'}}])
    nothingLeft()
  })

  it('waits until the trap of a dead session is gone too', async () => {
    const {directory, child, exited} = await session({trap: true})
    const {trap} = directory.read()!
    expect(isAlive(trap!)).toBe(true)
    child.kill('SIGKILL') // the trap's stdin ends with it
    await exited
    await stopSessions([store], {graceMs: 0})
    expect(isAlive(trap!)).toBe(false)
  })

  it('[EXIT-1] kills a session that hangs, and says so', async () => {
    const {id, lines} = await session({hang: true})
    const [stopped] = await stopSessions([store], {graceMs: 50, teardownMs: 50})
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
    const [stopped] = await stopSessions([store], {graceMs: 0, birthMs: 100})
    expect(stopped!.failure).toMatchObject({code: 'SESSION_HUNG'})
    await until('the end of the process', () => child.signalCode !== null)
    nothingLeft()
  })

  it('cuts the grace short when it is itself cancelled', async () => {
    const {lines} = await session()
    const hurry = new AbortController()
    const stopping = stopSessions([store], {graceMs: 60_000, hurry: hurry.signal})
    await until('the stop', () => lines.includes('stop 60000'))
    hurry.abort()
    expect(await stopping).toMatchObject([{failure: undefined}])
    expect(lines).toContain('hurry 2000')
  })

  it('asks for a short grace when it was cancelled before', async () => {
    const {lines, exited} = await session()
    await stopSessions([store], {graceMs: 60_000, hurry: AbortSignal.abort()})
    await exited
    expect(lines).toContain('stop 2000')
  })

  it('[D2] waits for a session that is being born', async () => {
    const {child, id} = await session({late: true})
    const stopping = stopSessions([store], {graceMs: 0})
    child.stdin.end()
    expect(await stopping).toMatchObject([{program: 'server', failure: undefined}])
    expect(isAlive(id)).toBe(false)
    nothingLeft()
  })

  it('[D30] removes what died at its birth', async () => {
    store.create()
    expect(await stopSessions([store], {graceMs: 0, birthMs: 60})).toEqual([])
    nothingLeft()
  })

  it.each([
    ['a later process of the same number', {startTime: '1'}],
    ['one of another boot', {bootId: 'another'}],
  ])('[D6] does not take %s for the session', async (_what, change) => {
    const directory = store.create()
    const record = recordOf(directory, process.pid)
    directory.write({...record, session: {...record.session, ...change}})
    expect(await stopSessions([store], {graceMs: 0})).toMatchObject([{failure: {code: 'SESSION_LOST'}}])
    nothingLeft()
  })

  it.each([0, -1, 4294967295, 1.5, '1', '../self', null])(
    '[D7] kills nothing for a damaged record with the number %j',
    async (pid) => {
      const directory = store.create()
      const record = recordOf(directory, process.pid)
      directory.write({
        ...record,
        session: {...record.session, pid: pid as number},
        trap: {...record.session, pid: pid as number},
      })
      expect(await stopSessions([store], {graceMs: 0, birthMs: 50})).toMatchObject([
        {failure: {code: 'SESSION_RECORD_DAMAGED', exit: 'programCrashed'}},
      ])
      nothingLeft()
    },
  )

  it('[D6] asks a session of another container by its socket, and never signals its number here', async () => {
    const {directory, lines, exited} = await session()
    const record = directory.read()!
    // The number is this test's own: killing it would end the test.
    directory.write({...record, session: {...identify(process.pid)!, namespace: 'pid:[1]'}})
    expect(await stopSessions([store], {graceMs: 7})).toMatchObject([{name: 'server', failure: undefined}])
    await exited
    expect(lines).toContain('stop 7')
    nothingLeft()
  })

  it('leaves a hanging session of another container to its container, and says so', async () => {
    const {directory} = await session({hang: true})
    directory.write({...directory.read()!, session: {...identify(process.pid)!, namespace: 'pid:[1]'}})
    expect(await stopSessions([store], {graceMs: 0, teardownMs: 50})).toMatchObject([
      {failure: {code: 'SESSION_NOT_STOPPED'}},
    ])
    expect(store.list()).toHaveLength(1)
  })

  it('leaves alone what another machine keeps in the same directory', async () => {
    const directory = store.create()
    const record = recordOf(directory, process.pid)
    directory.write({...record, session: {...record.session, bootId: 'another', host: 'another'}})
    expect(await stopSessions([store], {graceMs: 0})).toEqual([])
    expect(store.list()).toHaveLength(1)
  })

  it('stops only those of the given names', async () => {
    await session({name: 'web'})
    const worker = await session({name: 'worker'})
    expect(await stopSessions([store], {graceMs: 0, names: ['web']})).toMatchObject([{name: 'web'}])
    expect(isAlive(worker.id)).toBe(true)
    await expect(stopSessions([store], {graceMs: 0, names: ['worker', 'web']})).rejects.toMatchObject({
      report: {code: 'SESSION_NOT_FOUND', exit: 'sessionNotFound', why: 'Its sessions are: worker.'},
    })
    expect(isAlive(worker.id)).toBe(true)
    expect(await stopSessions([store], {graceMs: 0})).toMatchObject([{name: 'worker'}])
    await expect(stopSessions([store], {graceMs: 0, names: ['web']})).rejects.toMatchObject({
      report: {code: 'SESSION_NOT_FOUND', why: 'This job has no session.'},
    })
  })

  describe('takes the report of a session', () => {
    const report = '{"format":1}'
    const stopped = async () => (await stopSessions([store], {graceMs: 50, teardownMs: 50}))[0]!.reportText

    it('that removes its own directory, from its answer', async () => {
      await session({report, tellsReport: true})
      expect(await stopped()).toBe(report)
    })

    it('that fails, hangs or dies while it is stopped, or was killed before, from the directory that is then removed', async () => {
      for (const plan of [{failure}, {hang: true}, {die: true}]) {
        await session({...plan, report})
        expect(await stopped()).toBe(report)
        nothingLeft()
      }
      const {child, exited} = await session({report})
      child.kill('SIGKILL')
      await exited
      expect(await stopped()).toBe(report)
      nothingLeft()
    })

    it('that is not among the named ones not at all', async () => {
      await session({name: 'web', report: 'of web', failure})
      const {directory} = await session({name: 'worker', report: 'of worker'})
      const [web, ...others] = await stopSessions([store], {graceMs: 0, names: ['web']})
      expect([web!.reportText, others]).toEqual(['of web', []])
      expect(readFileSync(directory.report, 'utf8')).toBe('of worker')
    })
  })

  describe('[D7] whose record is damaged', () => {
    const damage = (directory: SessionDirectory, text: string) =>
      writeFileSync(path.join(directory.path, 'session.json'), text)
    const stop = () => stopSessions([store], {graceMs: 50, teardownMs: 50, birthMs: 100})

    it('asks the session itself, when it runs', async () => {
      for (const text of ['', '{"format": 1,']) {
        const {directory, id, lines} = await session({name: 'web'})
        damage(directory, text)
        expect(await stop()).toMatchObject([{id: directory.id, name: 'web', failure: undefined}])
        expect(lines).toContain('stop 50')
        expect(isAlive(id)).toBe(false)
        nothingLeft()
      }
    })

    it('asks the session itself, though somebody has removed its record', async () => {
      const {directory, id} = await session({name: 'web'})
      rmSync(path.join(directory.path, 'session.json'))
      expect(await stop()).toMatchObject([{name: 'web', failure: undefined}])
      expect(isAlive(id)).toBe(false)
      nothingLeft()
    })

    it.each([
      ['', 'not JSON'],
      ['{"format": 1,', 'not JSON'],
      ['null', 'format is not stated'],
      ['[]', 'format is not stated'],
      ['{"format": 2}', 'format is 2'],
      ['{"format": 1}', '"id"'],
      [
        '{"format": 1, "id": "1", "job": "1", "name": "1", "program": "1", "state": "ready", "createdAt": "", "session": {}}',
        '"session"',
      ],
    ])('says so of one that is gone, and removes it: %j', async (text, why) => {
      const {directory, child, exited} = await session({report: '{"session": {"outputDirectory": "/out/web-1"}}'})
      directory.claim({name: 'web', held: true, launcher: {...identify(process.pid)!, startTime: '1'}})
      child.kill('SIGKILL')
      await exited
      damage(directory, text)
      const [stopped, ...others] = await stop()
      expect(others).toEqual([])
      expect(stopped).toMatchObject({name: 'web', outputDirectory: '/out/web-1', failure: {exit: 'programCrashed'}})
      expect(stopped!.failure!.code).toBe('SESSION_RECORD_DAMAGED')
      expect(stopped!.failure!.what).toContain(path.join(directory.path, 'session.json'))
      expect(stopped!.failure!.why).toContain(why)
      nothingLeft()
    })

    it('keeps what hangs, whose process it cannot know, and says so', async () => {
      const {directory, child, id} = await session({hang: true, mute: true})
      damage(directory, '')
      expect(await stop()).toMatchObject([{failure: {code: 'SESSION_NOT_STOPPED', exit: 'unexpected'}}])
      expect(isAlive(id)).toBe(true)
      expect(existsSync(directory.path)).toBe(true)
      child.kill('SIGKILL')
    })
  })

  it('tells of a program that had ended with status 0', async () => {
    const {directory, child, exited} = await session()
    child.kill('SIGKILL')
    await exited
    directory.write({...directory.read()!, state: 'ended'})
    expect(await stopSessions([store], {graceMs: 0})).toMatchObject([{endedBefore: true, failure: undefined}])
    nothingLeft()
  })

  // Root needs somebody with less rights; for everybody else process 1 is another user's.
  const root = process.getuid?.() === 0
  it.runIf(root || statSync('/proc/1').uid === 0)(
    '[D11, LIF-08] ends the others although one belongs to another user, and keeps that one for another try',
    async () => {
      const code = `
        import {stopSessions} from ${JSON.stringify(stopModule)}
        import {SessionStore} from ${JSON.stringify(path.join(import.meta.dirname, '../../../src/session/state.ts'))}
        import {identify} from ${JSON.stringify(path.join(import.meta.dirname, '../../../src/util/process.ts'))}
        const store = new SessionStore(process.env.ROOT, 'aaaaaaaa')
        const write = (name, pid, more) => {
          const directory = store.create()
          const createdAt = new Date().toISOString()
          const rest = {format: 1, id: directory.id, job: 'aaaaaaaa', name, program: name, state: 'ready', createdAt}
          directory.write({...rest, session: {...identify(pid), ...more}})
        }
        write('theirs', ${root ? process.pid : 1}, {})
        write('dead', process.pid, {startTime: '1'})
        const stopped = await stopSessions([store], {graceMs: 0, birthMs: 50})
        console.log(JSON.stringify({stopped, left: store.list().map((one) => one.read().name)}))`
      chmodSync(folder, 0o777)
      const node = [process.execPath, '--input-type=module-typescript', '-e', code]
      const [command, ...words] = root ? [...asNobodyWhoReads, ...node] : node
      const run = spawnSync(command!, words, {
        env: {...process.env, ROOT: path.join(folder, 'n'), HOME: folder, NODE_NO_WARNINGS: '1'},
        encoding: 'utf8',
      })
      const said = JSON.parse(run.stdout || JSON.stringify(run.stderr)) as {
        stopped: {name: string; failure: ErrorReport}[]
      }
      expect(said).toMatchObject({left: ['theirs']})
      expect(said.stopped.map(({name, failure}) => `${name} ${failure.code} ${failure.exit}`).sort()).toEqual([
        'dead SESSION_LOST programCrashed',
        'theirs SESSION_NOT_STOPPED permission',
      ])
    },
  )
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
        stop: async () => ({}),
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
