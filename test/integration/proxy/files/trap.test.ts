import {execFileSync} from 'node:child_process'
import {createHash} from 'node:crypto'
import fs from 'node:fs'
import {tmpdir} from 'node:os'
import path from 'node:path'
import {afterEach, beforeEach, describe, expect, it, vi} from 'vitest'
import {rootSection} from '../../../../src/config/index.ts'
import {compilePatterns} from '../../../../src/patterns/index.ts'
import {DataPlane} from '../../../../src/session/data-plane.ts'
import {pathClasses} from '../../../../src/trap/types.ts'
import {cleanUp, compile, python, run, which, type Run} from '../../trap/harness.ts'
import {Room} from './room.ts'

/** Exists in no test machine; everything below is the target's. */
const TOP = '/mirrord-pod'
let room: Room
beforeEach(async () => {
  room = await Room.open({
    classify: (name) => (name === TOP || name.startsWith(`${TOP}/`) ? 'readWrite' : 'local'),
    changed: () => running?.trap.filesChanged(),
  })
  fs.mkdirSync(room.at(TOP))
})
let running: Run | undefined
afterEach(async () => {
  await cleanUp()
  running = undefined
  await room.close()
})

/** `expected` without a warning. */
async function below(program: string, ...args: string[]): Promise<string> {
  return expected(undefined, program, ...args)
}

/**
 * Runs a program below the real trap, with the proxy as the session has it; its output when all has ended.
 * @param warning the only warnings that may come
 */
async function expected(warning: RegExp | undefined, program: string, ...args: string[]): Promise<string> {
  running = await run({
    program,
    arguments: args,
    files: {
      directory: room.proxy.directory,
      rules: compilePatterns([{pattern: `^${TOP}(/|$)`, label: pathClasses.readWrite, ignoreCase: true}]),
      writable: true,
    },
    file: (request) => room.proxy.answer(request),
    fileClosed: (object, opens) => void room.proxy.closed(object, opens),
  })
  const output = await running.finish()
  expect(await room.proxy.flush()).toEqual([])
  const warnings = [...running.warnings, ...room.warnings]
  expect(warnings.filter((text) => !warning?.test(text))).toEqual([])
  return output
}

const shell = (script: string, warning?: RegExp) => expected(warning, '/bin/sh', '-c', script)
const there = (name: string) => fs.readFileSync(room.at(`${TOP}/${name}`), 'utf8')

