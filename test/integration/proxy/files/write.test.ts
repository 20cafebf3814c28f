import {spawn} from 'node:child_process'
import {once} from 'node:events'
import fs from 'node:fs'
import {constants} from 'node:os'
import {afterEach, beforeEach, describe, expect, it, vi} from 'vitest'
import {until} from '../sockets.ts'
import {Room, type RoomOptions} from './room.ts'

const {errno} = constants
const {O_APPEND, O_CREAT, O_EXCL, O_RDONLY, O_RDWR, O_TRUNC, O_WRONLY} = fs.constants
let room: Room
beforeEach(() => void vi.useFakeTimers({toFake: ['performance']}))
afterEach(async () => {
  vi.useRealTimers()
  await room.close()
})

async function open(options?: RoomOptions): Promise<Pick<Room, 'ask'>> {
  room = await Room.open(options)
  return {ask: (...args) => room.ask(...args)}
}

/** Opens as the trap does: the session first, then the copy with the program's flags. */
async function writable(name: string, flags: number, mode = 0o644): Promise<{fd: number; object: number}> {
  const answer = await room.ask('open', name, {flags, mode})
  if (answer.errno !== undefined || answer.object === undefined) throw new Error(`open ${name}: errno ${answer.errno}`)
  const fd = fs.openSync(answer.source!, flags & ~(O_CREAT | O_EXCL | O_TRUNC))
  expect(fs.fstatSync(fd).ino).toBe(answer.object)
  return {fd, object: answer.object}
}

async function done({fd, object}: {fd: number; object: number}): Promise<void> {
  fs.closeSync(fd)
  expect(await room.ask('close', '', {object})).toEqual({})
  await room.proxy.closed(object, 1)
}

const there = (name: string) => fs.readFileSync(room.at(name), 'utf8')

