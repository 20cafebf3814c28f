import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  constants,
  readFileSync,
  realpathSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {afterAll, afterEach, beforeAll, expect, it} from 'vitest'
import {inEachCondition} from './conditions.ts'
import {buildTrap, cleanUp, compile, python, run} from './harness.ts'
import type {FileRequest} from '../../../src/trap/types.ts'
import {type Classes, Target} from './remote.ts'

/** The directory of local files of these tests. */
let directory: string
let program: string
beforeAll(() => {
  buildTrap()
  program = compile('files')
  directory = mkdtempSync(join(realpathSync(tmpdir()), 'mirrord-local-'))
  chmodSync(directory, 0o777)
  writeFileSync(join(directory, 'here'), 'local\n')
  chmodSync(join(directory, 'here'), 0o666)
})
afterAll(() => rmSync(directory, {recursive: true}))
afterEach(cleanUp)

const localPaths = ['^/proc(/|$)', '^/sys(/|$)', '^/usr(/|$)', '^/etc(/|$)', '^/dev(/|$)', '^/tmp(/|$)', '^/$']
/** As in the mode `read`: everything is remote for reading, but the local list. */
const readMode: Classes = {local: localPaths, modeReadOnly: ['.']}

function target(classes: Classes = readMode, mapping: readonly string[] = []) {
  const made = new Target(classes, mapping)
  made.file('/app/test.txt', 'remote\n')
  made.file('/app/sub/deep.txt', 'deep\n', 0o600)
  made.file('/app/tool', '#!/bin/sh\n', 0o755)
  made.file('/data/abcdefghijk', 'abcdefghijklmnop')
  made.link('/app/link', 'test.txt')
  made.link('/app/up', '/data')
  made.link('/app/loop', 'loop')
  return made
}
/** Runs the commands and returns the lines that they printed. */
async function lines(
  remote: Target,
  commands: readonly [string, string][],
  more: Parameters<typeof run>[0] | object = {},
) {
  const started = await run({
    program,
    arguments: commands.flat(),
    files: remote.options,
    file: remote.handler,
    ...more,
  })
  const text = await started.finish()
  expect(started.warnings).toEqual([])
  return text.trimEnd().split('\n')
}

