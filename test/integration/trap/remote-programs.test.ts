import {execFileSync} from 'node:child_process'
import {
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {afterAll, afterEach, beforeAll, describe, expect, it} from 'vitest'
import {buildTrap, cleanUp, compile, compileGo, python, run, which} from './harness.ts'
import {Target} from './remote.ts'

let directory: string
let goProgram: string | undefined
beforeAll(() => {
  buildTrap()
  goProgram = compileGo('files')
  directory = mkdtempSync(join(realpathSync(tmpdir()), 'mirrord-local-'))
})
afterAll(() => rmSync(directory, {recursive: true}))
afterEach(cleanUp)

/** As in the mode `read`, with a few of the local paths that are so by default. */
function target() {
  const local = ['^/proc(/|$)', '^/sys(/|$)', '^/usr(/|$)', '^/etc(/|$)', '^/dev(/|$)', '^/tmp(/|$)', '^/$', '.+\\.py$']
  local.push('^/lib(64)?(/|$)', '^/bin(/|$)', '^/sbin(/|$)', '^/root(/|$)', '^/opt(/|$)', `^${process.cwd()}(/|$)`)
  const remote = new Target({notFound: ['^/root/\\.kube'], local, modeReadOnly: ['.']})
  remote.file('/app/test.txt', 'remote\n')
  remote.file('/app/sub/deep.txt', 'deep\n', 0o600)
  remote.file('/data/abcdefghijk', 'abcdefghijklmnop')
  remote.link('/app/link', 'test.txt')
  remote.link('/app/up', '/data')
  return remote
}
async function output(remote: Target, program: string, args: readonly string[], more: object = {}) {
  const started = await run({program, arguments: args, files: remote.options, file: remote.handler, ...more})
  const text = await started.finish()
  expect(started.warnings).toEqual([])
  return text
}

describe('remote files', () => {
  it('[FS-01] in a shell and the usual tools', async () => {
    using remote = target()
    const script = `
cat /app/test.txt
ls /app
ls -l /app/test.txt | cut -c1-10
cd /app/sub && pwd && cat deep.txt ../test.txt
[ -f /app/test.txt ] && [ -d /app ] && [ -L /app/link ] && [ ! -e /app/missing ] && echo tests
readlink -f /app/up/abcdefghijk
find /app -type f | sort
grep -r deep /app
cp /app/test.txt ${directory}/copied && cat ${directory}/copied
head -c 3 < /app/test.txt; echo
tar cf - /app 2> /dev/null | tar tf - | sort | tr '\\n' ' '; echo
stat -c '%a %u %F' /app/sub/deep.txt
echo x > /app/test.txt
`
    expect((await output(remote, '/bin/sh', ['-c', script])).split('\n')).toEqual([
      'remote',
      'link',
      'sub',
      'test.txt',
      'up',
      '-rw-r--r--',
      '/app/sub',
      'deep',
      'remote',
      'tests',
      '/data/abcdefghijk',
      '/app/sub/deep.txt',
      '/app/test.txt',
      '/app/sub/deep.txt:deep',
      'remote',
      'rem',
      'app/ app/link app/sub/ app/sub/deep.txt app/test.txt app/up ',
      '600 1234 regular file',
      expect.stringMatching(/cannot create \/app\/test.txt|No such file/),
      '',
    ])
  })

  it.skipIf(!which('bash'))('[FS-01] in a script that runs another that runs cat', async () => {
    using remote = target()
    expect(await output(remote, which('bash') ?? '', ['-c', 'bash -c "cat /app/test.txt"'])).toBe('remote\n')
  })

  it('[FS-02] [FS-06] in Node and in what it starts', async () => {
    using remote = target()
    const script = `
const fs = require('fs'), {execSync} = require('child_process')
async function main() {
  const file = await fs.promises.open('/app/test.txt')
  const {buffer, bytesRead} = await file.read(Buffer.alloc(10), 0, 10, 0)
  await file.close()
  console.log(buffer.toString('utf8', 0, bytesRead).trim(), fs.readFileSync('/app/link', 'utf8').trim())
  console.log(execSync('cat /app/test.txt').toString().trim())
  console.log(fs.readdirSync('/app', {withFileTypes: true}).map((e) => e.name + (e.isDirectory() ? '/' : '')).join(' '))
  console.log(fs.realpathSync('/app/up/abcdefghijk'), fs.realpathSync.native('/app/link'))
  console.log(fs.statSync('/app/sub/deep.txt').uid, fs.existsSync('/app/missing'), fs.lstatSync('/app/up').isSymbolicLink())
  await fs.promises.copyFile('/app/test.txt', '${directory}/node-copy')
  console.log(fs.readFileSync('${directory}/node-copy', 'utf8').trim())
  let text = ''
  for await (const part of fs.createReadStream('/data/abcdefghijk', {start: 2, end: 5})) text += part
  console.log(text)
  process.chdir('/app/sub')
  console.log(process.cwd(), fs.readFileSync('deep.txt', 'utf8').trim(), fs.readdirSync('/app/sub', {recursive: true})[0])
}
main()
`
    expect((await output(remote, process.execPath, ['-e', script])).split('\n')).toEqual([
      'remote remote',
      'remote',
      'link sub/ test.txt up',
      '/data/abcdefghijk /app/test.txt',
      '1234 false true',
      'remote',
      'cdef',
      '/app/sub deep deep.txt',
      '',
    ])
  })

  it.skipIf(!python)('[FS-25] [FS-29] in Python', async () => {
    using remote = target()
    remote.file('/srv/x.py', 'remote\n')
    const script = `
import os, glob, mmap, pathlib, shutil
print(open('/app/test.txt').read().strip(), sorted(os.listdir('/app')))
print([(top, sorted(names)) for top, _, names in os.walk('/app')][0][1], sorted(glob.glob('/app/**/*.txt', recursive=True)))
d = os.open('/app', os.O_RDONLY | os.O_DIRECTORY)
print(os.read(os.open('sub/deep.txt', os.O_RDONLY, dir_fd=d), 10), os.stat('test.txt', dir_fd=d).st_uid, sorted(os.listdir(d)) == sorted(os.listdir('/app')))
print([sorted(names) for _, _, names, _ in os.fwalk('/app/sub')])
print(mmap.mmap(os.open('/data/abcdefghijk', os.O_RDONLY), 0, prot=mmap.PROT_READ)[3:6], pathlib.Path('/app/up/abcdefghijk').resolve())
print(shutil.copy('/app/test.txt', '${directory}/python-copy') and open('${directory}/python-copy').read().strip())
print(os.statvfs('/app').f_blocks, os.path.samefile('/app/link', '/app/test.txt'), os.path.getsize('/data/abcdefghijk'))
for path in ['/app/test.txt', '/root/.kube/config', '/srv/x.py']:
    try: open(path, 'w' if path == '/app/test.txt' else 'r'); print('open')
    except OSError as e: print(type(e).__name__)
with os.scandir('/app') as entries: print(sorted((e.name, e.is_dir(follow_symlinks=False), e.stat().st_uid) for e in entries)[0])
os.chdir('/app'); print(os.getcwd(), open('test.txt').read().strip(), os.path.abspath('sub'))
`
    expect((await output(remote, python ?? '', ['-c', script])).split('\n')).toEqual([
      "remote ['link', 'sub', 'test.txt', 'up']",
      "['link', 'test.txt'] ['/app/sub/deep.txt', '/app/test.txt']",
      "b'deep\\n' 1234 True",
      "[['deep.txt']]",
      "b'def' /data/abcdefghijk",
      'remote',
      '1000 True 16',
      'FileNotFoundError',
      'FileNotFoundError',
      'FileNotFoundError',
      "('link', False, 1234)",
      '/app remote /app/sub',
      '',
    ])
  })

  it('[FS-04] [FS-07] [FS-08] in Go', async ({skip}) => {
    if (!goProgram) skip('Go is missing')
    using remote = target()
    expect((await output(remote, goProgram ?? '', ['/app'])).split('\n')).toEqual([
      'link false, sub true, test.txt false, up false, ',
      'remote',
      '-rw------- 5 1234',
      '58465342 1000',
      '58465342 1000',
      'false',
      '/data/abcdefghijk',
      '6',
      'true',
      'true',
      '/app',
      'test.txt',
      '',
    ])
    expect(remote.asked).not.toContain('statfs /')
  })

  it('[FS-13] keep the modes of files and directories that are made locally', async () => {
    using remote = target()
    const place = mkdtempSync(join(directory, 'modes-'))
    expect((await output(remote, compile('modes'), [place])).trim().split('\n')).toEqual([
      'creat 0600',
      'open 0640',
      'openat 0604',
      'open64 0431',
      'openat64 0755',
      'mkdir 0755',
      'mkdirat 0431',
      'absolute 0640',
      'masked 0640',
    ])
    const modeOf = (name: string) => (statSync(join(place, name)).mode & 0o7777).toString(8)
    expect(['open', 'openat', 'open64', 'openat64', 'mkdir', 'mkdirat'].map(modeOf)).toEqual([
      '640',
      '604',
      '431',
      '755',
      '755',
      '431',
    ])
    expect(remote.asked).toEqual([])
  })

  it('[FS-14] keep the modes of files that Go makes locally', async ({skip}) => {
    const modes = compileGo('modes')
    if (!modes) skip('Go is missing')
    using remote = target()
    const place = mkdtempSync(join(directory, 'modes-'))
    expect((await output(remote, modes ?? '', [place])).trim().split('\n')).toEqual(
      ['0640', '0604', '0431', '0755'].map((mode) => `${mode} ${mode} <nil>`),
    )
    expect(remote.asked).toEqual([])
  })

  it.for(['gcc', 'musl-gcc'])(
    'are not what the dynamic loader of %s finds, though the mode would say so',
    async (compiler, {skip}) => {
      if (!which(compiler)) skip(`${compiler} is missing`)
      using remote = new Target({local: ['^/proc', '^/etc', '^/usr', '^/lib(64)?(/|$)'], modeReadOnly: ['.']})
      const place = join(directory, compiler)
      const source = join(process.cwd(), 'test/apps/trap/linked.c')
      for (const name of ['none', 'lib', 'other', 'programs']) mkdirSync(join(place, name), {recursive: true})
      const compileTo = (path: string, ...more: string[]) =>
        execFileSync(compiler, ['-o', join(place, path), source, ...more])
      compileTo('lib/libnumber.so.1', '-DLIBRARY=41', '-shared', '-fPIC', '-Wl,-soname,libnumber.so.1')
      compileTo('other/libother.so.2', '-DLIBRARY=42', '-shared', '-fPIC')
      compileTo('programs/program', join(place, 'lib/libnumber.so.1'), `-Wl,-rpath,${place}/none:${place}/lib`)
      remote.file(`${place}/lib/libnumber.so.1`, 'not for this machine\n')
      remote.file(`${place}/lib/settings`, 'remote')
      const library = join(place, 'other/libother.so.2')
      const settings = join(place, 'lib/settings')
      expect(await output(remote, join(place, 'programs/program'), [library, settings])).toBe('41 42 remote\n')
      expect(remote.asked).toEqual([`open ${settings}`])
    },
  )

  it('are not those of the language that runs, installed outside of the system', async () => {
    using remote = new Target({local: ['^/proc', '^/etc', '^/usr', '^/lib(64)?(/|$)'], modeReadOnly: ['.']})
    const place = join(directory, 'installed')
    for (const name of ['bin', 'lib/language']) mkdirSync(join(place, name), {recursive: true})
    copyFileSync('/bin/cat', join(place, 'bin/language'))
    writeFileSync(join(place, 'lib/language/module'), 'local')
    remote.file(`${place}/lib/language/module`, 'remote')
    expect(await output(remote, join(place, 'bin/language'), [join(place, 'lib/language/module')])).toBe('local')
    expect(await output(remote, '/bin/cat', [join(place, 'lib/language/module')])).toBe('remote')
  })

  it('are not those beside the script that an interpreter runs', async () => {
    using remote = new Target({
      local: ['^/proc', '^/etc', '^/usr', '^/lib(64)?(/|$)', '/node_modules'],
      modeReadOnly: ['.'],
    })
    const place = join(directory, 'script')
    mkdirSync(place)
    writeFileSync(join(place, 'part.mjs'), 'export default "local"')
    writeFileSync(join(place, 'data.json'), '{}')
    writeFileSync(join(place, 'main.mjs'), "import part from './part.mjs'; console.log(part)")
    const words = [process.execPath, join(place, 'main.mjs')]
    expect(await output(remote, '/bin/sh', ['-c', `${words.join(' ')}; true`])).toBe('local\n')
    expect(await output(remote, '/bin/sh', ['-c', `cat ${place}/data.json 2>/dev/null || echo none`])).toBe('none\n')
  })

  it('are not those beside the script that a command of Deno or Bun runs', async () => {
    using remote = new Target({local: ['^/proc', '^/etc', '^/usr', '^/lib(64)?(/|$)', '/bin/'], modeReadOnly: ['.']})
    const place = join(directory, 'command')
    mkdirSync(join(place, 'bin'), {recursive: true})
    writeFileSync(join(place, 'main.ts'), 'local\n')
    remote.file(`${place}/main.ts`, 'remote\n')
    for (const name of ['deno', 'bun', 'another']) {
      copyFileSync('/bin/cat', join(place, 'bin', name))
      // cat finds no file "run"; what it prints of the next one counts.
      const line = `cd /; ${place}/bin/${name} -u run -u ${place}/main.ts 2>/dev/null; true`
      expect(await output(remote, '/bin/sh', ['-c', line])).toBe(name === 'another' ? 'remote\n' : 'local\n')
    }
  })

  it('are those beside a script that no interpreter runs', async () => {
    using remote = new Target({local: ['^/proc', '^/etc', '^/usr', '^/lib(64)?(/|$)'], modeReadOnly: ['.']})
    const place = join(directory, 'no-script')
    mkdirSync(place)
    writeFileSync(join(place, 'main.mjs'), 'local')
    remote.file(`${place}/main.mjs`, 'remote')
    expect(await output(remote, '/bin/cat', [join(place, 'main.mjs')])).toBe('remote')
    // An interpreter that nobody knows is one for a script whose first line names it.
    mkdirSync(join(place, 'bin'))
    copyFileSync('/bin/cat', join(place, 'bin/own-runner'))
    for (const line of [`#!${place}/bin/own-runner`, '#!/usr/bin/env own-runner']) {
      writeFileSync(join(place, 'own.lua'), `${line}\nlocal\n`)
      expect(await output(remote, join(place, 'bin/own-runner'), [join(place, 'own.lua')])).toBe(`${line}\nlocal\n`)
    }
  })

  it('are fetched whole before they are read: 64 MiB', async () => {
    using remote = target()
    const content = Buffer.alloc(64 << 20, 'mirrord ')
    remote.file('/data/large', content.toString('latin1'))
    const script = 'wc -c < /data/large; cksum < /data/large; tail -c 8 /data/large'
    const [count, , last] = (await output(remote, '/bin/sh', ['-c', script])).split('\n')
    expect([Number(count), last]).toEqual([content.length, 'mirrord '])
    expect(readFileSync(join(remote.options.directory, 'data/large')).equals(content)).toBe(true)
  })
})