describe('writing remote files', () => {
  it('makes a file with the mode that the program asked for, and brings its content at fsync and close', async () => {
    await open()
    const file = await writable('/new', O_WRONLY | O_CREAT | O_EXCL, 0o640)
    expect(fs.statSync(room.at('new')).mode & 0o7777).toBe(0o640)
    fs.writeSync(file.fd, 'first')
    expect(await room.ask('sync', '', {object: file.object})).toEqual({})
    expect(there('new')).toBe('first')
    fs.writeSync(file.fd, ' second')
    await done(file)
    expect(there('new')).toBe('first second')
    expect(await room.ask('open', '/new', {flags: O_WRONLY | O_CREAT | O_EXCL})).toMatchObject({errno: errno.EEXIST})
    expect(room.warnings).toEqual([])
  })

  it('shows at once what was written: the copy is the file of its path', async () => {
    const {ask} = await open()
    fs.writeFileSync(room.at('f'), 'old content')
    const file = await writable('/f', O_RDWR)
    expect(fs.readFileSync(file.fd, 'utf8')).toBe('old content')
    fs.writeSync(file.fd, 'NEW', 0)
    const reader = await ask('open', '/f')
    expect(fs.readFileSync(reader.source!, 'utf8')).toBe('NEW content')
    fs.ftruncateSync(file.fd, 5)
    expect(fs.statSync((await ask('lookup', '/f')).source!).size).toBe(5)
    await done(file)
    expect(there('f')).toBe('NEW c')
    vi.advanceTimersByTime(1200)
    const again = await ask('open', '/f')
    expect(fs.readFileSync(again.source!, 'utf8')).toBe('NEW c')
    expect(fs.statSync(again.source!).ino).toBe(file.object)
    expect(fs.statSync(again.source!).mtimeMs).toBeCloseTo(fs.statSync(room.at('f')).mtimeMs, 1)
  })

  it('sends only the blocks that have changed', async () => {
    await open()
    const size = 4 * 1024 * 1024
    fs.writeFileSync(room.at('big'), Buffer.alloc(size, 1))
    const file = await writable('/big', O_RDWR)
    fs.writeSync(file.fd, 'changed', 1_000_000)
    await done(file)
    const writes = room.sent.filter((request) => request.type === 'WriteLimited')
    expect(writes).toHaveLength(1)
    expect(writes[0]!.value.writeBytes.length).toBe(256 * 1024)
    const expected = Buffer.alloc(size, 1)
    expected.write('changed', 1_000_000)
    expect(fs.readFileSync(room.at('big')).equals(expected)).toBe(true)
  })

  it('keeps holes, and what another writer has put into blocks that this one left alone', async () => {
    await open()
    fs.writeFileSync(room.at('shared'), Buffer.alloc(1024 * 1024, 1))
    const file = await writable('/shared', O_RDWR)
    const other = fs.openSync(room.at('shared'), 'r+')
    fs.writeSync(other, 'theirs', 600_000)
    fs.closeSync(other)
    fs.writeSync(file.fd, 'ours', 100)
    await done(file)
    const content = fs.readFileSync(room.at('shared'))
    expect(content.subarray(600_000, 600_006).toString()).toBe('theirs')
    expect(content.subarray(100, 104).toString()).toBe('ours')
    const sparse = await writable('/sparse', O_RDWR | O_CREAT)
    fs.ftruncateSync(sparse.fd, 64 * 1024 * 1024)
    fs.writeSync(sparse.fd, 'x', 32 * 1024 * 1024)
    await done(sparse)
    expect(fs.statSync(room.at('sparse')).size).toBe(64 * 1024 * 1024)
    expect(fs.statSync(room.at('sparse')).blocks * 512).toBeLessThan(1024 * 1024)
  })

  it('appends: lines of the pod in between survive', async () => {
    await open()
    fs.writeFileSync(room.at('log'), 'before\n')
    const file = await writable('/log', O_WRONLY | O_APPEND | O_CREAT)
    const lines: string[] = []
    for (let i = 0; i < 20; i++) {
      fs.writeSync(file.fd, `ours ${i}\n`)
      expect(await room.ask('sync', '', {object: file.object})).toEqual({})
      fs.appendFileSync(room.at('log'), `theirs ${i}\n`)
      lines.push(`ours ${i}`, `theirs ${i}`)
    }
    await done(file)
    expect(there('log')).toBe(`before\n${lines.join('\n')}\n`)
    vi.advanceTimersByTime(1200)
    expect(fs.readFileSync((await room.ask('open', '/log')).source!, 'utf8')).toBe(there('log'))
  })

  it('appends: what is cut and written anew comes whole, whatever its length', async () => {
    await open()
    fs.writeFileSync(room.at('pid'), '1234\n')
    const file = await writable('/pid', O_RDWR | O_APPEND)
    for (const text of ['5678\n', 'longer than before\n', 'short\n', 'other\n']) {
      fs.ftruncateSync(file.fd, 0)
      fs.writeSync(file.fd, text)
      expect(await room.ask('sync', '', {object: file.object})).toEqual({})
      expect(there('pid')).toBe(text)
    }
    fs.writeSync(file.fd, Buffer.alloc(1_000_000, 'x'))
    expect(await room.ask('sync', '', {object: file.object})).toEqual({})
    fs.ftruncateSync(file.fd, 0)
    fs.writeSync(file.fd, Buffer.alloc(1_000_006, 'y'))
    await done(file)
    expect(there('pid')).toBe('y'.repeat(1_000_006))
  })

  it('makes nothing of a file that is there for a descriptor that only reads', async () => {
    const {ask} = await open()
    fs.writeFileSync(room.at('lock'), 'held', {mode: 0o444})
    const answer = await ask('open', '/lock', {flags: O_RDONLY | O_CREAT, mode: 0o600})
    expect(fs.readFileSync(answer.source!, 'utf8')).toBe('held')
    expect(room.sent.filter(({type, value}) => type === 'Open' && value.openOptions.write)).toEqual([])
  })

  it('cuts a file that is open elsewhere, in place', async () => {
    const {ask} = await open()
    fs.writeFileSync(room.at('f'), 'long content')
    const first = await writable('/f', O_RDWR)
    fs.writeSync(first.fd, 'not yet sent', 100)
    const reader = fs.openSync((await ask('open', '/f')).source!, 'r')
    const second = await writable('/f', O_WRONLY | O_TRUNC)
    expect(second.object).toBe(first.object)
    expect(fs.fstatSync(reader).size).toBe(0)
    expect(there('f')).toBe('')
    fs.writeSync(second.fd, 'short')
    fs.closeSync(first.fd)
    fs.closeSync(reader)
    await done(second)
    expect(there('f')).toBe('short')
  })

  it('makes a file for a descriptor that only reads', async () => {
    const {ask} = await open()
    const answer = await ask('open', '/lock', {flags: O_RDONLY | O_CREAT, mode: 0o600})
    expect(answer.errno).toBeUndefined()
    expect(answer.object).toBeUndefined()
    expect(fs.readFileSync(answer.source!, 'utf8')).toBe('')
    expect(fs.statSync(room.at('lock')).mode & 0o7777).toBe(0o600)
  })

  it('gives the errno of the target: directories, missing parents', async () => {
    const {ask} = await open()
    fs.mkdirSync(room.at('d'))
    expect(await ask('open', '/d', {flags: O_WRONLY})).toMatchObject({errno: errno.EISDIR})
    expect(await ask('open', '/no/f', {flags: O_WRONLY | O_CREAT})).toMatchObject({errno: errno.ENOENT})
    expect(await ask('open', '/f', {flags: O_WRONLY})).toMatchObject({errno: errno.ENOENT})
  })

  it('brings to the target what a program leaves behind that was killed', async () => {
    await open()
    const {fd, object} = await writable('/f', O_WRONLY | O_CREAT)
    fs.writeSync(fd, 'unsaved')
    fs.closeSync(fd)
    await room.proxy.closed(object, 1)
    expect(there('f')).toBe('unsaved')
  })

  it('writes behind, so that little is lost', async () => {
    vi.useRealTimers()
    await open()
    const file = await writable('/f', O_WRONLY | O_CREAT)
    fs.writeSync(file.fd, 'written and not closed')
    await until('the content', () => there('f') === 'written and not closed')
    await done(file)
  })

  it('saves what comes after a close that was not the last', async () => {
    await open()
    const file = await writable('/f', O_RDWR | O_CREAT)
    fs.writeSync(file.fd, 'one')
    await room.proxy.closed(file.object, 1)
    fs.writeSync(file.fd, ' two')
    await done(file)
    expect(there('f')).toBe('one two')
  })

  it('leaves no writer on the copy after close, so that a program may execute what it wrote', async () => {
    const {ask} = await open()
    const file = await writable('/run', O_WRONLY | O_CREAT, 0o755)
    fs.writeSync(file.fd, fs.readFileSync('/bin/true'))
    fs.closeSync(file.fd)
    await ask('close', '', {object: file.object})
    const {execFileSync} = await import('node:child_process')
    expect(execFileSync((await ask('open', '/run')).source!).toString()).toBe('')
  })

  it('reports what cannot be saved when the agent is lost', async () => {
    await open()
    const file = await writable('/f', O_WRONLY | O_CREAT)
    fs.writeSync(file.fd, 'lost')
    room.loseAgent()
    expect(await room.ask('sync', '', {object: file.object})).toMatchObject({errno: errno.EIO})
    fs.closeSync(file.fd)
    await room.proxy.closed(file.object, 1)
    expect(room.warnings.at(-1)).toMatch(/What was written to \/f could not be brought to the target/)
    const unsaved = await room.proxy.flush()
    expect(unsaved).toMatchObject([{path: '/f'}])
    expect(fs.readFileSync(unsaved[0]!.copy, 'utf8')).toBe('lost')
  })

  it('reports nothing of what has no name any more when the agent is lost', async () => {
    const {ask} = await open()
    const names = ['/unlinked', '/replaced', '/kept']
    for (const name of names) fs.writeSync((await writable(name, O_WRONLY | O_CREAT)).fd, name)
    fs.writeFileSync(room.at('other'), 'other')
    expect(await ask('unlink', '/unlinked')).toEqual({})
    expect(await ask('rename', '/other', {other: '/replaced'})).toEqual({})
    expect(fs.readFileSync((await ask('open', '/replaced')).source!, 'utf8')).toBe('other')
    room.loseAgent()
    const unsaved = await room.proxy.flush()
    expect(unsaved).toMatchObject([{path: '/kept'}])
    expect(fs.readFileSync(unsaved[0]!.copy, 'utf8')).toBe('/kept')
  })
})

