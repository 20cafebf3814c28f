import fs from 'node:fs'
import {constants, tmpdir} from 'node:os'
import path from 'node:path'
import {afterEach, beforeEach, describe, expect, it, vi} from 'vitest'
import {lookupFlags} from '../../../../src/trap/wire.ts'
import {Room, type RoomOptions} from './room.ts'

const {errno} = constants
const {noFollow} = lookupFlags
let room: Room
beforeEach(() => void vi.useFakeTimers({toFake: ['performance']}))
afterEach(async () => {
  vi.useRealTimers()
  await room.close()
})

async function open(options?: RoomOptions): Promise<Room> {
  room = await Room.open(options)
  return room
}

const types = () => room.sent.map(({type}) => type)
const text = (answer: {source?: string}) => fs.readFileSync(answer.source ?? '', 'utf8')

describe('looking up remote files', () => {
  it('gives a placeholder with the type, size, mode and times of the target, and the rest in the answer', async () => {
    const {ask} = bound(await open())
    fs.writeFileSync(room.at('data'), 'x'.repeat(12_345), {mode: 0o644})
    fs.chmodSync(room.at('data'), 0o640)
    fs.utimesSync(room.at('data'), 1_600_000_000.25, 1_500_000_000.125)
    fs.chownSync(room.at('data'), process.getuid!(), process.getgid!())
    const answer = await ask('lookup', '/data')
    const there = fs.statSync(room.at('data'))
    const here = fs.statSync(answer.source!)
    expect(answer).toMatchObject({mode: there.mode, uid: there.uid, gid: there.gid, links: 1, blocks: there.blocks})
    expect({size: here.size, mode: here.mode, mtime: here.mtimeMs}).toEqual({
      size: 12_345,
      mode: 0o100640,
      mtime: 1_500_000_000_125,
    })
    expect(answer.validMs).toBeGreaterThan(0)
    expect(answer.validMs).toBeLessThanOrEqual(1000)
  })

  it('keeps device and inode from the lookup to the open descriptor', async () => {
    const {ask} = bound(await open())
    fs.writeFileSync(room.at('data'), 'content')
    const before = fs.statSync((await ask('lookup', '/data')).source!, {bigint: true})
    const answer = await ask('open', '/data')
    const after = fs.statSync(answer.source!, {bigint: true})
    expect(text(answer)).toBe('content')
    expect([after.dev, after.ino, after.size, after.mtimeNs, after.mode]).toEqual([
      before.dev,
      before.ino,
      before.size,
      before.mtimeNs,
      before.mode,
    ])
  })

  it('asks once for questions at the same time, and not again within a second', async () => {
    const {ask} = bound(await open())
    fs.writeFileSync(room.at('data'), 'content')
    await Promise.all(Array.from({length: 50}, () => ask('lookup', '/data')))
    await ask('lookup', '/data')
    expect(room.count('Xstat')).toBe(1)
    await Promise.all(Array.from({length: 50}, () => ask('lookup', '/missing')))
    expect(await ask('lookup', '/missing')).toMatchObject({errno: errno.ENOENT})
    expect(room.count('Xstat')).toBe(2)
  })

  it('passes the errno of the target on, with the time it holds', async () => {
    const {ask} = bound(await open())
    fs.writeFileSync(room.at('file'), '')
    fs.symlinkSync('loop', room.at('loop'))
    for (const [name, code] of [
      ['/nothing', errno.ENOENT],
      ['/file/below', errno.ENOTDIR],
      ['/loop', errno.ELOOP],
      [`/${'n'.repeat(256)}`, errno.ENAMETOOLONG],
    ] as const) {
      const answer = await ask('lookup', name)
      expect(answer.errno, name).toBe(code)
      expect(answer.validMs, name).toBeGreaterThan(0)
    }
  })

  it('[FS-20] shows a link as a link when it is not followed, and what it leads to when it is', async () => {
    const {ask} = bound(await open())
    fs.mkdirSync(room.at('real'))
    fs.writeFileSync(room.at('real/file'), 'behind the link')
    fs.symlinkSync('/real/file', room.at('link'))
    fs.symlinkSync('real', room.at('directory'))
    fs.symlinkSync('/nowhere', room.at('dangling'))
    const link = await ask('lookup', '/link', {flags: noFollow})
    expect(link.text).toBe('/real/file')
    expect(fs.lstatSync(link.source!).isSymbolicLink()).toBe(true)
    expect(fs.readlinkSync(link.source!)).toBe('/real/file')
    expect(fs.lstatSync(link.source!).mtimeMs).toBeCloseTo(fs.lstatSync(room.at('link')).mtimeMs, 1)
    const followed = await ask('lookup', '/link')
    expect(fs.lstatSync(followed.source!).isFile()).toBe(true)
    expect(followed.source).toBe(path.join(room.proxy.directory, 'link'))
    expect(text(await ask('open', '/link'))).toBe('behind the link')
    expect(text(await ask('open', '/directory/file'))).toBe('behind the link')
    expect(await ask('lookup', '/dangling')).toMatchObject({errno: errno.ENOENT})
    expect(await ask('lookup', '/dangling', {flags: noFollow})).toMatchObject({text: '/nowhere'})
    expect(await ask('open', '/link', {flags: fs.constants.O_NOFOLLOW})).toMatchObject({errno: errno.ELOOP})
  })

  it('follows a file that becomes a directory, and a directory that becomes a file', async () => {
    const {ask} = bound(await open())
    fs.writeFileSync(room.at('x'), 'file')
    await ask('open', '/x')
    past(1200)
    fs.rmSync(room.at('x'))
    fs.mkdirSync(room.at('x'))
    fs.writeFileSync(room.at('x/below'), 'below')
    expect(text(await ask('open', '/x/below'))).toBe('below')
    expect(fs.statSync((await ask('lookup', '/x')).source!).isDirectory()).toBe(true)
    past(1200)
    fs.rmSync(room.at('x'), {recursive: true})
    fs.writeFileSync(room.at('x'), 'again a file')
    expect(text(await ask('open', '/x'))).toBe('again a file')
    expect(await ask('lookup', '/x/below')).toMatchObject({errno: errno.ENOTDIR})
  })

  it('knows names with odd characters and of 255 bytes', async () => {
    const {ask} = bound(await open())
    for (const name of [
      'with space',
      'new\nline',
      'quote\'"',
      'back\\slash',
      'ünï→',
      '.hidden',
      'n'.repeat(255),
      '...',
    ]) {
      fs.writeFileSync(room.at(name), name)
      expect(text(await ask('open', `/${name}`))).toBe(name)
    }
  })

  it('answers about a path that is too long for our own disk', async () => {
    await open()
    const name = '/a'.repeat(2040)
    expect(await room.ask('open', name)).toMatchObject({errno: errno.ENOENT})
    expect(await room.ask('lookup', name)).toMatchObject({errno: errno.ENOENT})
  })

  it('[FS-28] answers statfs with the numbers of the target', async () => {
    const {ask} = bound(await open({version: '1.29.0'}))
    const answer = await ask('statfs', '/')
    const there = fs.statfsSync(room.root)
    expect(answer.numbers?.slice(0, 3)).toEqual([there.type, there.bsize, there.blocks])
    expect(answer.numbers).toHaveLength(12)
  })

  it('maps a path as it was told', async () => {
    const {ask} = bound(await open({map: (name) => name.replace('/a', '/b')}))
    expect(await ask('map', '/a/x')).toEqual({text: '/b/x'})
  })
})

