import {execFileSync, spawn} from 'node:child_process'
import {existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {dirname, join} from 'node:path'
import type {Duplex} from 'node:stream'
import {fileURLToPath} from 'node:url'
import {afterAll, beforeAll, describe, expect, it} from 'vitest'
import {compilePatterns} from '../../../src/patterns/index.ts'
import {Decoder, encode, type Message, wireVersion} from '../../../src/trap/wire.ts'
import {makeTrap, which} from './harness.ts'

/**
 * qemu-user has no seccomp, no ptrace and no pidfd_getfd, so nothing is intercepted here. What is shown for arm64: the filter
 * is right for its system call numbers, structures are the kernel's, the pattern automaton, the wire format and the helper modes work.
 */
const trap = join(dirname(fileURLToPath(import.meta.url)), '../../../native/trap')
const apps = join(trap, '../../test/apps/trap')
const cross = 'aarch64-linux-gnu-gcc'
const qemu = which('qemu-aarch64-static') ?? which('qemu-aarch64')
const lacks =
  !which(cross) || !existsSync('/usr/aarch64-linux-gnu/include/stdio.h')
    ? ` (no ${cross})`
    : qemu
      ? process.env.MIRRORD_LONG
        ? ''
        : ' (long run only)'
      : ' (no qemu-user)'

describe.skipIf(lacks !== '')(`on arm64, by qemu-user${lacks}`, {timeout: 120_000}, () => {
  let directory: string
  beforeAll(() => {
    directory = mkdtempSync(join(tmpdir(), 'mirrord-aarch64-'))
  })
  afterAll(() => rmSync(directory, {recursive: true}))
  const build = (compiler: string, name: string, sources: string[], ...more: string[]) => {
    const target = join(directory, `${name}-${compiler}`)
    const flags = ['-std=gnu11', '-O2', '-D_GNU_SOURCE', `-I${trap}`, '-static', ...more]
    execFileSync(compiler, [...flags, '-o', target, ...sources], {stdio: 'inherit'})
    return target
  }
  const emulated = (program: string, args: string[] = [], input: Uint8Array | string = '') =>
    execFileSync(qemu ?? '', [program, ...args], {input, encoding: 'utf8'})
  const sources = ['', 'net', 'files', 'processes'].flatMap((folder) =>
    readdirSync(join(trap, folder))
      .filter((name) => name.endsWith('.c') && name !== 'main.c')
      .map((name) => join(trap, folder, name)),
  )
  /** Names and numbers of all system calls, from the kernel's headers for that compiler. */
  const numbers = (compiler: string) => {
    const run = (args: string[], input: string) =>
      execFileSync(compiler, [...args, '-E', '-P', '-xc', '-'], {input, encoding: 'utf8'})
    const names = [...run(['-dM'], '#include <asm/unistd.h>').matchAll(/#define __NR_(\w+) /g)].map(([, name]) => name)
    const list = run([], `#include <asm/unistd.h>\n${names.map((name) => `"${name}" __NR_${name}`).join('\n')}`)
    const all = [...list.matchAll(/"(\w+)"\s+(\d+|\(\d+\s*\+\s*\d+\))/g)]
    return new Map(
      all.filter(([, , value]) => /^\d+$/.test(value ?? '')).map(([, name = '', value]) => [Number(value), name]),
    )
  }
  /** What the filter does with each call, by its name. */
  const decisions = (output: string, names: Map<number, string>) =>
    new Map(
      output
        .trim()
        .split('\n')
        .map((line) => line.split(' ') as [string, string, string])
        .filter(([set, number]) => set === 'foreign' || names.has(Number(number)))
        .map(([set, number, what]) => [set === 'foreign' ? set : `${set} ${names.get(Number(number))}`, what]),
    )

  it('the filter decides each system call by name as on x86_64', () => {
    const source = join(apps, 'machine.c')
    const here = decisions(
      execFileSync(build('gcc', 'machine', [source, ...sources]), {encoding: 'utf8'}),
      numbers('gcc'),
    )
    const there = decisions(emulated(build(cross, 'machine', [source, ...sources])), numbers(cross))
    const trapped = (all: Map<string, string>) => [...all].filter(([, what]) => !/^A+$/.test(what))
    expect(trapped(there).length).toBeGreaterThan(100)
    for (const [name, what] of trapped(there)) expect([name, here.get(name)]).toEqual([name, what])
    // Those that are missing are the ones that this machine does not have.
    const missing = trapped(here).filter(([name]) => !there.has(name))
    const old = [
      'open',
      'creat',
      'stat',
      'lstat',
      'access',
      'readlink',
      'dup2',
      'mkdir',
      'rmdir',
      'unlink',
      'rename',
      'chmod',
    ]
    const older = [
      'chown',
      'lchown',
      'utime',
      'utimes',
      'futimesat',
      'link',
      'symlink',
      'mknod',
      'renameat',
      'sendfile',
    ]
    for (const [name] of missing) expect([...old, ...older]).toContain(name.split(' ')[1])
    for (const [name] of trapped(here).filter(([name]) => there.has(name)))
      expect([name, there.get(name)]).toEqual([name, here.get(name)])
  })

  it('structures handed to raw system calls are those of the kernel', () => {
    const source = join(directory, 'kernel.c')
    writeFileSync(
      source,
      `#include <asm/stat.h>
#include <asm/statfs.h>
#include <stddef.h>
int printf(const char *, ...); int strcmp(const char *, const char *);
#define SIZE(type) printf(#type " %zu\\n", sizeof(type))
#define FIELD(type, name) printf(#type "." #name " %zu %zu\\n", offsetof(type, name), sizeof(((type *)0)->name))
int main(void) {
    SIZE(struct stat), FIELD(struct stat, st_mode), FIELD(struct stat, st_nlink), FIELD(struct stat, st_uid), FIELD(struct stat, st_size), FIELD(struct stat, st_blocks);
    SIZE(struct statfs), FIELD(struct statfs, f_type), FIELD(struct statfs, f_fsid), FIELD(struct statfs, f_namelen), FIELD(struct statfs, f_flags);
}`,
    )
    const libc = emulated(build(cross, 'machine', [join(apps, 'machine.c'), ...sources]), ['layout'])
    expect(libc).toBe(emulated(build(cross, 'kernel', [source])))
    expect(libc).toContain('struct stat 128\n')
  })

  it('the automaton of patterns gives the same labels', () => {
    const program = build(cross, 'rules', [join(apps, 'rules.c'), join(trap, 'files/rules.c')])
    const here = build('gcc', 'rules', [join(apps, 'rules.c'), join(trap, 'files/rules.c')])
    const patterns = ['^/etc/(?!x)', '^/app/[a-z]+\\.(js|ts)$', '(?i)secret', '\\bword\\b', '/é+/']
      .filter((pattern) => !pattern.includes('?!'))
      .map((pattern, at) => ({pattern, label: at + 1}))
    const u32 = (value: number) => Buffer.from(Uint32Array.of(value).buffer)
    const part = (bytes: Uint8Array) => Buffer.concat([u32(bytes.length), bytes])
    const texts = [
      '/app/main.ts',
      '/app/Main.ts',
      '/x/SECRET/y',
      'a word b',
      'swordfish',
      '/éé/',
      '/é',
      '',
      '\u{1f600}',
    ]
    const input = Buffer.concat([
      part(compilePatterns(patterns)),
      u32(texts.length),
      ...texts.map((text) => part(Buffer.from(text))),
    ])
    expect(emulated(program, [], input)).toBe(execFileSync(here, {input, encoding: 'utf8'}))
    expect(emulated(program, [], input).trim()).toBe('1 0 2 3 0 4 0 0 0')
  })

  /** What it says to these bytes. */
  async function speak(path: string, bytes: Uint8Array): Promise<Message[]> {
    const child = spawn(qemu ?? '', [path], {stdio: ['ignore', 'ignore', 'ignore', 'pipe'], env: {}})
    const socket = child.stdio[3] as Duplex
    const decoder = new Decoder()
    const said: Message[] = []
    socket.on('data', (chunk: Buffer) => said.push(...decoder.push(chunk)))
    socket.on('error', () => {})
    socket.write(bytes)
    await new Promise((resolve) => socket.once('close', resolve))
    return said
  }

  it('the messages are understood, helper modes work, and it says that nothing can be intercepted', async () => {
    const path = makeTrap('build/mirrord-trap-aarch64')
    const hello = encode('hello', {
      ...{version: wireVersion, flags: 1 | 16, holdMs: 1, connectMs: 1, listenMs: 1, fileMs: 1, datagramMs: 1},
      ...{
        program: '/bin/true',
        cwd: '/',
        argv: ['true'],
        local: [{network: {address: '10.0.0.0', port: 0}, prefix: 8}],
      },
      ...{
        overlays: [{path: '/etc/hosts', source: '/x'}],
        files: '',
        mapping: new Uint8Array(0),
        skip: ['go'],
        hostname: 'pod',
        environment: [],
        network: '',
      },
      ...{rules: new Uint8Array(0), unixStreams: new Uint8Array(0)},
    })
    const [answer] = await speak(path, hello)
    expect(answer).toMatchObject({name: 'failed'})
    const changed = Buffer.from(hello)
    changed.writeUInt32LE(99, 5)
    expect(await speak(path, changed)).toEqual([expect.objectContaining({name: 'fatal'})])
    let probed = ''
    try {
      emulated(path, ['--probe'])
    } catch (error) {
      probed = (error as {stdout: string}).stdout
    }
    expect(JSON.parse(probed)).toMatchObject({available: false, arch: 'aarch64'})
    expect(emulated(path, ['--attributes'], 'statfs 0\n')).toMatch(/^0( -?\d+){12}\n$/)
  })
})
