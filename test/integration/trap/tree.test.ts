import {spawn} from 'node:child_process'
import {existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {createInterface} from 'node:readline'
import {afterEach, beforeAll, describe, expect, it} from 'vitest'
import {buildTrap, cleanUp, compile, run, trapPath, type Run} from './harness.ts'

let tree: string
beforeAll(() => {
  buildTrap()
  tree = compile('tree')
})
afterEach(cleanUp)

const kinds = ['child', 'daemon', 'stopped', 'program'] as const
async function treePids(program: Run): Promise<number[]> {
  const lines = await Promise.all(kinds.map((kind) => program.line(new RegExp(`^${kind} (\\d+)`))))
  return lines.map((match) => Number(match[1]))
}
/** Alive and not a zombie that waits for its parent. */
function alive(pid: number): boolean {
  try {
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'))
  } catch {
    return false
  }
}
async function allGone(pids: number[]): Promise<void> {
  while (pids.some(alive)) await new Promise((resolve) => setImmediate(resolve))
}
function supervisorOf(reaper: number): number {
  return Number(readFileSync(`/proc/${reaper}/task/${reaper}/children`, 'utf8').trim())
}

describe('the tree', () => {
  it('reports exit codes and signals, and ends when the last process is gone', async () => {
    const code = await run({program: '/bin/sh', arguments: ['-c', 'exit 42']})
    expect(await code.trap.exited).toEqual({code: 42})
    await code.finish()
    const killed = await run({program: '/bin/sh', arguments: ['-c', 'kill -9 $$']})
    expect(await killed.trap.exited).toEqual({signal: 'SIGKILL'})
    const daemon = await run({
      program: '/bin/sh',
      arguments: ['-c', '(setsid cat >/dev/null && echo daemon done) & exit 0'],
    })
    expect(await daemon.trap.exited).toEqual({code: 0})
    daemon.trap.signalTree('SIGTERM')
    await daemon.finish()
  })

  it('gets SIGKILL as a whole, the daemon and the stopped process included', async () => {
    const program = await run({program: tree})
    const pids = await treePids(program)
    program.trap.signalTree('SIGTERM') // all ignore it
    program.trap.killTree()
    await program.finish()
    expect(pids.filter(alive)).toEqual([])
    expect(await program.trap.exited).toEqual({signal: 'SIGKILL'})
  })

  it('passes signals to every process', async () => {
    const program = await run({
      program: '/bin/sh',
      arguments: [
        '-c',
        "trap 'echo parent got it; exit 5' TERM; (trap 'echo child got it; exit' TERM; echo ready; while :; do sleep 0.05; done) & while :; do sleep 0.05; done",
      ],
    })
    await program.line(/^ready/)
    program.trap.signalTree('SIGTERM')
    expect(await program.finish()).toContain('child got it')
    expect(program.output()).toContain('parent got it')
    expect(await program.trap.exited).toEqual({code: 5})
  })

  it('outlives signals that are not for the trap', async () => {
    const program = await run({program: '/bin/cat'})
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT'] as const) {
      process.kill(program.trap.pid, signal)
      process.kill(supervisorOf(program.trap.pid), signal)
    }
    program.input('still here\n')
    await program.line(/^still here/)
  })

  it('survives a fork bomb racing with killTree', async () => {
    const program = await run({
      program: '/bin/sh',
      arguments: [
        '-c',
        'echo go; f() { sleep 0.01; f & f & wait; }; (sleep 3; kill -9 $$) & for i in 1 2 3 4 5 6 7 8; do (while :; do (:) & done) & done; wait',
      ],
    })
    await program.line(/^go/)
    program.trap.killTree()
    await program.finish()
  })

  it('has nobody left when the supervisor is killed', async () => {
    const program = await run({program: tree})
    const pids = await treePids(program)
    process.kill(supervisorOf(program.trap.pid), 'SIGKILL')
    expect(await program.trap.ended).toMatchObject({clean: false})
    expect(await program.trap.exited).toEqual({})
    await allGone([...pids, program.trap.pid])
  })

  it('has nobody left when the reaper is killed', async () => {
    const program = await run({program: tree})
    const pids = await treePids(program)
    const supervisor = supervisorOf(program.trap.pid)
    process.kill(program.trap.pid, 'SIGKILL')
    await program.trap.ended
    await allGone([...pids, supervisor])
  })

  it('has nobody left when the session is killed', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'mirrord-session-'))
    const script = join(directory, 'session.ts')
    const src = join(import.meta.dirname, '../../../src/trap/trap.ts')
    writeFileSync(
      script,
      `import {startTrap} from ${JSON.stringify(src)}
       const trap = await startTrap({trapPath: ${JSON.stringify(trapPath)}, program: ${JSON.stringify(tree)}, argv: ['tree'], cwd: '/', env: {},
         stdio: {stdin: 'ignore', stdout: 1, stderr: 2}, newSession: true, incoming: true, outgoing: {tcp: true, udp: true}, overlays: [], local: []},
         {connect: async () => ({errno: 111}), listen: async () => ({}), listenerClosed() {}, warning() {}})
       console.log('trap', trap.pid)`,
    )
    const session = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', script], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    const pids = new Map<string, number>()
    for await (const line of createInterface(session.stdout)) {
      const [kind = '', pid] = line.split(' ')
      pids.set(kind, Number(pid))
      if (pids.size === kinds.length + 1) break
    }
    const supervisor = supervisorOf(pids.get('trap') ?? 0)
    session.kill('SIGKILL')
    await allGone([...pids.values(), supervisor])
    rmSync(directory, {recursive: true})
  })

  it('leaves the supervisor when only the program is killed; its descendants go on', async () => {
    const program = await run({program: tree})
    const [child, daemon] = await treePids(program)
    process.kill(program.trap.programPid, 'SIGKILL')
    expect(await program.trap.exited).toEqual({signal: 'SIGKILL'})
    expect([child, daemon].map((pid) => alive(pid ?? 0))).toEqual([true, true])
    program.trap.killTree()
    await program.finish()
  })

  it('is supervised but not intercepted when asked so', async () => {
    const program = await run({program: tree, intercept: false})
    const pids = await treePids(program)
    expect(readFileSync(`/proc/${program.trap.programPid}/status`, 'utf8')).toMatch(/^Seccomp:\t0$/m)
    program.trap.killTree()
    await program.finish()
    expect(pids.filter(alive)).toEqual([])
  })

  it('inherits nothing but its three descriptors, and leads its own session', async () => {
    const program = await run({program: compile('sockets'), arguments: ['descriptors', '0', '0']})
    expect(await program.finish()).toBe('checked\n')
    const shell = await run({
      program: '/bin/sh',
      arguments: ['-c', 'read pid _ _ _ group session rest </proc/self/stat; echo $(ps -o sid= -p $$) $$'],
    })
    const [session, own] = (await shell.finish()).trim().split(/\s+/)
    expect(session).toBe(own)
    const foreground = await run({program: '/bin/cat', newSession: false})
    const groupOf = (pid: number) => readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ')[2]
    expect(groupOf(foreground.trap.programPid)).toBe(groupOf(process.pid))
  })

  it('refuses what cannot be run, with the reason', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'mirrord-exec-'))
    const file = (name: string, text: string, mode: number) => {
      writeFileSync(join(directory, name), text, {mode})
      return join(directory, name)
    }
    await expect(run({program: '/nonexistent'})).rejects.toMatchObject({reason: 'not-found', errno: 2})
    await expect(run({program: file('plain', 'x', 0o644)})).rejects.toMatchObject({reason: 'not-executable', errno: 13})
    await expect(run({program: directory})).rejects.toMatchObject({reason: 'not-executable'})
    await expect(run({program: '/bin/true', cwd: '/nonexistent'})).rejects.toMatchObject({reason: 'working-directory'})
    const script = await run({
      program: file('script', 'echo "$0" has $#: $1\nexit 3\n', 0o755),
      arguments: ['a b', 'c'],
    })
    expect(await script.finish()).toBe(`${join(directory, 'script')} has 2: a b\n`)
    expect(await script.trap.exited).toEqual({code: 3})
    rmSync(directory, {recursive: true})
    expect(existsSync(directory)).toBe(false)
  })
})
