import {execFileSync, spawnSync} from 'node:child_process'
import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import {constants, tmpdir} from 'node:os'
import {dirname, join} from 'node:path'
import {afterAll, afterEach, beforeAll, describe, expect, it} from 'vitest'
import {inEachCondition} from './conditions.ts'
import {buildTrap, cleanUp, compile, compileGo, compileRust, python, run, which, type RunOptions} from './harness.ts'
import type {Classes} from './remote.ts'
import {WritableTarget} from './remote-written.ts'

let program: string
/** A directory of local files. */
let here: string
beforeAll(() => {
  buildTrap()
  program = compile('write')
  here = mkdtempSync(join(realpathSync(tmpdir()), 'mirrord-local-'))
})
afterAll(() => rmSync(here, {recursive: true}))
afterEach(cleanUp)

const local = ['^/(proc|sys|usr|etc|dev|tmp|bin|lib|lib64|root)(/|$)', '^/$']
const writable: Classes = {
  notFound: ['^/data/hidden'],
  readWrite: ['^/data(/|$)'],
  readOnly: ['^/only(/|$)'],
  local,
  modeReadOnly: ['.'],
}
function target(classes: Classes = writable, mapping: readonly string[] = []): WritableTarget {
  const made = new WritableTarget(classes, mapping)
  made.file('/data/old', 'old text\n')
  made.file('/data/sub/below', 'below\n')
  made.file('/only/read', 'read only\n')
  return made
}
/** An overlay in which the files of `directory` have inode numbers beyond 2^63 (its layers are of two file systems); undefined where that cannot be. */
function mountOver(directory: string): (() => void) | undefined {
  const layer = mkdtempSync(join(realpathSync(tmpdir()), 'mirrord-layer-'))
  const mount = (...args: string[]) => spawnSync('mount', args).status === 0
  const layers = `lowerdir=${directory},upperdir=${layer}/upper,workdir=${layer}/work,xino=on`
  const end = () => {
    spawnSync('umount', [layer])
    rmSync(layer, {recursive: true})
  }
  if (mount('-t', 'tmpfs', 'mirrord', layer)) {
    mkdirSync(join(layer, 'upper'))
    mkdirSync(join(layer, 'work'))
    if (mount('-t', 'overlay', '-o', layers, 'mirrord', directory))
      return () => {
        execFileSync('umount', [directory])
        end()
      }
  }
  end()
  return undefined
}
const start = (remote: WritableTarget, options: RunOptions) =>
  run({files: remote.options, file: remote.handler, fileClosed: remote.fileClosed, ...options})
/** The lines that a program prints. */
async function lines(remote: WritableTarget, options: RunOptions): Promise<string[]> {
  const started = await start(remote, options)
  const text = await started.finish()
  expect(started.warnings).toEqual([])
  return text.trimEnd().split('\n')
}
/** Results of the commands of test/apps/trap/write.c. */
const commands = (remote: WritableTarget, text: string) => lines(remote, {program, arguments: text.split(' ')})
const content = (remote: WritableTarget, path: string) => readFileSync(remote.root + path, 'utf8')

