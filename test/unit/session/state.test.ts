import {spawnSync} from 'node:child_process'
import {randomBytes} from 'node:crypto'
import {once} from 'node:events'
import {
  chmodSync,
  chownSync,
  existsSync,
  lstatSync,
  lutimesSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import {createServer} from 'node:net'
import path from 'node:path'
import {afterEach, beforeEach, describe, expect, it} from 'vitest'
import type {MirrordError} from '../../../src/errors/mirrord-error.ts'
import {reapRoot} from '../../../src/session/reap.ts'
import {commonRoot, link, searchRoots, stateRoot} from '../../../src/session/roots.ts'
import {SessionStore, type SessionRecord} from '../../../src/session/state.ts'
import {bootId, identify} from '../../../src/util/process.ts'

const uid = process.getuid!()
const root = uid === 0
let folder: string
beforeEach(() => {
  folder = mkdtempSync('/tmp/mst-')
})
afterEach(() => rmSync(folder, {recursive: true, force: true}))

const mode = (file: string) => (lstatSync(file).mode & 0o777).toString(8)
const dead = {pid: 2 ** 22 - 1, startTime: '1', bootId: bootId()}
const record = (change: Partial<SessionRecord> = {}): SessionRecord => ({
  format: 1,
  id: '00000000',
  job: 'aaaaaaaa',
  name: 'node',
  program: 'node',
  state: 'ready',
  createdAt: new Date().toISOString(),
  session: dead,
  ...change,
})
const failure = (run: () => unknown) => {
  try {
    run()
  } catch (error) {
    return (error as MirrordError).report
  }
  throw new Error('it did not fail')
}

describe('the folder of the state', () => {
  it('is the first of the folders that exist', () => {
    const at = (name: string) => path.join(folder, name)
    mkdirSync(at('runner'))
    mkdirSync(at('xdg'))
    mkdirSync(at('tmp'))
    const env = {RUNNER_TEMP: at('runner'), XDG_RUNTIME_DIR: at('xdg'), TMPDIR: at('tmp')}
    expect(stateRoot(env, 7)).toBe(at('runner/mirrord-7'))
    expect(stateRoot({...env, RUNNER_TEMP: at('none')}, 7)).toBe(at('xdg/mirrord-7'))
    expect(stateRoot({...env, RUNNER_TEMP: 'relative', XDG_RUNTIME_DIR: ''}, 7)).toBe(at('tmp/mirrord-7'))
    expect(stateRoot({}, 7)).toBe('/tmp/mirrord-7')
  })

  it('[D1] is looked for wherever a start may have made it, and links lead to it from /tmp', () => {
    expect(searchRoots({RUNNER_TEMP: folder, TMPDIR: '/var/tmp'}, 7)).toEqual([
      path.join(folder, 'mirrord-7'),
      '/var/tmp/mirrord-7',
      '/tmp/mirrord-7',
    ])
    const job = randomBytes(4).toString('hex')
    const made = new SessionStore(path.join(folder, 'mirrord'), job).create()
    link(made.path, uid)
    const elsewhere = new SessionStore('/nowhere', job, [commonRoot(uid)])
    expect(elsewhere.list()).toEqual([made])
    made.remove()
    expect(elsewhere.list()).toEqual([])
    expect(existsSync(path.join(commonRoot(uid), job))).toBe(false)
  })

  it('whose session is gone, or cannot be seen from here, is no session, and its link is removed after a week', () => {
    const job = randomBytes(4).toString('hex')
    const made = new SessionStore(path.join(folder, 'mirrord'), job).create()
    link(made.path, uid)
    const store = new SessionStore('/nowhere', job, [commonRoot(uid)])
    // As another container sees it, which shares /tmp but not what the link leads to.
    renameSync(made.path, `${made.path}.elsewhere`)
    expect(store.list()).toEqual([])
    renameSync(`${made.path}.elsewhere`, made.path)
    expect(store.list()).toEqual([made])
    rmSync(made.path, {recursive: true})
    const then = Date.now() / 1000 - 8 * 24 * 3600
    lutimesSync(path.join(commonRoot(uid), job, made.id), then, then)
    expect(store.list()).toEqual([])
    store.prune()
    expect(existsSync(path.join(commonRoot(uid), job))).toBe(false)
  })

  it('may be behind a symbolic link', () => {
    symlinkSync('/tmp', path.join(folder, 'link'))
    expect(stateRoot({RUNNER_TEMP: path.join(folder, 'link')}, 7)).toBe(path.join(folder, 'link/mirrord-7'))
  })

  it('is another one when a control socket would not fit below it', () => {
    const room = 107 - '/mirrord-7/aaaaaaaa/bbbbbbbb/control.sock'.length - folder.length - 1
    const fits = path.join(folder, 'x'.repeat(room))
    const long = `${fits}x`
    mkdirSync(fits)
    mkdirSync(long)
    expect(stateRoot({RUNNER_TEMP: fits}, 7)).toBe(`${fits}/mirrord-7`)
    expect(stateRoot({RUNNER_TEMP: long}, 7)).toBe('/tmp/mirrord-7')
  })
})

describe('a session directory', () => {
  const store = () => new SessionStore(path.join(folder, 'mirrord'), 'aaaaaaaa')

  it('can be entered by its user only, all the way down, whatever the umask and whatever was there', () => {
    mkdirSync(path.join(folder, 'mirrord'))
    chmodSync(path.join(folder, 'mirrord'), 0o777)
    const directory = store().create()
    for (let at = directory.path; at !== folder; at = path.dirname(at)) expect([at, mode(at)]).toEqual([at, '700'])
    directory.write(record())
    expect(mode(path.join(directory.path, 'session.json'))).toBe('600')
  })

  it('gives back its record, the old or the new one, and leaves no other file', () => {
    const directory = store().create()
    expect(directory.read()).toBeUndefined()
    directory.write(record())
    directory.write(record({state: 'ended'}))
    expect(directory.read()).toEqual(record({state: 'ended', createdAt: directory.read()!.createdAt}))
    expect(readdirSync(directory.path)).toEqual(['session.json'])
  })

  it.runIf(root)('is not made below a directory of another user', () => {
    mkdirSync(path.join(folder, 'mirrord'))
    chownSync(path.join(folder, 'mirrord'), 4711, 4711)
    expect(failure(() => store().create())).toMatchObject({exit: 'permission', code: 'STATE_DIRECTORY_FOREIGN'})
  })

  it.runIf(root)('of another user is not taken for one of ours', () => {
    const directory = store().create()
    directory.write(record())
    expect(store().list()).toHaveLength(1)
    chownSync(path.dirname(directory.path), 4711, 4711)
    expect(store().list()).toEqual([])
  })

  it('is not made where a link or a file is', () => {
    symlinkSync('/tmp', path.join(folder, 'mirrord'))
    expect(failure(() => store().create())).toMatchObject({code: 'STATE_DIRECTORY_FOREIGN'})
    rmSync(path.join(folder, 'mirrord'))
    writeFileSync(path.join(folder, 'mirrord'), '')
    expect(failure(() => store().create())).toMatchObject({code: 'STATE_DIRECTORY_FOREIGN'})
  })

  it('that cannot be made is reported with what to set', () => {
    const report = failure(() => new SessionStore('/proc/nowhere/mirrord', 'aaaaaaaa').create())
    expect(report).toMatchObject({exit: 'permission', code: 'STATE_DIRECTORY'})
    expect(report.next[0]).toContain('RUNNER_TEMP')
  })

  it('is listed by its job only, and other files are passed over', () => {
    const made = [store().create().id, store().create().id].sort()
    writeFileSync(path.join(folder, 'mirrord/aaaaaaaa/notes'), '')
    expect(
      store()
        .list()
        .map(({id}) => id),
    ).toEqual(made)
    expect(new SessionStore(path.join(folder, 'mirrord'), 'bbbbbbbb').list()).toEqual([])
  })

  it('is made while other processes make theirs and prune', () => {
    const script = `
      import {SessionStore} from ${JSON.stringify(path.join(import.meta.dirname, '../../../src/session/state.ts'))}
      const store = new SessionStore(${JSON.stringify(path.join(folder, 'mirrord'))}, 'aaaaaaaa')
      for (let round = 0; round < 300; round++) {
        store.create().remove()
        store.prune()
      }
      console.log(store.create().id)`
    const file = path.join(folder, 'create.ts')
    writeFileSync(file, script)
    const shell = Array.from({length: 4}, () => `"$NODE" "${file}" &`).join('\n') + '\nwait'
    const {stdout, stderr} = spawnSync('/bin/sh', ['-c', shell], {
      env: {NODE: process.execPath, NODE_NO_WARNINGS: '1'},
      encoding: 'utf8',
    })
    expect(stderr).toBe('')
    const ids = stdout.trim().split('\n').sort()
    expect(ids).toHaveLength(4)
    expect(
      store()
        .list()
        .map(({id}) => id),
    ).toEqual(ids)
  })
})

describe('prune', () => {
  it('removes what is empty and nothing else', () => {
    const store = new SessionStore(path.join(folder, 'mirrord'), 'aaaaaaaa')
    const directory = store.create()
    store.prune()
    expect(existsSync(directory.path)).toBe(true)
    const other = new SessionStore(path.join(folder, 'mirrord'), 'bbbbbbbb').create()
    directory.remove()
    store.prune()
    expect(readdirSync(path.join(folder, 'mirrord'))).toEqual(['bbbbbbbb'])
    other.remove()
    new SessionStore(path.join(folder, 'mirrord'), 'bbbbbbbb').prune()
    expect(readdirSync(folder)).toEqual([])
    store.prune()
  })
})

describe('reaping', () => {
  const day = 24 * 3600 * 1000
  const old = () => new Date(Date.now() - 2 * day)

  function session(job: string, change?: Partial<SessionRecord>) {
    const directory = new SessionStore(path.join(folder, 'm'), job).create()
    if (change) directory.write(record(change))
    return directory
  }
  const reap = () => reapRoot(path.join(folder, 'm'), 'aaaaaaaa')

  it('[D30] removes dead sessions of other jobs from another boot or older than a day', async () => {
    const boot = session('bbbbbbbb', {session: {...dead, bootId: 'another'}})
    const aged = session('cccccccc', {createdAt: old().toISOString()})
    const unborn = session('dddddddd')
    utimesSync(unborn.path, old(), old())
    await reap()
    expect([boot, aged, unborn].map(({path: at}) => existsSync(at))).toEqual([false, false, false])
    expect(existsSync(path.join(folder, 'm'))).toBe(false)
  })

  it('[D1] keeps what lives, what is young, what is being born, and the own job', async () => {
    const kept = [
      session('bbbbbbbb', {session: identify(process.pid), createdAt: old().toISOString()}),
      session('cccccccc', {}),
      session('dddddddd'),
      session('aaaaaaaa', {createdAt: old().toISOString()}),
    ]
    await reap()
    expect(kept.map(({path: at}) => existsSync(at))).toEqual([true, true, true, true])
  })

  it('[D30] removes the copies of remote files of a dead session at once, not what its own stop reports', async () => {
    const crashed = session('bbbbbbbb', {state: 'ended'})
    mkdirSync(crashed.files)
    writeFileSync(path.join(crashed.files, 'copy'), '')
    await reap()
    expect(readdirSync(crashed.path)).toEqual(['session.json'])
  })

  it('[D6] keeps what another machine or another container may be running', async () => {
    const foreign = {...identify(process.pid)!, pid: 2 ** 22 - 1}
    const elsewhere = session('bbbbbbbb', {
      session: {...foreign, bootId: 'another', host: 'another'},
      createdAt: old().toISOString(),
    })
    const container = session('cccccccc', {session: {...foreign, namespace: 'pid:[1]'}, createdAt: old().toISOString()})
    const served = createServer().listen(container.socket)
    await once(served, 'listening')
    await reap()
    expect([elsewhere, container].map(({path: at}) => existsSync(at))).toEqual([true, true])
    served.close()
    await once(served, 'close')
    await reap()
    expect([elsewhere, container].map(({path: at}) => existsSync(at))).toEqual([true, false])
  })

  it('[D7] keeps a session whose record is damaged as long as it serves its socket', async () => {
    const damaged = session('bbbbbbbb')
    writeFileSync(path.join(damaged.path, 'session.json'), '{')
    const served = createServer((socket) => socket.destroy()).listen(damaged.socket)
    await once(served, 'listening')
    utimesSync(damaged.path, old(), old())
    await reap()
    expect(existsSync(damaged.path)).toBe(true)
    served.close()
    await once(served, 'close')
    utimesSync(damaged.path, old(), old())
    await reap()
    expect(existsSync(damaged.path)).toBe(false)
  })

  it('does nothing where there is nothing', async () => {
    await reap()
    expect(readdirSync(folder)).toEqual([])
  })
})