describe('opening remote files for reading', () => {
  it('takes one round trip for a small file, and none again within a second', async () => {
    const {ask} = bound(await open())
    fs.writeFileSync(room.at('small'), 'k'.repeat(4096))
    const answer = ask('open', '/small')
    expect(types()).toEqual(['Open', 'Xstat', 'ReadLimited'])
    expect(text(await answer)).toHaveLength(4096)
    await vi.waitFor(() => expect(types()).toEqual(['Open', 'Xstat', 'ReadLimited', 'Close']))
    await ask('open', '/small')
    expect(room.sent).toHaveLength(4)
    past(1200)
    await ask('open', '/small')
    expect(types().slice(4)).toEqual(['Xstat'])
  })

  it('asks again when the descriptor was not the one that it expected', async () => {
    const {ask} = bound(await open())
    // Others open files on the same connection: numbers that we do not hear of.
    for (const name of ['x', 'y', 'z']) fs.writeFileSync(room.at(name), `content of ${name}`)
    const openOptions = {read: true, write: false, append: false, truncate: false, create: false, createNew: false}
    await room.session.fileRequest({type: 'Open', value: {path: '/z', openOptions}})
    expect(text(await ask('open', '/x'))).toBe('content of x')
    expect(types().filter((type) => type === 'ReadLimited')).toHaveLength(2)
    expect(text(await ask('open', '/y'))).toBe('content of y')
    expect(types().filter((type) => type === 'ReadLimited')).toHaveLength(3)
  })

  it('takes no bytes from a FIFO, and reads an empty file once', async () => {
    const {ask} = bound(await open())
    const {execFileSync} = await import('node:child_process')
    execFileSync('mkfifo', [room.at('fifo')])
    const fifo = fs.openSync(room.at('fifo'), fs.constants.O_RDWR | fs.constants.O_NONBLOCK)
    fs.writeSync(fifo, 'for the target')
    expect(await ask('open', '/fifo')).toHaveProperty('errno', errno.ENXIO)
    expect(fs.readSync(fifo, Buffer.alloc(100))).toBe(14)
    fs.closeSync(fifo)
    fs.writeFileSync(room.at('empty'), '')
    expect(text(await ask('open', '/empty'))).toBe('')
  })

  it('gives a changed file a new inode, and the old descriptor keeps what it had', async () => {
    const {ask} = bound(await open())
    fs.writeFileSync(room.at('config'), 'version one')
    const held = fs.openSync((await ask('open', '/config')).source!, 'r')
    past(1200)
    fs.writeFileSync(room.at('config'), 'version two')
    expect(text(await ask('open', '/config'))).toBe('version two')
    expect(fs.readFileSync(held, 'utf8')).toBe('version one')
    fs.closeSync(held)
  })

  it('shares one fetch among 200 opens', async () => {
    const {ask} = bound(await open())
    fs.writeFileSync(room.at('data'), 'shared')
    const answers = await Promise.all(Array.from({length: 200}, () => ask('open', '/data')))
    expect(new Set(answers.map(text))).toEqual(new Set(['shared']))
    expect(room.count('Open')).toBe(1)
    expect(room.count('ReadLimited')).toBe(1)
  })

  it('opens 200 files at once', async () => {
    const {ask} = bound(await open())
    for (let i = 0; i < 200; i++) fs.writeFileSync(room.at(`f${i}`), `content ${i}`.repeat(1000))
    const answers = await Promise.all(Array.from({length: 200}, (_, i) => ask('open', `/f${i}`)))
    answers.forEach((answer, i) => expect(text(answer)).toBe(`content ${i}`.repeat(1000)))
    await vi.waitFor(() => expect(room.count('Close')).toBe(200))
  })

  it('streams a large file, its holes too', async () => {
    const {ask} = bound(await open())
    const size = process.env.MIRRORD_LONG ? 1024 ** 3 : 256 * 1024 ** 2
    const fd = fs.openSync(room.at('large'), 'w')
    fs.ftruncateSync(fd, size)
    for (const at of [0, 5_000_001, size - 100]) fs.writeSync(fd, `marker at ${at}`, at)
    fs.closeSync(fd)
    const answer = await ask('open', '/large')
    const copy = fs.openSync(answer.source!, 'r')
    expect(fs.fstatSync(copy).size).toBe(size)
    expect(fs.fstatSync(copy).blocks * 512).toBeLessThan(8 * 1024 ** 2)
    const piece = Buffer.alloc(40)
    for (const at of [0, 5_000_001, size - 100]) {
      fs.readSync(copy, piece, 0, 40, at)
      expect(piece.toString()).toContain(`marker at ${at}`)
    }
    fs.closeSync(copy)
  }, 120_000)

  it('reads a file that says it is empty to its end', async () => {
    const {ask} = bound(await open())
    fs.writeFileSync(room.at('empty'), '')
    expect(text(await ask('open', '/empty'))).toBe('')
  })

  it('leaves no writer on a copy, so that a program can be executed', async () => {
    const {ask} = bound(await open())
    fs.copyFileSync('/bin/true', room.at('program'))
    fs.chmodSync(room.at('program'), 0o700)
    const {source} = await ask('open', '/program')
    const {execFileSync} = await import('node:child_process')
    expect(execFileSync(source!).toString()).toBe('')
  })

  it('lets the fetch end when every caller is gone, and starts anew for the next', async () => {
    const {ask} = bound(await open())
    fs.writeFileSync(room.at('data'), Buffer.alloc(64 * 1024 * 1024, 7))
    const callers = [new AbortController(), new AbortController()]
    const answers = callers.map((caller) => ask('open', '/data', {gone: caller.signal}))
    callers[0]!.abort()
    expect(await answers[0]).toHaveProperty('errno', errno.EINTR)
    callers[1]!.abort()
    expect(await answers[1]).toHaveProperty('errno', errno.EINTR)
    const answer = await ask('open', '/data')
    expect(fs.readFileSync(answer.source!).equals(Buffer.alloc(64 * 1024 * 1024, 7))).toBe(true)
  })

  it('refuses FIFOs and sockets with an errno and one warning', async () => {
    const {ask} = bound(await open())
    const {execFileSync} = await import('node:child_process')
    execFileSync('mkfifo', [room.at('pipe')])
    expect(await ask('open', '/pipe')).toHaveProperty('errno', errno.ENXIO)
    expect(await ask('open', '/pipe')).toHaveProperty('errno', errno.ENXIO)
    expect(room.warnings).toHaveLength(1)
    expect(room.warnings[0]).toMatch(/\/pipe of the target is a FIFO/)
    expect((await ask('lookup', '/pipe')).mode! & 0o170000).toBe(0o010000)
  })
})