describe('writing remote files', () => {
  it('[FS-05] creates, writes, and has everything in the target when close returns', async () => {
    using remote = target()
    expect(
      await commands(
        remote,
        'create /data/new window write 12345678 pwrite XY close isopen create /data/old ftruncate 3 close',
      ),
    ).toEqual([
      'create 0',
      'window yes',
      'write 0',
      'pwrite 0',
      'close 0',
      'isopen EBADF',
      'create 0',
      'ftruncate 0',
      'close 0',
    ])
    expect(content(remote, '/data/new')).toBe('1234XY78')
    expect(content(remote, '/data/old')).toBe('old')
    expect(statSync(`${remote.root}/data/new`).mode & 0o777).toBe(0o640)
    expect(remote.saved).toEqual(['close /data/new', 'closed /data/new', 'close /data/old', 'closed /data/old'])
    expect(remote.open.size).toBe(0)
  })

  it('[FS-38] holds fsync until the target has it', async () => {
    using remote = target()
    const at: string[] = []
    remote.before = async ({operation}) => void at.push(operation, content(remote, '/data/old'))
    expect(await commands(remote, 'append /data/old write more fsync fdatasync kill')).toEqual([
      'append 0',
      'write 0',
      'fsync 0',
      'fdatasync 0',
    ])
    expect(at).toEqual(['open', 'old text\n', 'sync', 'old text\n', 'sync', 'old text\nmore'])
  })

  it('loses nothing that fsync has acknowledged when the program is killed, and nothing written before', async () => {
    using remote = target()
    await commands(remote, 'create /data/a write synced fsync write +not kill')
    expect(content(remote, '/data/a')).toBe('synced+not')
    expect(remote.saved).toEqual(['sync /data/a', 'closed /data/a'])
  })

  it('knows copies by inode numbers of more than 53 bits', async (context) => {
    using remote = target()
    const copy = `${remote.options.directory}/data/old`
    mkdirSync(dirname(copy), {recursive: true})
    writeFileSync(copy, '')
    const unmount = mountOver(remote.options.directory)
    if (!unmount) return context.skip('cannot mount an overlay with xino=on')
    try {
      expect(BigInt.asUintN(64, statSync(copy, {bigint: true}).ino)).toBeGreaterThan(2n ** 53n)
      await commands(remote, 'append /data/old write more fsync write end close append /data/old write ! kill')
      expect(content(remote, '/data/old')).toBe('old text\nmoreend!')
      expect(remote.saved).toEqual(['sync', 'close', 'closed', 'closed'].map((why) => `${why} /data/old`))
      expect(remote.open.size).toBe(0)
    } finally {
      unmount()
    }
  })

  it('saves what a killed program wrote and mapped', async () => {
    using remote = target()
    await commands(remote, 'create /data/old map write .... kill')
    expect(content(remote, '/data/old').slice(0, 4)).toMatch(/^(MMAP|\.\.\.\.)$/)
    // The last close, the end of the process and that of the tree come at once: often, to meet every order.
    for (let round = 0; round < 200; round++) {
      await commands(remote, `create /data/${round} write abcdefgh map kill`)
      expect([round, content(remote, `/data/${round}`)]).toEqual([round, 'MMAPefgh'])
    }
    await commands(remote, 'create /data/b write abcdefgh map close')
    expect(content(remote, '/data/b')).toBe('MMAPefgh')
    expect(remote.open.size).toBe(0)
  })

  it('saves what each of many killed programs wrote, while others of the tree live', async () => {
    using remote = target()
    const script = `for i in $(seq 300); do '${program}' create /data/$i write x kill >/dev/null; done; echo done; read line`
    const started = await start(remote, {program: '/bin/sh', arguments: ['-c', `(${script}) 2>/dev/null`]})
    await started.line(/^done$/)
    await started.until(() => remote.open.size === 0)
    expect(remote.saved.filter((line) => line.startsWith('closed'))).toHaveLength(300)
    started.input('\n')
    await started.finish()
  })

  it('[FS-36] saves at the last close, however it comes', async () => {
    using remote = target()
    await commands(remote, 'create /data/dup write a dup write b close')
    expect(content(remote, '/data/dup')).toBe('ab')
    await commands(remote, 'create /data/dup2 write a dup2')
    expect(content(remote, '/data/dup2')).toBe('a')
    await commands(remote, 'create /data/range write a close_range')
    expect(content(remote, '/data/range')).toBe('a')
    await commands(remote, 'create /data/fork write a fork write b close')
    expect(content(remote, '/data/fork')).toBe('ab')
    expect(await commands(remote, 'few create /data/few window write a close')).toContain('window no')
    expect(content(remote, '/data/few')).toBe('a')
    expect(remote.open.size).toBe(0)
  })

  it('tells an error of the last save as the errno of close or fsync', async () => {
    using remote = target()
    remote.failSave = constants.errno.ENOSPC
    expect(await commands(remote, 'create /data/full write a fsync close isopen')).toEqual([
      'create 0',
      'write 0',
      'fsync ENOSPC',
      'close 0',
      'isopen EBADF',
    ])
    remote.failSave = constants.errno.EDQUOT
    expect(await commands(remote, 'create /data/full write a close isopen create /dev/null close')).toEqual([
      'create 0',
      'write 0',
      'close EDQUOT',
      'isopen EBADF',
      'create 0',
      'close 0',
    ])
  })

  it('warns where an error can no longer be told', async () => {
    using remote = target()
    remote.failSave = constants.errno.EIO
    const started = await start(remote, {program, arguments: 'create /data/full write a dup2'.split(' ')})
    expect(await started.finish()).toBe('create 0\nwrite 0\ndup2 0\n')
    expect(started.warnings).toEqual([expect.stringMatching(/\/data\/full has not reached the target.*dup2/)])
  })

  it('[FS-12] [FS-26] makes and removes directories, files and links', async () => {
    using remote = target()
    const path = '/data/made'
    expect(
      await commands(
        remote,
        `umask 22 mkdir ${path} mkdir ${path} dir ${path} mkdirat below rmdirat below rmdir /data/sub unlink ${path} unlinkat missing rmdir ${path} ` +
          'unlink /data/old unlink /data/old symlink old/text /data/symbolic link /data/sub/below /data/hard unlink /data/hidden/x mkdir /data/hidden',
      ),
    ).toEqual([
      'mkdir 0',
      'mkdir EEXIST',
      'mkdirat 0',
      'rmdirat 0',
      'rmdir ENOTEMPTY',
      'unlink EISDIR',
      'unlinkat ENOENT',
      'rmdir 0',
      'unlink 0',
      'unlink ENOENT',
      'symlink 0',
      'link 0',
      'unlink ENOENT',
      'mkdir ENOENT',
    ])
    expect(remote.requests.find(({operation}) => operation === 'mkdir')?.mode).toBe(0o750)
    expect(existsSync(`${remote.root}/data/old`)).toBe(false)
    expect(readlinkSync(`${remote.root}/data/symbolic`)).toBe('old/text')
    expect(content(remote, '/data/hard')).toBe('below\n')
  })

  it('[FS-19] renames within the target and here, not across', async () => {
    using remote = target({...writable, readWrite: ['^/data(/|$)']})
    writeFileSync(join(here, 'mine'), 'mine\n')
    const mine = join(here, 'mine')
    expect(
      await commands(
        remote,
        `rename /data/old /data/renamed rename ${mine} ${mine}2 rename ${mine}2 /data/mine rename /data/renamed ${mine}2 link /data/renamed ${mine}3 ` +
          'noreplace /data/renamed /data/sub/below exchange /data/renamed /data/sub/below noreplace /data/renamed /data/again',
      ),
    ).toEqual([
      'rename 0',
      'rename 0',
      'rename EXDEV',
      'rename EXDEV',
      'link EXDEV',
      'noreplace EEXIST',
      'exchange EINVAL',
      'noreplace 0',
    ])
    expect(content(remote, '/data/again')).toBe('old text\n')
    expect(readFileSync(`${mine}2`, 'utf8')).toBe('mine\n')
  })

  it('[FS-19] [FS-26] changes mapped local files under their mapped name', async () => {
    using remote = target({...writable, local: [...local, '^/mapped']}, ['^/mapped'])
    remote.mapping = (path) => path.replace('/mapped', here)
    writeFileSync(join(here, 'one'), 'one\n')
    expect(
      await commands(
        remote,
        'rename /mapped/one /mapped/two mkdir /mapped/made rmdir /mapped/made chmod /mapped/two 600 mkdir /mapped/stays',
      ),
    ).toEqual(['rename 0', 'mkdir 0', 'rmdir 0', 'chmod 0', 'mkdir 0'])
    expect(statSync(join(here, 'two')).mode & 0o777).toBe(0o600)
    expect(statSync(join(here, 'stays')).mode & 0o777).toBe(0o750)
    expect(remote.asked.every((question) => question.startsWith('map '))).toBe(true)
  })

  it('changes mode, owner, times and size by path and by descriptor', async () => {
    using remote = target()
    const old = `${remote.root}/data/old`
    await commands(remote, 'chmod /data/old 4711 truncate /data/old 3 utimens /data/old omit /data/old')
    expect(lstatSync(old)).toMatchObject({mode: 0o104711, size: 3, mtimeMs: 2_000_000})
    expect(await commands(remote, 'utimes /data/old badtimes /data/old')).toEqual(['utimes 0', 'badtimes EINVAL'])
    expect(lstatSync(old).mtimeMs).toBe(3_000_000)
    await commands(remote, 'utime /data/old')
    expect(lstatSync(old).mtimeMs).toBe(4_000_000)
    expect(await commands(remote, 'create /data/old fchmod 600 futimens close')).toEqual([
      'create 0',
      'fchmod 0',
      'futimens 0',
      'close 0',
    ])
    const {requests} = remote
    const object = requests.find(({operation, object}) => operation === 'chmod' && object)
    expect(object).toMatchObject({mode: 0o600, path: '/data/old'})
    expect(requests.filter(({operation}) => operation === 'utimens').map(({numbers}) => numbers)).toEqual([
      [1000, 5, 2000, 6],
      [0x3ffffffe, 0x3ffffffe].flatMap((omit, index) => [[1000, 2000][index], omit]),
      [1000, 7000, 3000, 8000],
      [1000, 0, 4000, 0],
      [1000, 5, 2000, 6],
    ])
  })

  it('changes the remote file by the name of its descriptor, and by an empty path', async () => {
    using remote = target()
    // A descriptor that only reads, and one that writes.
    for (const command of ['read', 'append']) {
      remote.file('/data/old', 'old text\n')
      remote.requests.length = 0
      await commands(remote, `${command} /data/old byname`)
      expect([command, lstatSync(`${remote.root}/data/old`)]).toMatchObject([command, {mode: 0o100604, size: 5}])
      expect(remote.requests.map(({operation}) => operation)).toEqual(['open', 'chmod', 'truncate', 'utimens'])
    }
    remote.requests.length = 0
    await commands(remote, 'append /data/old empty')
    expect(remote.requests.slice(1).map(({operation, numbers}) => [operation, numbers])).toEqual([
      ['chown', [12, 13]],
      ['utimens', [1000, 5, 2000, 6]],
    ])
  })

  it('makes nothing beside the copies of a directory by a name that no message can hold', async () => {
    using remote = target()
    expect(await commands(remote, 'dir /data bytes')).toEqual(['bytes ENOENT', 'bytes ENOENT'])
    expect(readdirSync(`${remote.options.directory}/data`).sort()).toEqual(['old', 'sub'])
  })

  it('asks for owners with -1 for what stays', async () => {
    using remote = target()
    remote.before = async ({operation}) => {
      if (operation === 'chown') throw Object.assign(new Error('not allowed'), {errno: constants.errno.EPERM})
    }
    const started = await start(remote, {
      program,
      arguments: 'chown /data/old lchown /data/old create /data/old fchown'.split(' '),
    })
    await started.finish()
    expect(remote.requests.filter(({operation}) => operation === 'chown').map(({numbers}) => numbers)).toEqual([
      [12, -1],
      [-1, 13],
      [12, 13],
    ])
  })

  it('refuses what the protocol cannot do', async () => {
    using remote = target()
    const started = await start(remote, {
      program,
      arguments: 'mkfifo /data/fifo mkfifo /data/fifo setxattr /data/old'.split(' '),
    })
    expect(await started.finish()).toBe('mkfifo EPERM\nmkfifo EPERM\nsetxattr EOPNOTSUPP\n')
    expect(started.warnings).toEqual([expect.stringContaining('FIFOs')])
  })

  it('leaves files that are only read here, where they are missing', async () => {
    using remote = target()
    expect(
      await commands(
        remote,
        'unlink /only/read chmod /only/read 600 append /only/read read /only/read fchmod 600 rename /only/read /only/x',
      ),
    ).toEqual(['unlink ENOENT', 'chmod ENOENT', 'append ENOENT', 'read 0', 'fchmod EROFS', 'rename ENOENT'])
    expect(content(remote, '/only/read')).toBe('read only\n')
  })

  it('shows a change at once', async () => {
    using remote = target()
    expect(
      await commands(
        remote,
        'read /data/n create /data/n write a close read /data/n close unlink /data/n read /data/n mkdir /data/n rename /data/n /data/m dir /data/m rmdirat .',
      ),
    ).toEqual([
      'read ENOENT',
      'create 0',
      'write 0',
      'close 0',
      'read 0',
      'close 0',
      'unlink 0',
      'read ENOENT',
      'mkdir 0',
      'rename 0',
      'rmdirat EINVAL',
    ])
  })
})