describe('another agent that takes over', () => {
  it('gets what is open for writing whole: the pod that follows has files of its own', async () => {
    await open()
    const file = await writable('/f', O_WRONLY | O_CREAT)
    fs.writeSync(file.fd, 'written before,')
    expect(await room.ask('sync', '', {object: file.object})).toEqual({})
    await room.replaceAgent()
    expect(there('f')).toBe('')
    fs.writeSync(file.fd, ' and after')
    await done(file)
    expect(there('f')).toBe('written before, and after')
    expect(room.warnings).toEqual([])
  })

  it('gets the lines of a log from its beginning when it has none, and only the new ones otherwise', async () => {
    await open()
    const file = await writable('/log', O_WRONLY | O_APPEND | O_CREAT)
    fs.writeSync(file.fd, 'one\n')
    expect(await room.ask('sync', '', {object: file.object})).toEqual({})
    await room.replaceAgent()
    fs.writeSync(file.fd, 'two\n')
    expect(await room.ask('sync', '', {object: file.object})).toEqual({})
    expect(there('log')).toBe('one\ntwo\n')
    // The same pod again: its log is as it was, with a line of its own.
    const kept = there('log')
    await room.replaceAgent((root) => fs.writeFileSync(`${root}/log`, `${kept}theirs\n`))
    fs.writeSync(file.fd, 'three\n')
    await done(file)
    expect(there('log')).toBe('one\ntwo\ntheirs\nthree\n')
  })

  it('is told of what cannot be written there', async () => {
    await open()
    fs.mkdirSync(room.at('d'))
    const file = await writable('/d/f', O_WRONLY | O_CREAT)
    fs.writeSync(file.fd, 'text')
    await room.replaceAgent()
    expect(room.warnings).toEqual([
      expect.stringMatching(/What is being written to \/d\/f cannot go to the target any more: .*ENOENT|NotFound/),
    ])
    expect(await room.proxy.flush()).toMatchObject([{path: '/d/f'}])
    fs.closeSync(file.fd)
  })

  it('answers for files that were read from the one before', async () => {
    const {ask} = await open()
    fs.writeFileSync(room.at('name'), 'one')
    const read = async () => fs.readFileSync((await ask('open', '/name')).source!, 'utf8')
    expect(await read()).toBe('one')
    const {changes} = room
    await room.replaceAgent((root) => fs.writeFileSync(`${root}/name`, 'two'))
    expect(room.changes).toBeGreaterThan(changes)
    expect(await read()).toBe('two')
  })
})

