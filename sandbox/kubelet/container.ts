import {closeSync, constants, openSync, readFileSync, readlinkSync, readdirSync, writeFileSync} from 'node:fs'
import {createInterface} from 'node:readline'
import {Socket} from 'node:net'
import {join} from 'node:path'
import type {Readable, Writable} from 'node:stream'

import type {ContainerLog} from './logs.ts'
import type {Machine} from './machine.ts'
import {containerScript} from './script.ts'
import type {ScriptOptions} from './script.ts'

export interface Exit {
  /** 128 + signal for a death by signal, as container runtimes report it. */
  code: number
  signal?: number
}

export interface Running {
  /** As this process sees it. */
  pid: number
  /** As a pod with hostPID sees it. */
  nodePid: number
  exited: Promise<Exit>
  signal(name: NodeJS.Signals): void
}

/** The program could not be started; `reason` is the container's waiting or terminated reason. */
export class StartError extends Error {}

const SIGNALS: Record<string, number> = {
  SIGHUP: 1,
  SIGINT: 2,
  SIGQUIT: 3,
  SIGILL: 4,
  SIGABRT: 6,
  SIGBUS: 7,
  SIGFPE: 8,
  SIGKILL: 9,
  SIGSEGV: 11,
  SIGPIPE: 13,
  SIGALRM: 14,
  SIGTERM: 15,
}

export interface ContainerOptions {
  machine: Machine
  /** Process that holds the pod's namespaces. */
  pod: number
  /** Own PID namespace, the node's (hostPID), or the one of a process (shareProcessNamespace, ephemeral target). */
  processes: 'own' | 'node' | number
  script: ScriptOptions
  /** Directory of this machine for the script. */
  workDir: string
  log: ContainerLog
}

const mountNamespace = (pid: number | string): string | undefined => {
  try {
    return readlinkSync(`/proc/${pid}/ns/mnt`)
  } catch {
    return undefined
  }
}

/**
 * Holds a container's mount namespace, so that its number stays its own: the kernel gives that of a namespace which is gone
 * to the next one that is made, which may be another container's.
 */
function hold(pid: number): number | undefined {
  try {
    return openSync(`/proc/${pid}/ns/mnt`, 'r')
  } catch {
    return undefined // it has ended already
  }
}

/** Kills whatever is left of a container that shares a PID namespace: every process in its mount namespace. */
function sweep(held: number): void {
  const namespace = readlinkSync(`/proc/self/fd/${held}`)
  for (const entry of readdirSync('/proc')) {
    if (!/^\d+$/.test(entry) || mountNamespace(entry) !== namespace) continue
    try {
      process.kill(Number(entry), 'SIGKILL')
    } catch {
      // It ended by itself in the meantime.
    }
  }
}

/** Connects a fifo of the container with its log; resolves at its end. */
function pipe(path: string, stream: 'stdout' | 'stderr', log: ContainerLog): Promise<void> {
  // Non-blocking: the script holds the other end already, so this neither waits nor meets an early end of file.
  const fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)
  const socket = new Socket({fd, readable: true, writable: false})
  socket.on('data', (chunk) => log.write(stream, chunk))
  socket.on('error', () => {})
  return new Promise((resolve) => socket.on('close', () => resolve()))
}

/**
 * Creates a container and calls `created` when everything but the program is there; starts the program after that.
 * Rejects with a StartError when it cannot be started.
 */
export async function startContainer(
  o: ContainerOptions,
  created: (pid: number, nodePid: number) => void,
): Promise<Running> {
  const path = join(o.workDir, 'start.sh')
  writeFileSync(path, containerScript(o.script), {mode: 0o600})
  const own = o.processes === 'own' ? ['--pid', '--fork', '--kill-child'] : []
  const where = {pod: o.pod, pidOf: typeof o.processes === 'number' ? o.processes : undefined}
  const child = o.machine.spawn(
    ['unshare', '--mount', '--propagation', 'unchanged', ...own, '--', '/bin/sh', path],
    {
      stdio: ['pipe', 'ignore', 'pipe', 'pipe'],
      env: {PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'},
    },
    where,
  )
  const input = child.stdin as Writable
  input.on('error', () => {})
  let errors = ''
  child.stderr!.on('data', (chunk: Buffer) => (errors = (errors + chunk.toString()).slice(-2000)))
  const finished = new Promise<Exit>((resolve) => {
    child.on('error', (error) => {
      errors += error.message
      resolve({code: 128})
    })
    child.on('exit', (code, signal) => {
      const number = signal ? (SIGNALS[signal] ?? 1) : undefined
      resolve(number === undefined ? {code: code ?? 0} : {code: 128 + number, signal: number})
    })
  })
  const control = createInterface(child.stdio[3] as Readable)
  const word = await new Promise<string>((resolve) => {
    control.once('line', resolve)
    // Not `exit`, which may come before what it had said has been read.
    child.once('close', () => resolve(''))
    child.once('error', () => resolve(''))
  })
  if (word === 'missing') {
    const program = JSON.stringify(o.script.command[0])
    const where = o.script.command[0]!.includes('/')
      ? `stat ${o.script.command[0]}: no such file or directory`
      : 'executable file not found in $PATH'
    throw new StartError(
      `failed to create containerd task: failed to create shim task: OCI runtime create failed: unable to start container process: exec: ${program}: ${where}: unknown`,
    )
  }
  if (!word.startsWith('pid ')) {
    const {code} = await finished
    throw new StartError(
      `failed to create containerd task: ${errors.trim() || `the container ended before it was set up, with ${code}`}`,
    )
  }
  const pid = Number(word.slice(4))
  const nodePid = Number(/^NSpid:\s+\d+\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1])
  const held = o.processes === 'own' ? undefined : hold(pid)
  // The fifos are on the node's tmpfs, which only processes of the node see: the way leads through one of them.
  const seen = join(`/proc/${pid}/root`, o.script.dir)
  const streams = [pipe(join(seen, 'out'), 'stdout', o.log), pipe(join(seen, 'err'), 'stderr', o.log)]
  created(pid, nodePid)
  input.write('go\n')
  let over = false
  const exited = finished.then(async (exit) => {
    over = true
    if (held !== undefined) {
      sweep(held)
      closeSync(held)
    }
    await Promise.all(streams)
    o.log.end()
    return exit
  })
  return {
    pid,
    nodePid,
    exited,
    signal(name) {
      if (over) return
      try {
        process.kill(pid, name)
      } catch {
        // It has just ended.
      }
    },
  }
}