describe('a program with remote files', () => {
  it('[FS-01] reads, lists and tests files of the target', async () => {
    fs.mkdirSync(room.at(`${TOP}/d/sub`), {recursive: true})
    fs.writeFileSync(room.at(`${TOP}/d/file`), 'of the pod\n')
    fs.symlinkSync('file', room.at(`${TOP}/d/link`))
    const output = await shell(
      `cd ${TOP}/d && cat file link && ls && test -d sub && test ! -e missing && readlink link && pwd && cat ../d/file`,
    )
    expect(output).toBe(`of the pod\nof the pod\nfile\nlink\nsub\nfile\n${TOP}/d\nof the pod\n`)
  })

  it('[FS-33] reads 10 MiB with one call; they came in parts of at most 1 MiB', async () => {
    const content = Buffer.alloc(10 << 20, 'of the pod ')
    fs.writeFileSync(room.at(`${TOP}/large`), content)
    const output = await below(
      process.execPath,
      '-e',
      `
const fs = require('fs'), fd = fs.openSync('${TOP}/large'), buffer = Buffer.alloc(11 << 20)
console.log(fs.readSync(fd, buffer), fs.readSync(fd, buffer, 0, 1), buffer.subarray(0, ${content.length}).equals(Buffer.alloc(${content.length}, 'of the pod ')))
`,
    )
    expect(output).toBe(`${content.length} 0 true\n`)
    const parts = room.sent.flatMap((request) => (request.type === 'ReadLimited' ? [request.value] : []))
    expect(parts.map(({startFrom}) => Number(startFrom)).sort((a, b) => a - b)).toEqual(
      Array.from({length: 10}, (_, part) => part << 20),
    )
    expect(Math.max(...parts.map(({bufferSize}) => Number(bufferSize)))).toBe(1 << 20)
  })

  it('[FS-34] gives small reads, lseek and pread the same bytes, from one fetch', async () => {
    const content = Array.from({length: 40_000}, (_, i) => `${i} `).join('')
    fs.writeFileSync(room.at(`${TOP}/numbers`), content)
    const output = await below(
      process.execPath,
      '-e',
      `
const fs = require('fs'), fd = fs.openSync('${TOP}/numbers'), byte = Buffer.alloc(7)
let text = ''
for (let n; (n = fs.readSync(fd, byte)); ) text += byte.toString('latin1', 0, n)
console.log(require('crypto').createHash('sha256').update(text).digest('hex'))
for (const at of [0, 100_000, 12_345]) console.log(fs.readSync(fd, byte, 0, 7, at), JSON.stringify(byte.toString()))
console.log(require('child_process').execFileSync('dd', ['if=${TOP}/numbers', 'bs=7', 'skip=5000', 'count=1', 'status=none']).toString())
`,
    )
    const at = (offset: number) => `7 ${JSON.stringify(content.slice(offset, offset + 7))}`
    expect(output.trim().split('\n')).toEqual([
      createHash('sha256').update(content).digest('hex'),
      ...[0, 100_000, 12_345].map(at),
      content.slice(35_000, 35_007),
    ])
    expect(['Open', 'ReadLimited', 'Close'].map((type) => room.count(type as 'Open'))).toEqual([1, 1, 1])
  })

  it('[FS-40] has none in mode local: the agent is asked for no file', async () => {
    const place = fs.mkdtempSync(path.join(tmpdir(), 'mirrord-mode-local-'))
    const requests = vi.spyOn(room.session, 'fileRequest')
    const plane = new DataPlane(room.session, path.join(place, 'session'), () => undefined)
    try {
      const config = rootSection.parse({feature: {fs: {mode: 'local'}}})
      const files = plane.startFiles(config.feature.fs, {cwd: '/', temporary: place, executable: '/bin/sh'})
      fs.writeFileSync(room.at(`${TOP}/there`), 'of the pod\n')
      running = await run({
        program: '/bin/sh',
        arguments: [
          '-c',
          `echo here > ${place}/here; cat ${place}/here; ls ${TOP} 2> /dev/null || echo none; cat /etc/hosts`,
        ],
        files,
        file: (request) => plane.files!.answer(request),
      })
      expect(await running.finish()).toBe(`here\nnone\n${fs.readFileSync('/etc/hosts', 'utf8')}`)
      expect([plane.files, running.warnings]).toEqual([undefined, []])
      expect(requests).not.toHaveBeenCalled()
    } finally {
      await plane.close()
      fs.rmSync(place, {recursive: true})
    }
  })

  it('[FS-10] writes, appends, renames and removes files of the target', async () => {
    fs.writeFileSync(room.at(`${TOP}/log`), 'before\n')
    const output = await shell(
      `set -e; cd ${TOP}; echo one > new; echo two >> new; echo after >> log; mkdir d; mv new d/moved; cat d/moved; ` +
        `cp d/moved copy; chmod 600 copy; touch -d @1500000000 copy; stat -c '%a %Y %s' copy; rm log; ls; > empty; truncate -s 3 copy`,
    )
    expect(output).toBe('one\ntwo\n600 1500000000 8\ncopy\nd\n')
    expect(there('d/moved')).toBe('one\ntwo\n')
    expect(there('copy')).toBe('one')
    expect(there('empty')).toBe('')
    expect(fs.statSync(room.at(`${TOP}/copy`)).mode & 0o777).toBe(0o600)
    expect(fs.existsSync(room.at(`${TOP}/log`))).toBe(false)
  })

  it.skipIf(!python)('[FS-23] does what Python asks of files and directories', async () => {
    const output = await below(
      python!,
      '-c',
      `
import os, tempfile, shutil
top = '${TOP}'
with open(f'{top}/a', 'w') as f:
    f.write('hello'); f.flush(); os.fsync(f.fileno()); f.write(' world')
with open(f'{top}/a', 'r+') as f:
    assert f.read() == 'hello world'
    f.seek(0); f.write('HELLO'); f.truncate(7)
assert open(f'{top}/a').read() == 'HELLO w', (open(f'{top}/a').read(), os.stat(f'{top}/a'))
assert os.stat(f'{top}/a').st_size == 7
os.makedirs(f'{top}/x/y/z')
for name in ('1', '2'):
    open(f'{top}/x/y/{name}', 'x').close()
try:
    open(f'{top}/x/y/1', 'x')
    raise SystemExit('created twice')
except FileExistsError: pass
fd = os.open(f'{top}/x/y', os.O_RDONLY | os.O_DIRECTORY)
assert sorted(os.listdir(fd)) == ['1', '2', 'z'], os.listdir(fd)
inner = os.open('1', os.O_WRONLY, dir_fd=fd); os.write(inner, b'via dir_fd'); os.close(inner); os.close(fd)
os.replace(f'{top}/x/y/1', f'{top}/a')
assert open(f'{top}/a').read() == 'via dir_fd'
with tempfile.NamedTemporaryFile(dir=top, delete=False) as t:
    t.write(b'temporary'); name = t.name
assert os.stat(name).st_mode & 0o777 == 0o600
os.remove(name)
shutil.rmtree(f'{top}/x')
assert os.listdir(top) == ['a'], os.listdir(top)
assert os.statvfs(top).f_bsize > 0
print('passed')
`,
    )
    expect(output).toBe('passed\n')
    expect(there('a')).toBe('via dir_fd')
    expect(fs.readdirSync(room.at(TOP))).toEqual(['a'])
  })

  it('[FS-22] does what Node asks of files', async () => {
    fs.writeFileSync(room.at(`${TOP}/dummy`), 'x'.repeat(300_000))
    const output = await below(
      process.execPath,
      '-e',
      `
const fs = require('fs'), p = require('fs/promises'), assert = require('assert'), top = '${TOP}'
;(async () => {
  await p.copyFile(top + '/dummy', top + '/dummy.copy')
  assert.equal((await p.readFile(top + '/dummy.copy', 'utf8')).length, 300000)
  const h = await p.open(top + '/log', 'a'); for (let i = 0; i < 5; i++) await h.appendFile('line ' + i + '\\n'); await h.sync(); await h.close()
  fs.writeFileSync(top + '/json', JSON.stringify({a: 1}))
  assert.deepEqual(JSON.parse(fs.readFileSync(top + '/json')), {a: 1})
  assert.deepEqual(fs.readdirSync(top, {withFileTypes: true}).map((e) => e.name + e.isFile()).sort(), ['dummy.copytrue', 'dummytrue', 'jsontrue', 'logtrue'])
  const s = fs.createWriteStream(top + '/stream'); for (let i = 0; i < 100; i++) s.write(Buffer.alloc(10000, i)); s.end()
  await require('events').once(s, 'close')
  assert.equal(fs.statSync(top + '/stream').size, 1000000)
  console.log('passed')
})()
`,
    )
    expect(output).toBe('passed\n')
    expect(there('dummy.copy')).toHaveLength(300_000)
    expect(there('log')).toBe('line 0\nline 1\nline 2\nline 3\nline 4\n')
    expect(fs.statSync(room.at(`${TOP}/stream`)).size).toBe(1_000_000)
  })

  it.skipIf(!python)('keeps a database and a mapped file', async () => {
    const output = await below(
      python!,
      '-c',
      `
import mmap, sqlite3
db = sqlite3.connect('${TOP}/db')
db.execute('create table t(a)')
for mode in ('delete', 'wal'):
    db.execute(f'pragma journal_mode={mode}').fetchall()
    for i in range(20):
        db.execute('insert into t values (?)', (i,)); db.commit()
print(db.execute('select sum(a) from t').fetchone()[0], db.execute('pragma integrity_check').fetchone()[0])
db.close()
with open('${TOP}/mapped', 'w+b') as f:
    f.truncate(1_000_000)
    m = mmap.mmap(f.fileno(), 0); m[5:10] = b'abcde'; m[999_990:999_995] = b'fghij'; m.flush(); m[500_000] = 65; m.close()
`,
    )
    expect(output).toBe('380 ok\n')
    const content = fs.readFileSync(room.at(`${TOP}/mapped`))
    expect([5, 999_990, 500_000].map((at) => content.subarray(at, at + 5).toString())).toEqual([
      'abcde',
      'fghij',
      'A\0\0\0\0',
    ])
    const sum = `import sqlite3; print(sqlite3.connect('${room.at(`${TOP}/db`)}').execute('select sum(a) from t').fetchone()[0])`
    expect(execFileSync(python!, ['-c', sum], {encoding: 'utf8'})).toBe('380\n')
  })

  it.skipIf(!which('git'))('keeps a repository', async () => {
    const author = '-c user.name=a -c user.email=a@example.org -c core.createObject=rename'
    const output = await shell(
      `set -e; export HOME=${TOP}; cd ${TOP}; git -c core.symlinks=false init -q r; cd r; ` +
        `for i in 1 2 3; do echo $i >> f; git add f; git ${author} commit -qm $i; done; git gc -q; git fsck; git log --oneline | wc -l`,
      /links cannot be made/,
    )
    expect(output).toBe('3\n')
    const repository = ['-c', 'safe.directory=*', '-C', room.at(`${TOP}/r`)]
    expect(execFileSync('git', [...repository, 'status', '--short'], {encoding: 'utf8'})).toBe('')
    expect(execFileSync('git', [...repository, 'fsck'], {encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe']})).toBe('')
  })

  it('saves what a program wrote that is killed', async () => {
    await shell(`sh -c 'exec 3> ${TOP}/f; printf unsaved >&3; kill -9 $$'; true`)
    expect(there('f')).toBe('unsaved')
  })

  it('keeps what fsync has acknowledged, and gives the errors of the target', async () => {
    fs.writeFileSync(room.at(`${TOP}/old`), 'old text\n')
    const commands = (text: string) => below(compile('write'), ...text.replaceAll('@', TOP).split(' '))
    expect(await commands('append @/old write more fsync kill')).toBe('append 0\nwrite 0\nfsync 0\n')
    expect(there('old')).toBe('old text\nmore')
    const results = await commands(
      'mkdir @/d mkdir @/d rename @/old @/d/new rmdir @/d read @/old read @/d/new chmod @/d/new 600 truncate @/d/new 3 utimens @/d/new unlink @/d/new rmdir @/d',
    )
    expect(results.trimEnd().split('\n')).toEqual([
      'mkdir 0',
      'mkdir EEXIST',
      'rename 0',
      'rmdir ENOTEMPTY',
      'read ENOENT',
      'read 0',
      'chmod 0',
      'truncate 0',
      'utimens 0',
      'unlink 0',
      'rmdir 0',
    ])
  })

  it('executes programs and scripts of the target, and what it has just written', async () => {
    fs.writeFileSync(room.at(`${TOP}/run.sh`), '#!/bin/sh\necho "$0 $*"\n', {mode: 0o755})
    fs.copyFileSync('/bin/echo', room.at(`${TOP}/echo`))
    const output = await shell(
      `${TOP}/run.sh a b; ${TOP}/echo hi; cd ${TOP}; printf '#!/bin/sh\\necho made $0\\n' > s; chmod 755 s; ./s; cp /bin/echo e; ./e copied`,
    )
    expect(output).toBe(`${TOP}/run.sh a b\nhi\nmade ./s\ncopied\n`)
    expect(fs.statSync(room.at(`${TOP}/s`)).mode & 0o777).toBe(0o755)
  })
})