describe('changing remote files by path', () => {
  it('[FS-12] makes and removes directories', async () => {
    const {ask} = await open()
    expect(await ask('lookup', '/d')).toMatchObject({errno: errno.ENOENT})
    expect(await ask('mkdir', '/d', {mode: 0o750})).toEqual({})
    expect(fs.statSync(room.at('d')).mode & 0o7777).toBe(0o750)
    expect(fs.statSync((await ask('lookup', '/d')).source!).isDirectory()).toBe(true)
    expect(await ask('mkdir', '/d', {mode: 0o750})).toMatchObject({errno: errno.EEXIST})
    fs.writeFileSync(room.at('d/f'), '')
    expect(await ask('rmdir', '/d')).toMatchObject({errno: errno.ENOTEMPTY})
    expect(await ask('unlink', '/d/f')).toEqual({})
    expect(await ask('rmdir', '/d')).toEqual({})
    expect(await ask('lookup', '/d')).toMatchObject({errno: errno.ENOENT})
    expect(fs.existsSync(room.at('d'))).toBe(false)
    expect(room.changes).toBeGreaterThan(0)
  })

  it('[FS-19] renames, with descriptors that are open', async () => {
    const {ask} = await open()
    fs.mkdirSync(room.at('d'))
    const file = await writable('/d/draft', O_WRONLY | O_CREAT)
    fs.writeFileSync(room.at('final'), 'old')
    expect(fs.readFileSync((await ask('open', '/final')).source!, 'utf8')).toBe('old')
    fs.writeSync(file.fd, 'renamed ')
    expect(await ask('rename', '/d/draft', {other: '/final'})).toEqual({})
    fs.writeSync(file.fd, 'content')
    expect(fs.readFileSync((await ask('open', '/final')).source!, 'utf8')).toBe('renamed content')
    expect(await ask('lookup', '/d/draft')).toMatchObject({errno: errno.ENOENT})
    await done(file)
    expect(there('final')).toBe('renamed content')
    expect(await ask('rename', '/d', {other: '/e'})).toEqual({})
    expect(await ask('rename', '/final', {other: '/e', flags: 1})).toMatchObject({errno: errno.EEXIST})
    expect(await ask('rename', '/final', {other: '/e/final', flags: 1})).toEqual({})
    expect(there('e/final')).toBe('renamed content')
    expect(await ask('rename', '/missing', {other: '/x'})).toMatchObject({errno: errno.ENOENT})
  })

  it('[FS-26] unlinks; an open descriptor keeps its file', async () => {
    const {ask} = await open()
    fs.writeFileSync(room.at('f'), 'kept')
    const file = await writable('/f', O_RDWR)
    expect(await ask('unlink', '/f')).toEqual({})
    expect(fs.existsSync(room.at('f'))).toBe(false)
    expect(fs.readFileSync(file.fd, 'utf8')).toBe('kept')
    fs.writeSync(file.fd, 'more')
    await done(file)
    expect(fs.existsSync(room.at('f'))).toBe(false)
    fs.symlinkSync('target', room.at('link'))
    fs.writeFileSync(room.at('target'), 'stays')
    expect(await ask('unlink', '/link')).toEqual({})
    expect(there('target')).toBe('stays')
  })

  it('truncates, and changes modes, owners and times', async () => {
    const {ask} = await open()
    fs.writeFileSync(room.at('f'), '0123456789')
    await ask('open', '/f')
    expect(await ask('truncate', '/f', {numbers: [4]})).toEqual({})
    expect(there('f')).toBe('0123')
    expect(await ask('chmod', '/f', {mode: 0o604})).toEqual({})
    expect(fs.statSync(room.at('f')).mode & 0o7777).toBe(0o604)
    expect((await ask('lookup', '/f')).mode! & 0o7777).toBe(0o604)
    const me = [process.getuid!(), process.getgid!()]
    expect(await ask('chown', '/f', {numbers: [me[0]!, -1]})).toEqual({})
    const times = await ask('utimens', '/f', {numbers: [1_600_000_000, 0, 1_500_000_000, 500_000_000]})
    expect(times).toEqual({})
    expect(fs.statSync(room.at('f')).mtimeMs).toBe(1_500_000_000_500)
    const {source} = await ask('open', '/f')
    expect(fs.statSync(source!).mtimeMs).toBe(1_500_000_000_500)
    expect(fs.readFileSync(source!, 'utf8')).toBe('0123')
  })

  it('changes an open file by its copy, and closing does not change its times again', async () => {
    const {ask} = await open()
    const file = await writable('/f', O_WRONLY | O_CREAT)
    fs.writeSync(file.fd, 'content')
    const {object} = file
    expect(await ask('chmod', '', {object, mode: 0o600})).toEqual({})
    expect(await ask('utimens', '', {object, numbers: [1_500_000_000, 0, 1_400_000_000, 0]})).toEqual({})
    await done(file)
    expect(there('f')).toBe('content')
    expect(fs.statSync(room.at('f')).mode & 0o7777).toBe(0o600)
    expect(fs.statSync(room.at('f')).mtimeMs).toBe(1_400_000_000_000)
  })

  it('sets modes and owners of regular files only, but what is so already is no error', async () => {
    const {ask} = await open()
    fs.mkdirSync(room.at('d'), {mode: 0o755})
    fs.chmodSync(room.at('d'), 0o755)
    expect(await ask('chmod', '/d', {mode: 0o755})).toEqual({})
    expect(await ask('chown', '/d', {numbers: [process.getuid!(), -1]})).toEqual({})
    expect(room.warnings).toEqual([])
    expect(await ask('chmod', '/d', {mode: 0o700})).toMatchObject({errno: errno.EOPNOTSUPP})
    expect(await ask('chmod', '/d', {mode: 0o700})).toMatchObject({errno: errno.EOPNOTSUPP})
    expect(room.warnings).toHaveLength(1)
  })

  it('changes the mode and times of a program that runs', async () => {
    const {ask} = await open()
    fs.copyFileSync('/bin/sleep', room.at('run'))
    fs.chmodSync(room.at('run'), 0o755)
    const program = spawn((await ask('open', '/run')).source!, ['60'])
    try {
      await once(program, 'spawn')
      expect(await ask('chmod', '/run', {mode: 0o711})).toEqual({})
      expect(await ask('utimens', '/run', {numbers: [1_600_000_000, 0, 1_500_000_000, 0]})).toEqual({})
      expect(fs.statSync(room.at('run'))).toMatchObject({mode: 0o100711, mtimeMs: 1_500_000_000_000})
    } finally {
      program.kill('SIGKILL')
      await once(program, 'exit')
    }
  })

  it('[FS-26] leaves links alone where the agent would change what they lead to', async () => {
    const {ask} = await open({upstream: true})
    fs.writeFileSync(room.at('target'), 'stays')
    fs.mkdirSync(room.at('dir'))
    fs.symlinkSync('target', room.at('link'))
    fs.symlinkSync('dir', room.at('dirlink'))
    fs.symlinkSync('nowhere', room.at('dangling'))
    expect(await ask('unlink', '/link')).toMatchObject({errno: errno.EPERM})
    expect(await ask('unlink', '/dangling')).toMatchObject({errno: errno.EPERM})
    expect(await ask('rename', '/link', {other: '/moved'})).toMatchObject({errno: errno.EPERM})
    expect(await ask('rename', '/target', {other: '/link'})).toMatchObject({errno: errno.EPERM})
    expect(await ask('rmdir', '/dirlink')).toMatchObject({errno: errno.ENOTDIR})
    expect(await ask('mkdir', '/dangling')).toMatchObject({errno: errno.EEXIST})
    expect(room.warnings).toEqual([expect.stringMatching(/\/link.*upstream/)])
    expect(fs.readdirSync(room.root).sort()).toEqual(['dangling', 'dir', 'dirlink', 'link', 'target'])
    expect(await ask('rename', '/target', {other: '/moved'})).toEqual({})
    expect(await ask('unlink', '/moved')).toEqual({})
    expect(await ask('rmdir', '/dir')).toEqual({})
    expect(await ask('mkdir', '/dir')).toEqual({})
  })

  it('refuses links, which the protocol has not', async () => {
    const {ask} = await open()
    expect(await ask('link', '/a', {other: '/b'})).toMatchObject({errno: errno.EPERM})
    expect(await ask('symlink', '/a', {other: 'text'})).toMatchObject({errno: errno.EPERM})
    expect(await ask('symlink', '/b', {other: 'text'})).toMatchObject({errno: errno.EPERM})
    expect(room.warnings).toHaveLength(2)
  })

  it('says once what an old agent cannot do, with its version', async () => {
    const {ask} = await open({version: '1.12.0'})
    fs.writeFileSync(room.at('f'), '12345')
    expect(await ask('mkdir', '/d')).toMatchObject({errno: errno.EOPNOTSUPP})
    expect(await ask('unlink', '/f')).toMatchObject({errno: errno.EOPNOTSUPP})
    expect(await ask('unlink', '/f')).toMatchObject({errno: errno.EOPNOTSUPP})
    expect(await ask('chmod', '/f', {mode: 0o600})).toMatchObject({errno: errno.EOPNOTSUPP})
    expect(await ask('truncate', '/f', {numbers: [2]})).toMatchObject({errno: errno.EOPNOTSUPP})
    expect(room.warnings).toHaveLength(3)
    for (const warning of room.warnings) expect(warning).toContain('1.12.0')
    const file = await writable('/f', O_WRONLY | O_TRUNC)
    fs.writeSync(file.fd, 'still writes')
    await done(file)
    expect(there('f')).toBe('still writes')
  })
})