inEachCondition('reading remote files', () => {
  it('[FS-17] [FS-36] [FS-37] [FS-38] gives a real descriptor: readv, mmap, seek, dup, fork, pread, fsync, sendfile', async () => {
    using remote = target()
    expect(await lines(remote, [['native', '/data/abcdefghijk']])).toEqual([
      '11 [abcd][efghijk] map abcd seek+dup bcde pread cdef sync 0 0',
      'abcd',
      'sendfile 4, NULL vector EFAULT',
    ])
    expect(remote.asked).toEqual(['open /data/abcdefghijk'])
  })

  it('asks once while the answer is valid, about missing files too', async () => {
    using remote = target()
    const path = '/app/test.txt'
    const got = await lines(remote, [
      ['cat', path],
      ['cat', path],
      ['stat', '/app/missing'],
      ['stat', '/app/missing'],
      ['cat', '/app/missing'],
    ])
    expect(got).toEqual(['remote', 'remote', 'ENOENT', 'ENOENT', 'ENOENT'])
    expect(remote.asked).toEqual(['open /app/test.txt', 'lookup /app/missing', 'open /app/missing'])
  })

  it('asks each time when the answer is for once', async () => {
    using remote = target()
    remote.validMs = 0
    await lines(remote, [
      ['cat', '/app/test.txt'],
      ['cat', '/app/test.txt'],
    ])
    expect(remote.asked).toEqual(['open /app/test.txt', 'open /app/test.txt'])
  })

  it('[FS-18] shows type, mode, owner and links of the target, and agrees with fstat', async () => {
    using remote = target()
    const got = await lines(remote, [
      ['stat', '/app/sub/deep.txt'],
      ['lstat', '/app/link'],
      ['stat', '/app/link'],
      ['statx', '/app/tool'],
      ['stat', '/app/sub'],
      ['agree', '/app/tool'],
      ['agree', '/app/link'],
    ])
    expect(got[0]).toMatch(/^100600 1234:4321 links 1 size 5 blocks \d+ mtime 1000000000$/)
    expect(got[1]).toMatch(/^120777 1234:4321 links 1 size 8 /)
    expect(got[2]).toMatch(/^100644 1234:4321 links 1 size 7 /)
    expect(got[3]).toBe('100755 1234:4321 links 1 size 10 mtime 1000000000')
    expect(got[4]).toMatch(/^40755 1234:4321 links \d+ /)
    expect(got.slice(5)).toEqual(['yes', 'yes'])
  })

  it('[FS-20] [FS-21] shows links, and resolves paths in the target', async () => {
    using remote = target()
    const got = await lines(remote, [
      ['readlink', '/app/link'],
      ['readlink', '/app/test.txt'],
      ['realpath', '/app/up/abcdefghijk'],
      ['realpath', '/app/missing'],
      ['cat', '/app/up/abcdefghijk'],
      ['cat', '/app/loop'],
      ['open=n', '/app/link'],
      ['open=pn', '/app/link'],
      ['readlink', '/app/missing'],
    ])
    expect(got).toEqual([
      'test.txt',
      'EINVAL',
      '/data/abcdefghijk',
      'ENOENT',
      'abcdefghijklmnop',
      'ELOOP',
      'ELOOP',
      'ELOOP',
      'ENOENT',
    ])
  })

  it('[FS-08] [FS-15] [FS-16] lists directories, and leads from their descriptors to what is in them', async () => {
    using remote = target()
    const got = await lines(remote, [
      ['ls', '/app'],
      ['dir', '/app'],
      ['cat', 'test.txt'],
      ['cat', 'sub/deep.txt'],
      ['cat', 'sub/../link'],
      ['stat', 'missing'],
      ['ls', '.'],
      ['ls', 'sub'],
      ['readlink', 'link'],
      ['access=4', 'tool'],
      ['ls', '..'],
      ['cat', '../data/abcdefghijk'],
      ['cat', '../etc/hostname'],
      ['ls', 'test.txt'],
    ])
    const names = '../ ./ link@ loop@ sub/ test.txt tool up@'
    expect(got).toEqual([
      names,
      'open',
      'remote',
      'deep',
      'remote',
      'ENOENT',
      names,
      '../ ./ deep.txt',
      'test.txt',
      '0',
      expect.stringContaining('etc/'),
      'abcdefghijklmnop',
      readFileSync('/etc/hostname', 'utf8').trim(),
      'ENOTDIR',
    ])
  })

  it('[FS-10] answers access by the mode of the remote file', async () => {
    using remote = target()
    const got = await lines(remote, [
      ['access=0', '/app/test.txt'],
      ['access=4', '/app/test.txt'],
      ['access=1', '/app/test.txt'],
      ['access=1', '/app/tool'],
      ['access=1', '/app'],
      ['access=2', '/app/test.txt'],
      ['access=0', '/app/missing'],
      ['access=9', '/app/test.txt'],
    ])
    expect(got).toEqual(['0', '0', 'EACCES', '0', '0', 'ENOENT', 'ENOENT', 'EINVAL'])
  })

  it('[FS-07] [FS-28] shows the file system of the target, by path and by descriptor', async () => {
    using remote = target()
    const got = await lines(remote, [
      ['statfs', '/app/test.txt'],
      ['statfs', '/app/missing'],
    ])
    expect(got).toEqual(['58465342 4096 1000', '58465342 4096 1000', 'ENOENT'])
    expect(remote.asked).not.toContain('statfs /')
  })

  it('has no extended attributes', async () => {
    using remote = target()
    const got = await lines(remote, [
      ['xattr', '/app/test.txt'],
      ['xattr', '/app/missing'],
    ])
    expect(got).toEqual(['ENODATA none', 'ENOENT ENOENT'])
  })

  it('shows the remote path in /proc/self/fd and follows it', async () => {
    using remote = target()
    const got = await lines(remote, [
      ['proc', '/app/link'],
      ['proc', '/app/sub'],
      ['dir', '/app'],
      ['cat', '/proc/self/fd/3/test.txt'],
      ['cat', '/dev/fd/3/sub/deep.txt'],
      ['cat', '/proc/self/fd/3/missing'],
    ])
    expect(got).toEqual(['/app/test.txt /app/test.txt /', '/app/sub /app/sub /', 'open', 'remote', 'deep', 'ENOENT'])
  })

  it('means a directory where the path ends in a slash', async () => {
    using remote = target()
    const got = await lines(remote, [
      ['cat', '/app/test.txt/'],
      ['stat', '/app/test.txt/.'],
      ['lstat', '/app/up/'],
      ['ls', '/app/up/'],
      ['open=d', '/app/test.txt'],
    ])
    expect(got).toEqual(['ENOTDIR', 'ENOTDIR', expect.stringMatching(/^40755 /), '../ ./ abcdefghijk', 'ENOTDIR'])
  })

  it("are the program's own mistakes when pointers are bad", async () => {
    using remote = target()
    expect(await lines(remote, [['pointers', '/app/test.txt']])).toEqual(['EFAULT EFAULT EFAULT EINVAL EFAULT edge'])
    expect(await lines(remote, [['pointers', '/app/link']])).toEqual(['EFAULT EFAULT EFAULT EFAULT EFAULT edge'])
  })

  it('acts on one reading of a path that changes meanwhile', async () => {
    using remote = target()
    expect(await lines(remote, [['race', '2000']])).toEqual(['0'])
  })

  it('keeps O_CLOEXEC and O_NONBLOCK as asked; O_PATH opens for reading', async () => {
    using remote = target()
    const got = await lines(remote, [
      ['open=', '/app/test.txt'],
      ['open=e', '/app/test.txt'],
      ['open=k', '/app/test.txt'],
      ['open=p', '/app/test.txt'],
    ])
    expect(got).toEqual([
      'fd 3 cloexec 0 flags 0',
      'fd 4 cloexec 1 flags 0',
      'fd 5 cloexec 0 flags 4000',
      'fd 6 cloexec 0 flags 0',
    ])
  })

  it('changes into remote directories', async () => {
    using remote = target()
    const got = await lines(remote, [
      ['cd', '/app'],
      ['cat', 'test.txt'],
      ['cat', './sub/deep.txt'],
      ['ls', '.'],
      ['cd', 'sub'],
      ['proc', 'deep.txt'],
      ['cat', '../test.txt'],
      ['cd', '../../data'],
      ['fork', 'abcdefghijk'],
      ['cd', 'missing'],
      ['cd', 'abcdefghijk'],
      ['cd', '/app/up'],
      ['cd', directory],
      ['cat', 'here'],
    ])
    expect(got).toEqual([
      '/app',
      'remote',
      'deep',
      '../ ./ link@ loop@ sub/ test.txt tool up@',
      '/app/sub',
      '/app/sub/deep.txt /app/sub/deep.txt /app/sub',
      'remote',
      '/data',
      'abcdefghijklmnop',
      'child 0',
      'ENOENT',
      'ENOTDIR',
      '/data',
      directory,
      'local',
    ])
  })

  it('means the same directory after the session has replaced its copy', async () => {
    using remote = target()
    const copy = `${remote.options.directory}/app`
    remote.before = async (request) => {
      if (request.path === '/data/abcdefghijk') rmSync(copy, {recursive: true})
    }
    const got = await lines(remote, [
      ['dir', '/app'],
      ['cat', '/data/abcdefghijk'],
      ['cat', 'test.txt'],
      ['proc', 'sub/deep.txt'],
    ])
    expect(got).toEqual(['open', 'abcdefghijklmnop', 'remote', '/app/sub/deep.txt /app/sub/deep.txt /'])
  })

  it('confines openat2 as far as it can be known', async () => {
    using remote = target()
    const [noSymlinks, beneath, inRoot, cached, bad] = [
      'resolve=4',
      'resolve=8',
      'resolve=16',
      'resolve=32',
      'resolve=24',
    ]
    const got = await lines(remote, [
      [noSymlinks, '/app/sub/deep.txt'],
      [noSymlinks, '/app/up/abcdefghijk'],
      [noSymlinks, '/app/missing'],
      [beneath, '/app/test.txt'],
      [cached, '/app/test.txt'],
      [bad, '/app/test.txt'],
      ['dir', '/app'],
      [beneath, 'sub/deep.txt'],
      [beneath, 'link'],
      [beneath, '../data/abcdefghijk'],
      [inRoot, 'test.txt'],
      [inRoot, 'up/abcdefghijk'],
    ])
    expect(got).toEqual([
      'deep',
      'ELOOP',
      'ENOENT',
      'EXDEV',
      'EAGAIN',
      'EINVAL',
      'open',
      'deep',
      'EXDEV',
      'EXDEV',
      'remote',
      'EXDEV',
    ])
  })

  it('[FS-03] in a child', async () => {
    using remote = target()
    expect(await lines(remote, [['fork', '/app/test.txt']])).toEqual(['remote', 'child 0'])
  })

  it('in 200 threads at once, the same file and different ones', async () => {
    using remote = target()
    for (let i = 0; i < 200; i++) remote.file(`/many/${i}`, `${i}\n`)
    let waiting = 0
    const all = Promise.withResolvers<void>()
    remote.before = async () => {
      if (++waiting === 200) all.resolve()
      await all.promise
    }
    const started = await run({
      program,
      arguments: ['threads=200', '/many/%d', 'threads=200', '/app/test.txt'],
      files: remote.options,
      file: remote.handler,
    })
    expect(await started.finish()).toBe('200 of 200\n200 of 200\n')
    expect(remote.asked.filter((question) => question === 'open /app/test.txt')).toHaveLength(1)
  })

  it('does not end with a signal, and is asked once whatever signals arrive', async () => {
    using remote = target()
    remote.before = () => new Promise((resolve) => setTimeout(resolve, 100)) // as long as a slow network takes
    expect(await lines(remote, [['alarm', '/app/test.txt']])).toEqual(['remote', 'signals'])
    expect(remote.asked).toEqual(['open /app/test.txt'])
  })

  it('tells the session when the caller is killed', async () => {
    using remote = target()
    const gone = Promise.withResolvers<void>()
    remote.before = (request) =>
      new Promise((resolve) => {
        request.gone.addEventListener('abort', () => {
          gone.resolve()
          resolve()
        })
      })
    const started = await run({
      program,
      arguments: ['killed', '/app/test.txt'],
      files: remote.options,
      file: remote.handler,
    })
    await started.line(/child waits/)
    await started.until(() => remote.requests.length === 1)
    started.input('x')
    await started.line(/ended/)
    await gone.promise
    await started.finish()
  })

  it('forgets what it was told when the session says that files changed', async () => {
    using remote = target()
    remote.before = async (request) => {
      if (request.path === '/app/sub') started.trap.filesChanged()
    }
    const started = await run({
      program,
      arguments: ['cat', '/app/test.txt', 'cat', '/app/test.txt', 'killed', '/app/sub', 'cat', '/app/test.txt'],
      files: remote.options,
      file: remote.handler,
    })
    await started.until(() => remote.asked.includes('open /app/sub'))
    started.input('x')
    await started.finish()
    expect(remote.asked.filter((question) => question === 'open /app/test.txt')).toHaveLength(2)
  })
})

