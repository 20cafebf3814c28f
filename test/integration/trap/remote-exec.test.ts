import {copyFileSync, existsSync, realpathSync} from 'node:fs'
import {afterEach, beforeAll, describe, expect, it} from 'vitest'
import {inEachCondition} from './conditions.ts'
import {buildTrap, cleanUp, compile, compileGo, python, run, which, type RunOptions} from './harness.ts'
import {type Classes, Target} from './remote.ts'

let exec: string
beforeAll(() => {
  buildTrap()
  exec = compile('exec')
})
afterEach(cleanUp)

const readMode: Classes = {
  local: ['^/(proc|sys|usr|etc|dev|tmp|bin|lib|lib64|root)(/|$)', '^/$'],
  notFound: ['^/hidden'],
  modeReadOnly: ['.'],
}

function target(): Target {
  const made = new Target(readMode)
  made.file('/app/beside', 'beside the script\n')
  for (const name of ['echo', 'cat', 'sh', 'grep', 'readlink'])
    if (which(name)) {
      made.file(`/app/${name}`, '')
      copyFileSync(realpathSync(which(name) ?? ''), `${made.root}/app/${name}`)
    }
  const script = (name: string, text: string, mode = 0o755) => made.file(`/app/${name}`, text, mode)
  script('run.sh', '#!/bin/sh\necho "$0 $# $*"; cat "$(dirname "$0")/beside"\n')
  script('say', '#!/bin/echo said\n')
  script('quiet', '#!/bin/sh\necho "<$1>"\n')
  script('remote-interpreter', '#!/app/sh -e \necho "$0 $-"\n')
  script('nested', '#! /app/say2  one two  \n')
  script('say2', '#!/app/echo nested')
  script('endless', '#!/app/endless\n')
  script('no-interpreter', '#!/nonexistent\n')
  script('no-line', 'echo "no first line $0"\n')
  script('unseen', '#!/hidden/sh\n')
  script('plain', '#!/bin/sh\n', 0o644)
  made.link('/app/link', 'run.sh')
  return made
}
const start = (remote: Target, options: RunOptions) =>
  run({files: remote.options, file: remote.handler, env: {PATH: '/usr/bin:/bin:/app', HOME: '/tmp'}, ...options})
/** The lines that a program prints. */
async function lines(remote: Target, options: RunOptions): Promise<string[]> {
  const program = await start(remote, options)
  const text = await program.finish()
  expect(program.warnings).toEqual([])
  return text.trimEnd().split('\n')
}
const shell = (remote: Target, commands: string) =>
  lines(remote, {program: '/bin/sh', arguments: ['-c', `exec 2>&1; ${commands}`]})
const own = (remote: Target, mode: string, path: string) => lines(remote, {program: exec, arguments: [mode, path]})