inEachCondition('writing remote files', ({nobody}) => {
  it.skipIf(nobody)(
    "saves at fsync, close and death; close tells errors (not as nobody: the copies are root's here)",
    async () => {
      using remote = target()
      remote.failSave = constants.errno.EDQUOT
      expect(await commands(remote, 'create /data/a write synced fsync fsync write +not kill')).toContain(
        'fsync EDQUOT',
      )
      expect(content(remote, '/data/a')).toBe('synced+not')
      remote.failSave = constants.errno.EDQUOT
      expect(await commands(remote, 'create /data/b write a close isopen')).toEqual([
        'create 0',
        'write 0',
        'close EDQUOT',
        'isopen EBADF',
      ])
    },
  )
})

describe('writing remote files from other languages', () => {
  it.skipIf(!python)('[FS-23] [FS-26] Python', async () => {
    using remote = target()
    const code = `
import os, errno
with open('/data/py', 'w+') as f:
    f.write('hello world'); f.seek(6); print(f.read()); f.seek(0); f.write('HELLO')
print(open('/data/py').read(), os.path.getsize('/data/py'))
d = os.open('/data', os.O_RDONLY)
fd = os.open('at', os.O_CREAT | os.O_WRONLY, 0o600, dir_fd=d); os.write(fd, b'x'); os.close(fd)
os.mkdir('/data/d'); os.mkdir('d/e', dir_fd=d); os.rmdir('d/e', dir_fd=d)
for path in ('/data/d',):
    try: os.mkdir(path)
    except FileExistsError: print('EEXIST')
try: os.rmdir('/data/missing')
except FileNotFoundError: print('ENOENT')
print(os.statvfs('/data').f_namemax, sorted(os.listdir('/data')))
os.rmdir('/data/d'); os.unlink('at', dir_fd=d); os.unlink('/data/py')
print(sorted(os.listdir('/data')))
with open('/data/big', 'wb') as f:
    for i in range(300): f.write(bytes([i % 256]) * 10007)
os.replace('/data/big', '/data/big2')
print(os.path.getsize('/data/big2'))`
    expect(await lines(remote, {program: python ?? '', arguments: ['-c', code]})).toEqual([
      'world',
      'HELLO world 11',
      'EEXIST',
      'ENOENT',
      "255 ['at', 'd', 'old', 'py', 'sub']",
      "['old', 'sub']",
      '3002100',
    ])
    const big = readFileSync(`${remote.root}/data/big2`)
    expect(big.length).toBe(3002100)
    expect(big.every((byte, index) => byte === Math.floor(index / 10007) % 256)).toBe(true)
  })

  it('[FS-22] [FS-19] Node: copyFile, rename, appendFile, rm', async () => {
    using remote = target()
    const code = `
const fs = require('fs/promises')
;(async () => {
  await fs.copyFile('/data/old', '/data/old.copy')
  await fs.appendFile('/data/old.copy', 'and more')
  await fs.rename('/data/old.copy', '/data/renamed')
  await fs.mkdir('/data/a/b/c', {recursive: true})
  await fs.writeFile('/data/a/b/c/file', 'deep')
  console.log(await fs.readFile('/data/renamed', 'utf8'), (await fs.readdir('/data')).sort().join())
  await fs.rm('/data/a', {recursive: true})
  await fs.access('/data/a').catch((error) => console.log(error.code))
})()`
    expect(await lines(remote, {program: process.execPath, arguments: ['-e', code]})).toEqual([
      'old text',
      'and more a,old,renamed,sub',
      'ENOENT',
    ])
    expect(content(remote, '/data/renamed')).toBe('old text\nand more')
  })

  it.skipIf(!which('go') && !existsSync('/usr/local/go/bin/go'))('[FS-10] [FS-27] Go', async () => {
    using remote = target()
    expect(await lines(remote, {program: compileGo('write') ?? '', arguments: ['/data']})).toEqual([
      'read "world" of "hello world"',
      'dir d true file f false old false sub true',
      'left old sub',
    ])
  })

  it.skipIf(!which('rustc'))('[FS-24] Rust', async () => {
    using remote = target()
    expect(await lines(remote, {program: compileRust('write') ?? '', arguments: ['/data']})).toEqual([
      'read "world" of 11 bytes',
      'exists AlreadyExists, missing NotFound',
      'left old sub',
    ])
  })

  it('executes what was just written', async () => {
    using remote = target()
    const text = `cd /data; cp /bin/echo e; ./e it runs; printf '#!/bin/sh\\necho script $0\\n' > s; ./s; chmod +x s; ./s`
    expect(await lines(remote, {program: '/bin/sh', arguments: ['-c', `exec 2>&1; ${text}`]})).toEqual([
      'it runs',
      'sh: 1: ./s: Permission denied',
      'script ./s',
    ])
  })

  it('the shell: redirections, mv, cp, rm, touch, a pipeline', async () => {
    using remote = target()
    mkdirSync(join(here, 'shell'))
    const text = `set -e; cd /data; echo one > f; echo two >> f; cat f | tr a-z A-Z > g; cp g h; mv h i; mv i ${here}/shell/i; touch -d @5 g; ln -s g l; ls; rm -r l f sub; cat ${here}/shell/i; stat -c %Y g`
    expect(await lines(remote, {program: '/bin/sh', arguments: ['-c', `exec 2>&1; ${text}`]})).toEqual([
      'f',
      'g',
      'l',
      'old',
      'sub',
      'ONE',
      'TWO',
      '5',
    ])
    expect(execFileSync('ls', [`${remote.root}/data`], {encoding: 'utf8'})).toBe('g\nold\n')
  })
})
