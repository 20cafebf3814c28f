import {execFileSync} from 'node:child_process'
import {createHash, randomBytes} from 'node:crypto'
import {
  chmodSync,
  chownSync,
  closeSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statfsSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {afterAll, afterEach, beforeAll, beforeEach, describe, expect, it} from 'vitest'
import type {FileRequest} from '../../../src/protocol/index.ts'
import {buildAgent, isRoot, standaloneAgent, type Agent} from './lab.ts'
import {nobodyMay} from '../nobody.ts'
import {Peer} from './peer.ts'

/** Options by the first letters of their names; N is create_new. */
const options = (letters: string) => ({
  read: letters.includes('r'),
  write: letters.includes('w'),
  append: letters.includes('a'),
  truncate: letters.includes('t'),
  create: letters.includes('c'),
  createNew: letters.includes('N'),
})
const NOBODY = 65_534
const users = [
  {user: 'this user', words: [] as string[]},
  {user: 'nobody', words: ['setpriv', `--reuid=${NOBODY}`, `--regid=${NOBODY}`, '--clear-groups']},
]

beforeAll(buildAgent)
const mayRead = nobodyMay('read', join(import.meta.dirname, '../../../package.json'))

for (const {user, words} of users)
  describe.skipIf(words.length > 0 && !mayRead)(`writing through an agent of ${user}`, () => {
    const nobody = words.length > 0
    let agent: Agent
    let peer: Peer
    let directory: string

    beforeAll(async () => {
      // Its own umask must not show in what it creates.
      agent = await standaloneAgent(['sh', '-c', 'umask 077; exec "$@"', 'sh', ...words])
      peer = await Peer.connect(agent.port)
    })
    afterAll(async () => {
      peer?.close()
      if (agent) expect(await agent.exited).toBe(0)
    })
    beforeEach(() => {
      directory = mkdtempSync(join(tmpdir(), 'mrd-write-'))
      if (nobody) chownSync(directory, NOBODY, NOBODY)
    })
    afterEach(() => rmSync(directory, {recursive: true, force: true}))

    const at = (name: string) => join(directory, name)
    const file = (request: FileRequest) => peer.file(request)
    const open = async (name: string, letters: string) =>
      (await file({type: 'Open', value: {path: at(name), openOptions: options(letters)}})).fd
    const write = async (fd: number, text: string) =>
      (await file({type: 'Write', value: {fd, writeBytes: Buffer.from(text)}})).writtenAmount
    const read = async (fd: number, bufferSize = 100) =>
      Buffer.from((await file({type: 'Read', value: {remoteFd: fd, bufferSize}})).bytes).toString()
    const seek = (fd: number, value: number) => file({type: 'Seek', value: {fd, seekFrom: {type: 'Start', value}}})
    const refused = (rawOsError: number) => new RegExp(`"rawOsError":${rawOsError}\\b`)

    it('[FS-05] creates, writes and overwrites in place', async () => {
      const fd = await open('new', 'rwc')
      expect(await write(fd, 'hello world')).toBe(11)
      await file({type: 'WriteLimited', value: {remoteFd: fd, startFrom: 6, writeBytes: Buffer.from('there')}})
      expect(await write(fd, '!')).toBe(1)
      await seek(fd, 0)
      expect(await read(fd)).toBe('hello there!')
      expect(readFileSync(at('new'), 'utf8')).toBe('hello there!')
      expect(statSync(at('new')).mode & 0o7777).toBe(0o644)
      await file({type: 'WriteLimited', value: {remoteFd: fd, startFrom: 20, writeBytes: Buffer.from('x')}})
      expect(statSync(at('new')).size).toBe(21)
      expect(await read(fd)).toBe('\0\0\0\0\0\0\0\0x')
    })

    it('appends, truncates and insists on a new file', async () => {
      writeFileSync(at('log'), 'one\n')
      if (nobody) chownSync(at('log'), NOBODY, NOBODY)
      const appending = await open('log', 'ra')
      expect(await read(appending, 2)).toBe('on')
      await write(appending, 'two\n')
      expect(await read(appending)).toBe('')
      await write(appending, 'three\n')
      expect(readFileSync(at('log'), 'utf8')).toBe('one\ntwo\nthree\n')
      await write(await open('log', 'w'), 'ONE')
      expect(readFileSync(at('log'), 'utf8')).toBe('ONE\ntwo\nthree\n')
      await open('log', 'wt')
      expect(readFileSync(at('log'), 'utf8')).toBe('')
      await expect(open('log', 'wN')).rejects.toThrow(refused(17))
      await write(await open('fresh', 'wN'), 'x')
      expect(readFileSync(at('fresh'), 'utf8')).toBe('x')
      await expect(open('missing', 'w')).rejects.toThrow(refused(2))
      await expect(open('log', 'rc')).rejects.toThrow(refused(22))
      await expect(open('.', 'w')).rejects.toThrow(refused(21))
    })

    it('refuses what the descriptor does not allow', async () => {
      writeFileSync(at('file'), 'text')
      const fd = await open('file', 'r')
      await expect(write(fd, 'x')).rejects.toThrow(refused(9))
      await expect(file({type: 'Ftruncate', value: {fd, length: 1}})).rejects.toThrow(refused(22))
      const dir = await open('.', 'r')
      await expect(write(dir, 'x')).rejects.toThrow(/NotFile/)
      await expect(file({type: 'Fchmod', value: {fd: dir, mode: 0}})).rejects.toThrow(/NotFile/)
      await expect(write(12_345, 'x')).rejects.toThrow(/NotFound/)
    })

    it('performs and answers piled-up requests in their order', async () => {
      const fd = await open('many', 'rwc')
      const lines = Array.from({length: 3000}, (_, index) => `line ${index}\n`)
      for (const text of lines)
        peer.send({type: 'FileRequest', value: {type: 'Write', value: {fd, writeBytes: Buffer.from(text)}}})
      for (const text of lines) expect((await peer.fileReply()).writtenAmount).toBe(text.length)
      expect(readFileSync(at('many'), 'utf8')).toBe(lines.join(''))
    })

    it('takes 64 MiB in large pieces', async () => {
      const fd = await open('large', 'wc')
      const piece = randomBytes(1024 * 1024)
      const hash = createHash('sha256')
      for (let count = 0; count < 64; count++) {
        hash.update(piece)
        peer.send({type: 'FileRequest', value: {type: 'Write', value: {fd, writeBytes: piece}}})
        await peer.connection.drained()
      }
      for (let size = 0; size < 64 * piece.length;) {
        const {writtenAmount} = await peer.fileReply()
        expect(writtenAmount).toBe(piece.length)
        size += writtenAmount
      }
      expect(
        createHash('sha256')
          .update(readFileSync(at('large')))
          .digest('hex'),
      ).toBe(hash.digest('hex'))
    })

    it('[FS-22] sets length, mode, owner and exact times', async () => {
      const fd = await open('file', 'rwc')
      await write(fd, 'hello')
      await file({type: 'Ftruncate', value: {fd, length: 3}})
      expect(readFileSync(at('file'), 'utf8')).toBe('hel')
      await file({type: 'Ftruncate', value: {fd, length: 2 ** 33}})
      expect(statSync(at('file')).size).toBe(2 ** 33)
      await expect(file({type: 'Ftruncate', value: {fd, length: -1}})).rejects.toThrow(refused(22))

      await file({type: 'Fchmod', value: {fd, mode: 0o4751}})
      expect(statSync(at('file')).mode & 0o7777).toBe(0o4751)

      const times = (atime: number, atimeNs: number, mtime: number, mtimeNs: number): FileRequest => ({
        type: 'Futimens',
        value: {
          fd,
          times: [
            {tvSec: atime, tvNsec: atimeNs},
            {tvSec: mtime, tvNsec: mtimeNs},
          ],
        },
      })
      await file(times(1_700_000_000, 123_456_789, -5, 987_654_321))
      expect(statSync(at('file'), {bigint: true})).toMatchObject({
        atimeNs: 1_700_000_000_123_456_789n,
        mtimeNs: -5n * 1_000_000_000n + 987_654_321n,
      })
      const UTIME_OMIT = 0x3fff_fffe
      await file(times(0, UTIME_OMIT, 1_600_000_000, 1))
      expect(statSync(at('file'), {bigint: true})).toMatchObject({
        atimeNs: 1_700_000_000_123_456_789n,
        mtimeNs: 1_600_000_000_000_000_001n,
      })
      await file({type: 'Futimens', value: {fd, times: undefined}})
      expect(Math.abs(statSync(at('file')).mtimeMs - Date.now())).toBeLessThan(60_000)
      await expect(file(times(0, 2_000_000_000, 0, 0))).rejects.toThrow(refused(22))

      const keep = 0xffff_ffff
      await file({type: 'Fchown', value: {fd, owner: keep, group: keep}})
      if (nobody) await expect(file({type: 'Fchown', value: {fd, owner: 0, group: keep}})).rejects.toThrow(refused(1))
      else if (isRoot) {
        await file({type: 'Fchown', value: {fd, owner: 1234, group: keep}})
        await file({type: 'Fchown', value: {fd, owner: keep, group: 4321}})
        expect(statSync(at('file'))).toMatchObject({uid: 1234, gid: 4321})
      }
    })

    it('[FS-12] makes and removes directories', async () => {
      await file({type: 'MakeDir', value: {pathname: at('dir'), mode: 0o777}})
      expect(statSync(at('dir')).mode & 0o7777).toBe(0o755)
      await file({type: 'MakeDir', value: {pathname: `${at('dir')}/slash/`, mode: 0o700}})
      const dirfd = await open('dir', 'r')
      await file({type: 'MakeDirAt', value: {dirfd, pathname: 'sub', mode: 0o1750}})
      expect(statSync(at('dir/sub')).mode & 0o7777).toBe(0o1750)
      await expect(file({type: 'MakeDir', value: {pathname: at('dir'), mode: 0o700}})).rejects.toThrow(refused(17))
      await expect(file({type: 'MakeDir', value: {pathname: '/', mode: 0o700}})).rejects.toThrow(refused(17))
      await expect(file({type: 'MakeDir', value: {pathname: at('no/dir'), mode: 0o700}})).rejects.toThrow(refused(2))
      await expect(file({type: 'MakeDir', value: {pathname: 'relative', mode: 0o700}})).rejects.toThrow(/InvalidInput/)
      await expect(file({type: 'RemoveDir', value: {pathname: at('dir')}})).rejects.toThrow(refused(39))
      await expect(file({type: 'RemoveDir', value: {pathname: `${at('dir')}/.`}})).rejects.toThrow(refused(22))
      await expect(file({type: 'RemoveDir', value: {pathname: `${at('dir')}/..`}})).rejects.toThrow(refused(39))
      await file({type: 'UnlinkAt', value: {dirfd, pathname: 'sub', flags: 0x200}})
      await file({type: 'UnlinkAt', value: {dirfd: undefined, pathname: at('dir/slash'), flags: 0x200}})
      await expect(file({type: 'Unlink', value: {pathname: at('dir')}})).rejects.toThrow(refused(21))
      await file({type: 'RemoveDir', value: {pathname: `${at('dir')}/`}})
      expect(existsSync(at('dir'))).toBe(false)
      await expect(file({type: 'RemoveDir', value: {pathname: at('dir')}})).rejects.toThrow(refused(2))
    })

    it('[FS-26] removes names, links and not what they lead to', async () => {
      writeFileSync(at('file'), 'x')
      symlinkSync(at('file'), at('link'))
      mkdirSync(at('dir'))
      writeFileSync(at('dir/inner'), 'x')
      if (nobody) chownSync(at('dir'), NOBODY, NOBODY)
      await file({type: 'Unlink', value: {pathname: at('link')}})
      expect(readFileSync(at('file'), 'utf8')).toBe('x')
      const dirfd = await open('dir', 'r')
      const unlinkAt = (pathname: string, flags: number) => file({type: 'UnlinkAt', value: {dirfd, pathname, flags}})
      await expect(unlinkAt('inner', 0x400)).rejects.toThrow(refused(22))
      await expect(unlinkAt('inner', 0x200)).rejects.toThrow(refused(20))
      await expect(unlinkAt('inner/', 0)).rejects.toThrow(refused(20))
      await unlinkAt('inner', 0)
      await expect(unlinkAt('inner', 0)).rejects.toThrow(refused(2))
      await expect(file({type: 'Unlink', value: {pathname: '/'}})).rejects.toThrow(refused(21))
      expect(readdirSync(at('dir'))).toEqual([])
    })

    it('[FS-19] renames over what is there, and links themselves', async () => {
      writeFileSync(at('a'), 'a')
      writeFileSync(at('b'), 'b')
      symlinkSync('nowhere', at('link'))
      mkdirSync(at('dir'))
      const rename = (oldPath: string, newPath: string) =>
        file({type: 'Rename', value: {oldPath: at(oldPath), newPath: at(newPath)}})
      await rename('a', 'b')
      expect(readFileSync(at('b'), 'utf8')).toBe('a')
      await rename('link', 'moved')
      expect(readlinkSync(at('moved'))).toBe('nowhere')
      await rename('dir', 'other/')
      expect(lstatSync(at('other')).isDirectory()).toBe(true)
      await expect(rename('b', 'other')).rejects.toThrow(refused(21))
      await expect(rename('b/', 'c')).rejects.toThrow(refused(20))
      await expect(rename('a', 'c')).rejects.toThrow(refused(2))
      const up: FileRequest = {type: 'Rename', value: {oldPath: `${at('other')}/..`, newPath: at('c')}}
      await expect(file(up)).rejects.toThrow(refused(16))
    })

    it('[FS-28] tells statfs as the kernel does', async () => {
      const names = ['%t', '%s', '%b', '%c', '%l', '%S', '%i']
      const format = `--format=${names.join(' ')}`
      const mount = (path: string) => {
        const lines = readFileSync('/proc/self/mountinfo', 'utf8')
          .split('\n')
          .map((line) => line.split(' '))
        return lines.findLast((words) => words[4] === path)?.[5]?.split(',')
      }
      for (const path of [directory, '/proc']) {
        const [type, size, blocks, files, name, fragment, id] = execFileSync('stat', ['-f', format, path], {
          encoding: 'utf8',
        })
          .trim()
          .split(' ')
        const opened = (await file({type: 'Open', value: {path, openOptions: options('r')}})).fd
        const v2 = [
          (await file({type: 'StatFsV2', value: {path}})).metadata,
          (await file({type: 'XstatFsV2', value: {fd: opened}})).metadata,
        ]
        for (const metadata of v2) {
          expect([metadata.filesystemType, metadata.blockSize, metadata.blocks, metadata.files].map(Number)).toEqual([
            Number.parseInt(type!, 16),
            Number(size),
            Number(blocks),
            Number(files),
          ])
          expect([metadata.nameLen, metadata.fragmentSize].map(Number)).toEqual([Number(name), Number(fragment)])
          const [low, high] = metadata.filesystemId.map((part) => BigInt(part >>> 0))
          // coreutils prints the second number behind the first one.
          expect([((low! << 32n) | high!).toString(16), ((high! << 32n) | low!).toString(16)]).toContain(id)
          const words = mount(path)
          const flags = Number(metadata.flags)
          if (words) {
            const bits = [
              ['ro', 1],
              ['nosuid', 2],
              ['nodev', 4],
              ['noexec', 8],
            ] as const
            for (const [word, bit] of bits) expect([word, (flags & bit) !== 0]).toEqual([word, words.includes(word)])
          }
        }
        const v1 = [
          (await file({type: 'StatFs', value: {path}})).metadata,
          (await file({type: 'XstatFs', value: {fd: opened}})).metadata,
        ]
        const own = statfsSync(path)
        for (const metadata of v1) {
          expect(metadata).toMatchObject({filesystemType: own.type, blockSize: own.bsize, blocks: own.blocks})
          expect(metadata).not.toHaveProperty('flags')
        }
      }
      await expect(file({type: 'StatFsV2', value: {path: at('missing')}})).rejects.toThrow(refused(2))
    })

    it('lists a directory of 20,000 entries, names that are no UTF-8 among them', async () => {
      mkdirSync(at('huge'))
      for (let count = 0; count < 20_000; count++) closeSync(openSync(at(`huge/entry-${count}`), 'w'))
      writeFileSync(Buffer.concat([Buffer.from(at('huge/')), Buffer.from([0x61, 0xff, 0x62])]), '')
      const fd = await open('huge', 'r')
      const stream = (await file({type: 'FdOpenDir', value: {remoteFd: fd}})).fd
      const names = new Set<string>()
      for (let position = 0; ;) {
        const {dirEntries} = await file({type: 'ReadDirBatch', value: {remoteFd: stream, amount: 128}})
        if (dirEntries.length === 0) break
        for (const entry of dirEntries) {
          if (entry.position !== position++ || entry.inode === 0) throw new Error(`wrong: ${JSON.stringify(entry)}`)
          names.add(entry.name)
        }
      }
      expect(names.size).toBe(20_001)
      expect(names).toContain('a\ufffdb')
      const packed = new Map<string, number | bigint>()
      for (;;) {
        const {entries, resultSize} = await file({type: 'GetDEnts64', value: {remoteFd: fd, bufferSize: 32_768}})
        expect(resultSize).toBeLessThanOrEqual(32_768)
        if (entries.length === 0) break
        for (const {name, inode} of entries) packed.set(name, inode)
      }
      expect(packed.size).toBe(20_003)
      expect(Number(packed.get('entry-777'))).toBe(lstatSync(at('huge/entry-777')).ino)
    })

    it('does not wait for the other end of a FIFO', async () => {
      execFileSync('mkfifo', ['-m', '666', at('fifo')])
      const fd = await open('fifo', 'r')
      expect(await read(fd)).toBe('')
      const writer = await open('fifo', 'w')
      await expect(read(fd)).rejects.toThrow(refused(11))
      expect(await write(writer, 'through')).toBe(7)
      expect(await read(fd)).toBe('through')
      peer.send({type: 'FileRequest', value: {type: 'Close', value: {fd}}})
      await expect(write(writer, 'x')).rejects.toThrow(refused(32))
      await expect(open('fifo', 'wN')).rejects.toThrow(refused(17))
      peer.send({type: 'Ping'})
      await peer.next('Pong')
    })

    it('reports what the system denies', async () => {
      if (!nobody) return
      mkdirSync(at('closed'))
      writeFileSync(at('closed/file'), '')
      chownSync(at('closed'), 0, 0)
      chmodSync(at('closed'), 0o755)
      await expect(open('closed/file', 'w')).rejects.toThrow(refused(13))
      await expect(open('closed/new', 'wc')).rejects.toThrow(refused(13))
      await expect(file({type: 'Unlink', value: {pathname: at('closed/file')}})).rejects.toThrow(refused(13))
    })
  })