inEachCondition('paths', (condition) => {
  it('[FS-25] write where the mode is read-only: locally', async () => {
    using remote = target()
    const got = await lines(remote, [
      ['open=w', '/app/test.txt'],
      ['open=b', '/app/test.txt'],
      ['open=wc', '/app/new.txt'],
      ['open=a', '/app/test.txt'],
      ['open=t', '/app/test.txt'],
      ['cat', '/app/test.txt'],
    ])
    expect(got).toEqual(['ENOENT', 'ENOENT', 'ENOENT', 'ENOENT', 'ENOENT', 'remote'])
  })

  it('write where a pattern says so: in the window whose closes are heard, created with the mask of the program', async () => {
    using remote = target({readWrite: ['^/app/'], local: localPaths, modeReadOnly: ['.']})
    const source = join(directory, 'copy')
    writeFileSync(source, '', {mode: 0o666})
    chmodSync(source, 0o666)
    let request: FileRequest | undefined
    const started = await run({
      program,
      arguments: ['open=wca', '/app/new.txt', 'open=Tb', '/app', 'open=wc', '/data/new.txt'],
      files: remote.options,
      async file(asked) {
        if (asked.operation !== 'open') return {}
        request = asked
        return {source, object: statSync(source).ino, mode: 0o100644}
      },
    })
    expect(await started.finish()).toMatch(/^fd (5|6)\d\d cloexec 0 flags 2001\nENOENT\nENOENT\n$/)
    const {O_WRONLY, O_CREAT, O_APPEND} = constants
    expect(request).toMatchObject({path: '/app/new.txt', flags: O_WRONLY | O_CREAT | O_APPEND, mode: 0o644})
    rmSync(source)
  })

  it('[FS-01] [FS-09] [FS-11] that are local never reach the session', async () => {
    using remote = target()
    const got = await lines(
      remote,
      [
        ['cat', join(directory, 'here')],
        ['cat', 'here'],
        ['ls', '.'],
        ['stat', join(directory, 'missing')],
        ['access=4', join(directory, 'here')],
        ['open=wc', join(directory, 'made')],
        ['statfs', '/missing-here/..'],
      ],
      {cwd: directory},
    )
    expect(got.slice(0, 2)).toEqual(['local', 'local'])
    expect(got[2]).toContain('./ here')
    expect(got.slice(3, 5)).toEqual(['ENOENT', '0'])
    expect(got[5]).toMatch(/^fd \d/)
    expect(remote.asked).toEqual([])
    rmSync(join(directory, 'made'))
  })

  it('[FS-04] below the working directory of the process, and its executable, are local unless a pattern says otherwise', async () => {
    using remote = target({readOnly: ['/pattern$'], local: ['^/proc'], modeReadOnly: ['.']})
    const pattern = `${directory}/pattern`
    remote.file(pattern, 'by pattern\n')
    remote.file(program, 'not this\n')
    const got = await lines(
      remote,
      [
        ['cat', join(directory, 'here')],
        ['cat', pattern],
        ['stat', program],
        ['cat', '/app/test.txt'],
        ['cat', join(directory, '../', 'outside')],
      ],
      {cwd: directory},
    )
    expect(got.slice(0, 2)).toEqual(['local', 'by pattern'])
    expect(got[2]).not.toMatch(/1234:4321/)
    expect(got.slice(3)).toEqual(['remote', 'ENOENT'])
    expect(remote.asked).toEqual([`open ${pattern}`, 'open /app/test.txt', `open ${join(directory, '../outside')}`])
  })

  it('lead to the working directory though the target has none of its parents', async () => {
    using remote = target({modeReadOnly: ['.']})
    const parent = join(directory, '..')
    const got = await lines(
      remote,
      [
        ['realpath', join(directory, 'here')],
        ['access=1', parent],
        ['readlink', parent],
        ['stat', parent],
        ['xattr', parent],
        ['stat', '/elsewhere'],
        ['cd', parent],
        ['cd', '/app'],
        ['stat', directory],
      ],
      {cwd: directory},
    )
    expect(got.slice(0, 3)).toEqual([join(directory, 'here'), '0', 'EINVAL'])
    expect(got[3]).toMatch(/^41777 0:0 /)
    expect(got.slice(4, 8)).toEqual(['ENODATA none', 'ENOENT', parent, '/app'])
    expect(got[8]).toMatch(/^40777 /)
  })

  it('that relative ones are local, but for those that shall not be found', async () => {
    using remote = target({notFound: [`^${directory}/secret`], local: localPaths, modeReadOnly: ['.']})
    writeFileSync(join(directory, 'secret'), 'secret\n')
    const got = await lines(
      remote,
      [
        ['cat', 'secret'],
        ['cat', './/secret'],
        ['stat', join(directory, 'secret')],
        ['access=0', 'secret'],
        ['open=wc', join(directory, 'secret')],
        ['readlink', 'secret'],
        ['xattr', 'secret'],
        ['cat', 'here'],
        ['cat', '../app/test.txt'],
      ],
      {cwd: directory},
    )
    expect(got).toEqual([...Array<string>(6).fill('ENOENT'), 'ENOENT ENOENT', 'local', 'ENOENT'])
    expect(remote.asked).toEqual([])
    rmSync(join(directory, 'secret'))
  })

  it('[FS-32] are mapped first, and asked about once', async () => {
    using remote = target({local: localPaths, modeReadOnly: ['.']}, ['^/baz', '^/old'])
    remote.mapping = (path) => path.replace(/^\/baz/, directory).replace(/^\/old/, '/app')
    const got = await lines(remote, [
      ['cat', '/baz/here'],
      ['cat', '/baz/here'],
      ['stat', '/baz/missing'],
      ['cat', '/old/test.txt'],
      ['cat', '/app/test.txt'],
      ['ls', '/baz'],
      ['open=wc', '/baz/written'],
      ['access=6', '/baz/here'],
      ['xattr', '/baz/here'],
      ['readlink', '/baz/here'],
    ])
    expect(got.slice(0, 5)).toEqual(['local', 'local', 'ENOENT', 'remote', 'remote'])
    expect(got[5]).toContain('here')
    expect(got[6]).toMatch(/^fd \d/)
    expect(got.slice(7)).toEqual(['0', 'ENODATA none', 'EINVAL'])
    expect(readFileSync(join(directory, 'written'), 'utf8')).toBe('')
    expect(remote.asked).toEqual([
      'map /baz/here',
      'map /baz/missing',
      'map /old/test.txt',
      'open /app/test.txt',
      'map /baz',
      'map /baz/written',
    ])
    rmSync(join(directory, 'written'))
  })

  it('that leave a remote directory by .. reach the local file', async () => {
    using remote = target()
    const got = await lines(remote, [
      ['cat', `/app/sub/../..${directory}/here`],
      ['cat', `/proc/../app/test.txt`],
      ['stat', `/app/..${directory}/missing`],
    ])
    expect(got).toEqual(['local', 'remote', 'ENOENT'])
  })

  it.skipIf(process.getuid?.() !== 0 || condition.nobody)(
    'are local for a process in another root directory',
    async () => {
      using remote = target()
      mkdirSync(join(directory, 'jail/app'), {recursive: true})
      writeFileSync(join(directory, 'jail/app/test.txt'), 'in the jail\n')
      const got = await lines(remote, [
        ['cat', '/app/test.txt'],
        ['chroot', join(directory, 'jail')],
        ['cat', '/app/test.txt'],
        ['stat', '/data/abcdefghijk'],
      ])
      expect(got).toEqual(['remote', '0', 'in the jail', 'ENOENT'])
    },
  )

  it.skipIf(process.getuid?.() !== 0 || condition.nobody || !python)(
    'are local from the moment in which a process enters another root, whatever was remembered of it (needs python3)',
    async () => {
      using remote = target()
      const cell = join(directory, 'jail')
      mkdirSync(join(cell, 'app'), {recursive: true})
      writeFileSync(join(cell, 'app/test.txt'), 'in the jail\n')
      const script = `
import os, time
def read():
    with open('/app/test.txt') as file: return file.read().strip()
began = time.monotonic() # what is known of a process is remembered for a second, and not in the first one of a program
while time.monotonic() < began + 1.5: before = read()
os.chroot('${cell}')
print(before, read(), sep=chr(10))
`
      const started = await run({
        program: python!,
        arguments: ['-c', script],
        files: remote.options,
        file: remote.handler,
      })
      expect(await started.finish()).toBe('remote\nin the jail\n')
    },
  )

  it.skipIf(process.getuid?.() !== 0 || condition.nobody)(
    'are opened for a process that gave up root with the rights that it has left',
    async () => {
      using remote = target({local: localPaths, modeReadOnly: ['.']}, ['^/baz'])
      remote.mapping = (path) => path.replace(/^\/baz/, directory)
      writeFileSync(join(directory, 'root-only'), 'root\n', {mode: 0o600})
      const got = await lines(
        remote,
        [
          ['cat', '/baz/root-only'],
          ['setuid', '65534'],
          ['cat', '/app/test.txt'],
          ['cat', '/baz/root-only'],
          ['open=wc', '/baz/root-only'],
          ['cat', '/etc/overlaid'],
          ['stat', '/etc/overlaid'],
        ],
        {overlays: [{path: '/etc/overlaid', source: join(directory, 'root-only')}]},
      )
      expect(got.slice(0, 6)).toEqual(['root', '0', 'remote', 'EACCES', 'EACCES', 'root'])
      expect(got[6]).toMatch(/^100600 /)
    },
  )
})
