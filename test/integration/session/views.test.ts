import {spawn, type ChildProcess} from 'node:child_process'
import {once} from 'node:events'
import {appendFileSync, mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync} from 'node:fs'
import path from 'node:path'
import {createInterface} from 'node:readline'
import {afterEach, beforeEach, describe, expect, it} from 'vitest'
import type {ErrorReport} from '../../../src/errors/mirrord-error.ts'
import {showOutput, type LogOptions} from '../../../src/session/logs.ts'
import {currentSessions, findSessions} from '../../../src/session/lookup.ts'
import {SessionStore, type SessionRecord} from '../../../src/session/state.ts'
import {sessionStatuses} from '../../../src/session/status.ts'
import {judge, waitForSessions} from '../../../src/session/wait.ts'
import {identify} from '../../../src/util/process.ts'
import type {FakeSession} from './fake-session.ts'

const failure: ErrorReport = {code: 'PROGRAM_CRASHED', exit: 'programCrashed', what: 'It crashed.', next: []}
let folder: string
let store: SessionStore
let children: ChildProcess[]

beforeEach(() => {
  folder = mkdtempSync('/tmp/msv-')
  store = new SessionStore(path.join(folder, 'm'), 'aaaaaaaa')
  children = []
})
afterEach(() => {
  for (const child of children) child.kill('SIGKILL')
  rmSync(folder, {recursive: true, force: true})
})