describe('opening remote directories', () => {
  it('[FS-08][FS-16] lists names and types of the target', async () => {
    const {ask} = bound(await open())
    fs.mkdirSync(room.at('d'))
    fs.mkdirSync(room.at('d/sub'))
    fs.symlinkSync('file1', room.at('d/link'))
    for (let i = 0; i < 700; i++) fs.writeFileSync(room.at(`d/file${i}`), '')
    const {source} = await ask('open', '/d', {flags: fs.constants.O_DIRECTORY})
    const entries = fs.readdirSync(source!, {withFileTypes: true})
    const inode = fs.statSync(path.join(source!, 'file9')).ino
    expect(fs.statSync((await ask('open', '/d/file9')).source!).ino).toBe(inode)
    expect(entries.map(({name}) => name).sort()).toEqual(fs.readdirSync(room.at('d')).sort())
    const type = (name: string) => entries.find((entry) => entry.name === name)!
    expect(type('sub').isDirectory()).toBe(true)
    expect(type('link').isSymbolicLink()).toBe(true)
    expect(type('file7').isFile()).toBe(true)
    expect(fs.statSync(source!).mtimeMs).toBeCloseTo(fs.statSync(room.at('d')).mtimeMs, 1)
  })

  it('shows what has come and what has gone, and keeps copies that are there', async () => {
    const {ask} = bound(await open())
    fs.mkdirSync(room.at('d'))
    fs.writeFileSync(room.at('d/stays'), 'stays')
    fs.writeFileSync(room.at('d/goes'), 'goes')
    const copy = fs.statSync((await ask('open', '/d/stays')).source!).ino
    await ask('open', '/d')
    past(1200)
    fs.rmSync(room.at('d/goes'))
    fs.mkdirSync(room.at('d/new'))
    const {source} = await ask('open', '/d')
    expect(fs.readdirSync(source!).sort()).toEqual(['new', 'stays'])
    expect(fs.statSync(path.join(source!, 'stays')).ino).toBe(copy)
  })

  it('lists what can be opened: remote names that are remote, local names that are local', async () => {
    const here = fs.mkdtempSync(path.join(tmpdir(), 'mirrord-both-'))
    try {
      fs.writeFileSync(path.join(here, 'mine.js'), '')
      fs.writeFileSync(path.join(here, 'mine.txt'), '')
      fs.mkdirSync(path.join(here, 'modules.js'))
      const {ask} = bound(
        await open({
          classify: (name) => (name.endsWith('.js') ? 'local' : name.endsWith('.key') ? 'notFound' : 'readOnly'),
        }),
      )
      fs.mkdirSync(room.at(here), {recursive: true})
      for (const name of ['theirs.txt', 'theirs.js', 'secret.key']) fs.writeFileSync(room.at(`${here}/${name}`), '')
      const {source} = await ask('open', here)
      expect(fs.readdirSync(source!).sort()).toEqual(['mine.js', 'modules.js', 'theirs.txt'])
      expect(fs.statSync(path.join(source!, 'modules.js')).isDirectory()).toBe(true)
    } finally {
      fs.rmSync(here, {recursive: true})
    }
  })

  it('asks an old agent entry by entry', async () => {
    const {ask} = bound(await open({version: '1.5.0'}))
    fs.mkdirSync(room.at('d'))
    for (const name of ['a', 'b', 'c']) fs.writeFileSync(room.at(`d/${name}`), name)
    const {source} = await ask('open', '/d')
    expect(fs.readdirSync(source!).sort()).toEqual(['a', 'b', 'c'])
    expect(room.count('ReadDirBatch')).toBe(0)
  })

  it('lists 20,000 names by one inode, and gives each its file when it is asked for', async () => {
    await open()
    const ask = room.ask.bind(room)
    fs.mkdirSync(room.at('many'))
    fs.writeFileSync(room.at('many/blank'), '')
    for (let count = 0; count < 20_000; count++) fs.linkSync(room.at('many/blank'), room.at(`many/${count}`))
    const {source} = await ask('open', '/many', {flags: fs.constants.O_DIRECTORY})
    const listed = fs.readdirSync(source!, {withFileTypes: true})
    expect(listed).toHaveLength(20_001)
    expect(listed.every((entry) => entry.isFile())).toBe(true)
    expect(fs.statSync(`${source}/1`).ino).toBe(fs.statSync(`${source}/2`).ino)
    fs.rmSync(room.at('many/7'))
    fs.writeFileSync(room.at('many/7'), 'seven')
    fs.rmSync(room.at('many/8'))
    fs.writeFileSync(room.at('many/8'), 'eight')
    expect([text(await ask('open', '/many/7')), text(await ask('open', '/many/8'))]).toEqual(['seven', 'eight'])
    expect(fs.statSync(`${source}/9`).size).toBe(0)
    expect(fs.statSync(`${source}/7`).ino).not.toBe(fs.statSync(`${source}/8`).ino)
  })

  it('refuses a file as a directory', async () => {
    const {ask} = bound(await open())
    fs.writeFileSync(room.at('f'), '')
    expect(await ask('open', '/f', {flags: fs.constants.O_DIRECTORY})).toHaveProperty('errno', errno.ENOTDIR)
  })
})

