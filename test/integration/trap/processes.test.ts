import {execFileSync} from 'node:child_process'
import {hostname} from 'node:os'
import {afterEach, beforeAll, expect, it} from 'vitest'
import {inOwnConditions} from './conditions.ts'
import {buildTrap, cleanUp, compile, python, run, startRelay, type RunOptions} from './harness.ts'

let processes: string
beforeAll(() => {
  buildTrap()
  processes = compile('processes')
})
afterEach(cleanUp)

/** Runs a mode of test/apps/trap/processes.c to its end; every connect gets `hello` from a relay. */
async function through(mode: string, options: Partial<RunOptions> = {}) {
  using relay = await startRelay()
  const program = await run({
    program: processes,
    ...options,
    arguments: [mode, '10.1.2.3', '80', ...(options.arguments ?? [])],
    connect: async () => relay.answer,
  })
  const output = await program.finish()
  return {lines: output.trim().split('\n'), program}
}

inOwnConditions('uname', (condition) => {
  const name = 'ip-visit-counter-5b8d9c7f4-x2x9k'

  it('[DNS-12, DNS-14] shows the host name of the pod, in gethostname too', async () => {
    const {lines} = await through('uname', {hostname: name})
    const arch = process.arch === 'x64' ? 'x86_64' : 'aarch64'
    expect(lines).toEqual([`Linux ${name} ${arch} ${name}`, 'small -1 ENAMETOOLONG', 'bad EFAULT'])
    const shell = await run({
      program: '/bin/sh',
      hostname: 'a'.repeat(64),
      arguments: ['-c', 'uname -n; exec node -p "os.hostname()"'],
      env: {PATH: `${process.execPath}/..:${process.execPath.replace(/\/[^/]*$/, '')}:${process.env.PATH}`},
    })
    expect(await shell.finish()).toBe(`${'a'.repeat(64)}\n`.repeat(2))
  })

  it.skipIf(!python)('[DNS-12] is what Python resolves itself by', async () => {
    const program = await run({
      program: python ?? '',
      arguments: ['-c', 'import socket, platform; print(socket.gethostname(), platform.node())'],
      hostname: name,
    })
    expect(await program.finish()).toBe(`${name} ${name}\n`)
  })

  it('[DNS-13] shows this machine without a host name to show', async () => {
    const {lines} = await through('uname')
    expect(lines[0]).toContain(` ${hostname()} `)
  })

  it('shows the name of a process that has one of its own', async (context) => {
    if (condition.denied.includes('docker')) context.skip('denied by the profile')
    try {
      execFileSync('unshare', ['--uts', 'true'], {stdio: 'ignore'})
    } catch {
      context.skip('no permission to make a UTS namespace')
    }
    const script =
      'unshare --uts sh -c "uname -n; hostname own-name 2>/dev/null || echo own-name >/proc/sys/kernel/hostname; uname -n"; uname -n'
    const program = await run({program: '/bin/sh', arguments: ['-c', script], hostname: name})
    expect(await program.finish()).toBe(`${hostname()}\nown-name\n${name}\n`)
  })

  it('keeps the machine that a personality shows', async () => {
    const program = await run({
      program: '/bin/sh',
      arguments: ['-c', 'setarch --uname-2.6 uname -nr; uname -r'],
      hostname: name,
    })
    const [special, plain] = (await program.finish()).trim().split('\n')
    expect(special).toMatch(new RegExp(`^${name} 2\\.6\\.`))
    expect(plain).not.toMatch(/^2\.6\./)
  })

  it('is not for skipped programs', async () => {
    const {lines} = await through('uname', {hostname: name, skip: ['processes']})
    expect(lines[0]).toContain(` ${hostname()} `)
  })
})

inOwnConditions('a program with filters of its own', () => {
  it('gets EBUSY for a listener, with a warning that names it; other filters work beside ours', async () => {
    const {lines, program} = await through('seccomp')
    expect(lines).toEqual(['listener EBUSY', 'filter ok', 'refused by its own filter: EACCES', 'listen ok', 'port 1'])
    expect(program.connects).toEqual([])
    expect(program.listeners).toHaveLength(1)
    expect(program.warnings).toEqual([expect.stringMatching(/process \d+ \(processes\).*seccomp.*EBUSY/)])
  })
})

inOwnConditions('every way to start a process', (condition) => {
  it('[PRC-06, PRC-07, PRC-17] fork, vfork, posix_spawn, clone3 and system: connected, and the parent waits as ever', async () => {
    const {lines, program} = await through('children')
    const clone3 = !condition.denied.includes('docker') // else ENOSYS
    const ours = lines.filter((line) => !line.startsWith('window'))
    // The parent of a vfork goes on when its child has begun another program: which of them prints first is open.
    if (ours[2] === 'connect connected') ours.splice(2, 2, ours[3]!, ours[2])
    expect(ours).toEqual([
      'fork connected',
      'fork exit 3',
      'vfork 1',
      'connect connected',
      'vfork exit 0',
      'connect connected',
      'posix_spawn exit 0',
      ...(clone3 ? ['clone3 connected', 'clone3 exit 4'] : ['clone3 exit 0']),
      'system 7',
    ])
    expect(program.connects).toHaveLength(clone3 ? 4 : 3)
    expect(program.connects.every(({pid}) => pid !== program.trap.programPid)).toBe(true)
  })

  it('a daemon that forked twice, left the session and closed every descriptor', async () => {
    const {lines} = await through('daemon')
    expect(lines.sort()).toEqual(['connect connected', 'daemon exit 0', 'window 1'])
  })

  it('[PRC-19] a cleared environment', async () => {
    using relay = await startRelay()
    const program = await run({
      program: '/usr/bin/env',
      arguments: ['-i', processes, 'connect', '10.1.2.3', '80'],
      connect: async () => relay.answer,
    })
    expect(await program.finish()).toContain('connect connected')
  })

  it('[PRC-12] the trap is no child of the program', async () => {
    expect((await through('wait')).lines).toEqual(['wait ECHILD'])
  })
})