/** A stand-in of a session, that can be told to change its record. */
async function session(record: Partial<SessionRecord> = {}) {
  const directory = store.create()
  const plan = {directory: directory.path, id: directory.id, record} satisfies FakeSession
  const child = spawn(process.execPath, [path.join(import.meta.dirname, 'fake-session.ts'), JSON.stringify(plan)], {
    env: {...process.env, NODE_NO_WARNINGS: '1'},
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  children.push(child)
  const lines = createInterface({input: child.stdout})
  await once(lines, 'line')
  const watched = new Promise<void>((resolve) => lines.on('line', (line) => line === 'watched' && resolve()))
  const exited = once(child, 'exit')
  const update = (change: Partial<SessionRecord>) => void child.stdin.write(`${JSON.stringify(change)}\n`)
  return {
    directory,
    child,
    exited,
    update,
    watched,
    /** Ends it as a session ends. */
    end(change: Partial<SessionRecord>) {
      update({state: 'ended', ...change})
      child.stdin.end()
    },
    async kill() {
      child.kill('SIGKILL')
      await exited
    },
  }
}

describe('finding sessions by name', () => {
  it('finds them by name and by id, and names those that there are', async () => {
    const {directory} = await session({name: 'api'})
    await session({name: 'worker'})
    expect((await findSessions(store)).map(({record}) => record.name)).toEqual(['api', 'worker'])
    expect(await findSessions(store, 'worker')).toHaveLength(1)
    expect((await findSessions(store, directory.id)).map(({record}) => record.name)).toEqual(['api'])
    await expect(findSessions(store, 'nope')).rejects.toThrow(
      'No session of this job is named "nope". Its sessions are: api, worker.',
    )
  })

  it('says that there is none at all', async () => {
    expect(await findSessions(store)).toEqual([])
    await expect(findSessions(store, 'nope')).rejects.toThrow('This job has no session.')
  })

  it('prefers the living one of several with a name', async () => {
    const dead = await session({name: 'api', createdAt: '2031-01-01T00:00:00.000Z'})
    await dead.kill()
    const living = await session({name: 'api'})
    expect((await findSessions(store, 'api')).map(({record}) => record.id)).toEqual([
      dead.directory.id,
      living.directory.id,
    ])
    expect((await currentSessions(store, 'api')).map(({record}) => record.id)).toEqual([living.directory.id])
    expect(await currentSessions(store, dead.directory.id)).toHaveLength(1)
  })
})

describe('the living one of several with a name comes last', () => {
  const at = (second: number) => `2031-01-01T00:00:0${second}.000Z`
  const elsewhere = {...identify(process.pid)!, namespace: 'pid:[1]'}
  const order = async () =>
    (await findSessions(store)).map(({record: {name, createdAt}}) => name + createdAt.slice(18, 19))

  it('[D6] also when it runs in another container, and when that has ended there', async () => {
    const container = await session({name: 'api', createdAt: at(1), session: elsewhere})
    await session({name: 'worker', createdAt: at(2)})
    const dead = await session({name: 'api', createdAt: at(3)})
    await dead.kill()
    expect(await order()).toEqual(['api3', 'worker2', 'api1'])
    expect((await currentSessions(store, 'api')).map(({record}) => record.id)).toEqual([container.directory.id])
    await container.kill()
    expect(await order()).toEqual(['api1', 'worker2', 'api3'])
  })

  it('[D6] though the number of the ended one belongs to another process by now', async () => {
    const running = await session({name: 'api', createdAt: at(1)})
    await session({name: 'worker', createdAt: at(2)})
    const ended = store.create()
    ended.write({
      ...running.directory.read()!,
      id: ended.id,
      createdAt: at(3),
      session: {...identify(process.pid)!, startTime: '1'},
    })
    expect(await order()).toEqual(['api3', 'worker2', 'api1'])
  })
})

describe('the status of sessions', () => {
  it('asks a living session', async () => {
    const {directory, child} = await session({
      name: 'api',
      programPid: 77,
      pod: 'web-0',
      readyAt: '2031-01-01T00:00:00.000Z',
    })
    const {createdAt} = directory.read()!
    expect(await sessionStatuses(store, undefined, Date.parse(createdAt) + 61_234)).toEqual([
      {
        name: 'api',
        id: directory.id,
        program: 'server',
        target: 'deployment/web',
        pod: 'web-0',
        state: 'ready',
        pids: {program: 77, session: child.pid},
        ports: [{port: 8080, local: '127.0.0.1:9090'}],
        requests: 3,
        connections: 2,
        bytesIn: 120,
        bytesOut: 4500,
        startedAt: createdAt,
        readyAt: '2031-01-01T00:00:00.000Z',
        reconnectingSince: null,
        endedAt: null,
        uptimeSeconds: 61.2,
        outputDirectory: null,
        exit: null,
        failure: null,
      },
    ])
  })

  it('[D7] shows a session whose record is damaged: by its own word, or as failed with the file and what to do', async () => {
    const {directory, kill} = await session({name: 'api'})
    const file = path.join(directory.path, 'session.json')
    writeFileSync(file, '{')
    const statuses = () => sessionStatuses(store, undefined, Date.now())
    expect(await statuses()).toMatchObject([{name: 'api', state: 'ready', requests: 3}])
    expect(await findSessions(store, 'api')).toHaveLength(1)
    await kill()
    const [status] = await statuses()
    expect(status).toMatchObject({id: directory.id, state: 'failed', uptimeSeconds: null, failure: {exit: 74}})
    expect(status!.failure!.code).toBe('SESSION_RECORD_DAMAGED')
    expect(status!.failure!.what).toContain(file)
    const {waited} = await waitForSessions(await findSessions(store), 'ready')
    expect(waited).toMatchObject([{failure: {code: 'SESSION_RECORD_DAMAGED'}}])
  })

  it('[D7] tells of a session that dies after its record was damaged', async () => {
    const {directory, kill, watched} = await session({name: 'api', state: 'starting'})
    const waiting = waitForSessions(await findSessions(store), 'ready')
    await watched
    writeFileSync(path.join(directory.path, 'session.json'), '{')
    await kill()
    expect((await waiting).waited).toMatchObject([{failure: {code: 'SESSION_LOST'}}])
  })

  it('shows one that died without being stopped as failed', async () => {
    const dead = await session()
    await dead.kill()
    const [status] = await sessionStatuses(store, undefined, Date.now())
    expect(status).toMatchObject({state: 'failed', ports: [], requests: null, uptimeSeconds: null, failure: {exit: 74}})
    expect(status!.failure!.code).toBe('SESSION_LOST')
  })

  it('shows what a session that ended by itself has on record', async () => {
    const crashed = await session({name: 'a', createdAt: '2031-01-01T00:00:00.000Z'})
    crashed.end({endedBy: 'program', exit: {code: 3}, failure, endedAt: '2031-01-01T00:00:05.000Z'})
    const done = await session({name: 'b', createdAt: '2031-01-01T00:00:01.000Z'})
    done.end({endedBy: 'program', exit: {code: 0}, endedAt: '2031-01-01T00:01:01.000Z'})
    await Promise.all([crashed.exited, done.exited])
    expect(await sessionStatuses(store, undefined, Date.now())).toMatchObject([
      {state: 'failed', exit: {code: 3, signal: null}, uptimeSeconds: 5, failure: {code: 'PROGRAM_CRASHED', exit: 74}},
      {state: 'ended', exit: {code: 0, signal: null}, uptimeSeconds: 60, failure: null},
    ])
  })

  it('does not wait for a session that does not answer', async () => {
    const {child, directory} = await session()
    child.kill('SIGSTOP')
    expect(await sessionStatuses(store, directory.id, Date.now())).toMatchObject([{state: 'ready', requests: null}])
  })
})

describe('what a record says about a goal', () => {
  const record: SessionRecord = {
    format: 1,
    id: 'aaaaaaaa',
    job: 'bbbbbbbb',
    name: 'api',
    program: 'server',
    state: 'ended',
    createdAt: new Date().toISOString(),
    session: identify(process.pid)!,
  }
  it.each([
    ['starting', 'ready', {state: 'starting'}, undefined],
    ['ready', 'ready', {state: 'ready'}, 0],
    ['stopping', 'ready', {state: 'stopping'}, undefined],
    ['died before', 'ready', {endedBy: 'program', exit: {code: 0}}, 'programDied'],
    ['ended after', 'ready', {endedBy: 'program', exit: {code: 0}, readyAt: 'x'}, 'programCrashed'],
    ['crashed', 'ready', {endedBy: 'program', exit: {code: 3}, failure}, 'programCrashed'],
    ['stopped', 'ready', {endedBy: 'request'}, 'sessionStopped'],
    ['running', 'exit', {state: 'ready'}, undefined],
    ['over, not cleaned up', 'exit', {state: 'stopping', endedBy: 'program', exit: {code: 3}}, undefined],
    ['a status', 'exit', {endedBy: 'program', exit: {code: 3}, failure}, 3],
    ['success', 'exit', {endedBy: 'program', exit: {code: 0}}, 0],
    ['a signal', 'exit', {endedBy: 'program', exit: {signal: 'SIGKILL'}, failure}, 137],
    ['success, but files lost', 'exit', {endedBy: 'program', exit: {code: 0}, failure}, 'programCrashed'],
    ['killed by us', 'exit', {endedBy: 'failure', exit: {signal: 'SIGKILL'}, failure}, 'programCrashed'],
    ['[EXIT-77] stopped', 'exit', {endedBy: 'request', exit: {code: 0}}, 'sessionStopped'],
    ['unknown', 'exit', {endedBy: 'program'}, 'programCrashed'],
  ] as [string, 'ready' | 'exit', Partial<SessionRecord>, number | string | undefined][])(
    '%s, waiting for %s',
    (_, goal, change, expected) => {
      const result = judge({...record, ...change}, goal)
      expect(result?.failure?.exit ?? result?.status).toBe(expected)
    },
  )
})

describe('waiting for sessions', () => {
  it('is told when a session becomes ready', async () => {
    const one = await session({state: 'starting'})
    const waiting = waitForSessions(await findSessions(store), 'ready')
    await one.watched
    one.update({state: 'ready'})
    expect(await waiting).toMatchObject({waited: [{status: 0}], open: []})
  })

  it('is told at once when it is ready already, and when it died before', async () => {
    await session({name: 'a'})
    expect(await waitForSessions(await findSessions(store), 'ready')).toMatchObject({waited: [{status: 0}], open: []})
    const dead = await session({name: 'b'})
    await dead.kill()
    const {waited, open} = await waitForSessions(await findSessions(store), 'ready')
    expect(waited.find(({record}) => record.name === 'b')?.failure?.code).toBe('SESSION_LOST')
    expect(waited.length + open.length).toBe(2)
  })

  it('does not wait for the others when one fails before it is ready', async () => {
    const [slow, failing] = [await session({state: 'starting'}), await session({state: 'starting'})]
    const waiting = waitForSessions(await findSessions(store), 'ready')
    await Promise.all([slow.watched, failing.watched])
    failing.end({endedBy: 'program', failure})
    expect(await waiting).toMatchObject({waited: [{failure}], open: [{id: slow.directory.id}]})
  })

  it('waits for the end of all, and gives each status in the order of the ends', async () => {
    const [one, two] = [await session(), await session()]
    const waiting = waitForSessions(await findSessions(store), 'exit')
    await Promise.all([one.watched, two.watched])
    two.end({endedBy: 'program', exit: {code: 4}, failure})
    await two.exited
    one.end({endedBy: 'program', exit: {code: 0}})
    expect(await waiting).toMatchObject({waited: [{status: 4}, {status: 0}], open: []})
  })

  it('reports a session that is killed meanwhile', async () => {
    const one = await session()
    const waiting = waitForSessions(await findSessions(store), 'exit')
    await one.watched
    await one.kill()
    expect(await waiting).toMatchObject({waited: [{failure: {code: 'SESSION_LOST'}}]})
  })

  it('reports a session whose record a stop has removed meanwhile', async () => {
    const one = await session()
    const waiting = waitForSessions(await findSessions(store), 'exit')
    await one.watched
    one.directory.remove()
    one.child.stdin.end()
    expect(await waiting).toMatchObject({waited: [{failure: {code: 'SESSION_STOPPED'}}]})
  })

  it('gives up when the time is up, also with a session that does not answer', async () => {
    const [one, two] = [await session(), await session()]
    two.child.kill('SIGSTOP')
    const result = await waitForSessions(await findSessions(store), 'exit', 50)
    expect(result).toMatchObject({waited: [], open: [{id: one.directory.id}, {id: two.directory.id}]})
  })
})

describe('showing output', () => {
  const both: LogOptions = {streams: ['stdout', 'stderr'], follow: false}

  function output() {
    const directory = path.join(folder, 'out')
    mkdirSync(directory)
    writeFileSync(path.join(directory, 'stdout'), 'one\ntwo\n')
    writeFileSync(path.join(directory, 'stderr'), 'bad\n')
    return directory
  }

  /** Collects what is shown as `stream:text`, and waits for parts of it. */
  function shown() {
    let text = ''
    let look = () => {}
    return {
      text: () => text,
      timed: [] as boolean[],
      async show(this: void, {stream, lines, arrived}: Parameters<Parameters<typeof showOutput>[2]>[0]) {
        text += `${stream}${arrived ? '+' : ''}:${lines.toString()}`
        look()
      },
      until: (part: string) =>
        new Promise<void>((resolve) => {
          look = () => text.includes(part) && resolve()
          look()
        }),
    }
  }

  it('shows the files as they are, of a dead session too, and the last lines', async () => {
    const one = await session({outputDirectory: output()})
    await one.kill()
    const all = shown()
    await showOutput((await findSessions(store))[0]!, both, all.show)
    expect(all.text()).toBe('stdout:one\ntwo\nstderr:bad\n')
    const last = shown()
    await showOutput((await findSessions(store))[0]!, {...both, streams: ['stdout'], tail: 1}, last.show)
    expect(last.text()).toBe('stdout:two\n')
  })

  it('follows what is written, through a rotation, until the session has ended', async () => {
    const directory = output()
    const one = await session({outputDirectory: directory})
    const seen = shown()
    const following = showOutput((await findSessions(store))[0]!, {...both, follow: true}, seen.show)
    await seen.until('stderr:bad\n')
    appendFileSync(path.join(directory, 'stdout'), 'three\n')
    await seen.until('stdout+:three\n')
    renameSync(path.join(directory, 'stdout'), path.join(directory, 'stdout.1'))
    writeFileSync(path.join(directory, 'stdout'), 'four\n')
    await seen.until('stdout+:four\n')
    await one.watched
    appendFileSync(path.join(directory, 'stderr'), 'last')
    one.end({endedBy: 'program', exit: {code: 0}})
    await following
    expect(seen.text()).toBe('stdout:one\ntwo\nstderr:bad\nstdout+:three\nstdout+:four\nstderr+:last\n')
  })

  it('ends when the session dies', async () => {
    const one = await session({outputDirectory: output()})
    const following = showOutput((await findSessions(store))[0]!, {...both, follow: true}, shown().show)
    await one.watched
    await one.kill()
    await following
  })

  it('says where the output is that is in no file', async () => {
    await session({name: 'api'})
    await expect(showOutput((await findSessions(store))[0]!, both, shown().show)).rejects.toMatchObject({
      report: {code: 'OUTPUT_NOT_KEPT', exit: 'usage'},
    })
  })

  it('stops following when the output cannot be shown', async () => {
    await session({outputDirectory: output()})
    const broken = showOutput((await findSessions(store))[0]!, {...both, follow: true}, async () => {
      throw new Error('nobody reads')
    })
    await expect(broken).rejects.toThrow('nobody reads')
  })
})