describe('trouble', () => {
  it('answers EIO when the agent is lost in the middle of a fetch', async () => {
    const {ask} = bound(await open())
    fs.writeFileSync(room.at('data'), Buffer.alloc(64 * 1024 * 1024, 7))
    const answer = ask('open', '/data')
    while (room.count('ReadLimited') === 0) await new Promise(setImmediate)
    room.loseAgent()
    expect(await answer).toEqual({errno: errno.EIO, validMs: 0})
    expect(await ask('lookup', '/other')).toEqual({errno: errno.EIO, validMs: 0})
  })

  it('fetches a file from the agent that has taken over when the one before was lost in the middle', async () => {
    const {ask} = bound(await open())
    fs.writeFileSync(room.at('data'), Buffer.alloc(64 * 1024 * 1024, 7))
    const answer = ask('open', '/data')
    while (room.count('ReadLimited') === 0) await new Promise(setImmediate)
    await room.replaceAgent((root) => fs.writeFileSync(`${root}/data`, 'of the pod that follows'))
    expect(text(await answer)).toBe('of the pod that follows')
  })

  it('answers ENOSPC and names the directory when the disk is full, and recovers', async ({skip}) => {
    const disk = fs.mkdtempSync(path.join(tmpdir(), 'mirrord-full-'))
    const {execFileSync} = await import('node:child_process')
    try {
      execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'none', disk], {stdio: 'ignore'})
    } catch {
      fs.rmdirSync(disk)
      room = await Room.open()
      return skip('no right to mount a small file system')
    }
    try {
      const {ask} = bound(await open({directory: path.join(disk, 'copies')}))
      fs.writeFileSync(room.at('large'), Buffer.alloc(4 * 1024 * 1024, 7))
      fs.writeFileSync(room.at('small'), 'fits')
      expect(await ask('open', '/large')).toEqual({errno: errno.ENOSPC, validMs: 0})
      expect(room.warnings).toHaveLength(1)
      expect(room.warnings[0]).toContain(disk)
      expect(text(await ask('open', '/small'))).toBe('fits')
      execFileSync('mount', ['-o', 'remount,size=8m', disk])
      expect(text(await ask('open', '/large'))).toHaveLength(4 * 1024 * 1024)
    } finally {
      await room.proxy.close() // nothing is made on the disk any more
      execFileSync('umount', [disk])
      fs.rmdirSync(disk)
    }
  })

  it('answers EIO and warns when the agent is silent', async () => {
    vi.useRealTimers()
    const {ask} = bound(await open({stallMs: 50}))
    room.session.connection.pause()
    expect(await ask('lookup', '/data')).toEqual({errno: errno.EIO, validMs: 0})
    expect(room.warnings[0]).toMatch(/has not answered a file request/)
  })
})

/** `ask` of a room that is destructured. */
function bound(room: Room): {ask: Room['ask']} {
  return {ask: (...args) => room.ask(...args)}
}

/** Lets what is remembered grow old: the proxy's second has a clock of its own. */
function past(ms: number): void {
  vi.advanceTimersByTime(ms)
}