describe('executing remote files', () => {
  it('[FS-01] runs executables and scripts; $0 is the remote path', async () => {
    using remote = target()
    expect(await shell(remote, '/app/echo hi; /app/run.sh a "b c"; /app/link; run.sh on PATH')).toEqual([
      'hi',
      '/app/run.sh 2 a b c',
      'beside the script',
      '/app/link 0 ',
      'beside the script',
      '/app/run.sh 2 on PATH',
      'beside the script',
    ])
  })

  it('runs them relative to a remote directory', async () => {
    using remote = target()
    expect(await shell(remote, 'cd /app; ./run.sh; ./echo hi; ../app/say')).toEqual([
      './run.sh 0 ',
      'beside the script',
      'hi',
      'said ../app/say',
    ])
  })

  it('finds remote interpreters, also of interpreters', async () => {
    using remote = target()
    expect(await shell(remote, '/app/remote-interpreter; /app/nested z')).toEqual([
      '/app/remote-interpreter e',
      'nested /app/say2 one two /app/nested z',
    ])
  })

  it('fails as the kernel does', async () => {
    using remote = target()
    const cases = {
      '/app/endless': 'ELOOP',
      '/app/no-interpreter': 'ENOENT',
      '/app/no-line': 'ENOEXEC',
      '/app/unseen': 'ENOENT',
      '/app/plain': 'EACCES',
      '/app/missing': 'ENOENT',
      '/app/beside/below': 'ENOTDIR',
      '/app': 'EACCES',
      '/hidden/x': 'ENOENT',
    }
    for (const [path, error] of Object.entries(cases))
      expect(await own(remote, 'fail', path), path).toEqual([`${error}, maps +0, descriptors +0, mask empty`])
    expect(await shell(remote, '/app/no-line')).toEqual(['no first line /app/no-line'])
  })

  it('looks for a missing name once while its answer is valid', async () => {
    using remote = target()
    await own(remote, 'fail', '/app/missing')
    expect(remote.asked.filter((question) => question.endsWith('missing'))).toEqual(['open /app/missing'])
  })

  it('executes by descriptor and relative to one', async () => {
    using remote = target()
    expect(await own(remote, 'descriptor', '/app/echo')).toEqual(['by descriptor'])
    expect(await own(remote, 'at', '/app/echo')).toEqual(['at'])
    expect(await own(remote, 'at', '/app/run.sh')).toEqual(['/app/run.sh 1 at', 'beside the script'])
  })

  it('keeps the signal mask and what waits behind it, and leaves no tracer', async () => {
    using remote = target()
    expect(await own(remote, 'masked', '/app/grep')).toEqual([
      'TracerPid:\t0',
      'SigPnd:\t0000000000000200',
      'ShdPnd:\t0000000000000000',
      'SigBlk:\t0000000000000200',
    ])
  })

  it('shows the remote path as the executable', async () => {
    using remote = target()
    expect(await shell(remote, '/app/readlink /proc/self/exe')).toEqual(['/app/readlink'])
  })

  it('leaves nothing in the parent of vfork', async () => {
    using remote = target()
    expect(await own(remote, 'memory', '/app/say')).toEqual(['maps +0, descriptors +0, wrong 0'])
    expect(await own(remote, 'memory', '/app/echo')).toEqual(['maps +0, descriptors +0, wrong 0'])
  })

  it('executes from a thread that is not the first', async () => {
    using remote = target()
    expect(await own(remote, 'thread', '/app/echo')).toEqual(['from a thread'])
    expect(await own(remote, 'thread', '/app/say')).toEqual(['said /app/say from a thread'])
  })

  it.skipIf(!which('strace'))('is refused with a warning below a debugger', async () => {
    using remote = target()
    const program = await start(remote, {
      program: which('strace') ?? '',
      arguments: ['-f', '-o', '/dev/null', exec, 'fail', '/app/echo'],
    })
    expect(await program.finish()).toMatch(/^EACCES, maps \+0, descriptors \+0/)
    expect(program.warnings).toEqual([expect.stringMatching(/cannot execute remote files.*strace/)])
  })

  it.skipIf(!python)('survives programs that are killed and stopped on the way', async () => {
    using remote = target()
    const code = `
import os, random, signal, subprocess, threading, time
def go(seed):
    r = random.Random(seed)
    for i in range(60):
        pid = os.fork()
        if pid == 0:
            os.dup2(os.open('/dev/null', os.O_WRONLY), 1)
            if r.randrange(2): os.chdir('/app')
            try: os.execv(r.choice(['/app/echo', '/app/say', '/app/missing']), ['a', 'b'])
            except OSError: os._exit(1)
        time.sleep(r.random() * 0.002)
        mode = r.randrange(3)
        if mode == 0: os.kill(pid, signal.SIGKILL)
        elif mode == 1:
            for _ in range(3): os.kill(pid, signal.SIGSTOP); os.kill(pid, signal.SIGCONT)
        else:
            os.kill(pid, signal.SIGSTOP)
            if not os.WIFSTOPPED(os.waitpid(pid, os.WUNTRACED)[1]): continue
            os.kill(pid, signal.SIGCONT)
        os.waitpid(pid, 0)
threads = [threading.Thread(target=go, args=(seed,)) for seed in range(5)]
for t in threads: t.start()
for t in threads: t.join()
print(subprocess.run(['/app/say', 'x'], capture_output=True, text=True).stdout.strip())`
    expect(await lines(remote, {program: python ?? '', arguments: ['-c', code]})).toEqual(['said /app/say x'])
  })

  it.skipIf(!python)('[FS-02] starts them from Python', async () => {
    using remote = target()
    const code = `import subprocess
print(subprocess.run(['/app/run.sh', 'x'], capture_output=True, text=True).stdout.split())
print(subprocess.run(['/app/echo', 'closed'], capture_output=True, text=True, close_fds=True).stdout.strip())
try: subprocess.run(['/app/plain'])
except PermissionError as e: print(e.errno)`
    expect(await lines(remote, {program: python ?? '', arguments: ['-c', code]})).toEqual([
      "['/app/run.sh', '1', 'x', 'beside', 'the', 'script']",
      'closed',
      '13',
    ])
  })

  it('[FS-02] starts them from Node', async () => {
    using remote = target()
    const code = `const {execFileSync, spawn} = require('child_process')
console.log(String(execFileSync('/app/run.sh', ['x'])).trim())
spawn('/app/missing').on('error', (e) => console.log(e.code))`
    expect(await lines(remote, {program: process.execPath, arguments: ['-e', code]})).toEqual([
      '/app/run.sh 1 x',
      'beside the script',
      'ENOENT',
    ])
  })

  it.skipIf(!which('go') && !existsSync('/usr/local/go/bin/go'))('starts them from Go', async () => {
    using remote = target()
    expect(await lines(remote, {program: compileGo('exec') ?? '', arguments: ['/app/quiet', '20']})).toEqual([
      '20 of 20',
    ])
  })
})

inEachCondition('executing remote files', () => {
  it('[PRC-17] [PRC-18] from 50 threads at once by vfork, under a storm of signals', async () => {
    using remote = target()
    expect(await own(remote, 'many', '/app/echo')).toEqual(['50 threads, wrong 0, signals yes'])
    expect(await own(remote, 'many', '/app/say')).toEqual(['50 threads, wrong 0, signals yes'])
  })

  it('runs scripts, changes into directories', async () => {
    using remote = target()
    expect(await shell(remote, 'cd /app && ./run.sh a; pwd -P')).toEqual(['./run.sh 1 a', 'beside the script', '/app'])
  })
})
