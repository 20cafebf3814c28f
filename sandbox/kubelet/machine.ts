import {spawn} from 'node:child_process'
import type {ChildProcess, SpawnOptions} from 'node:child_process'
import {readFileSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'

import {lineReader, must} from '../exec.ts'
import {claim, nodeLines, podLines, release} from '../net/slots.ts'
import type {Addresses, Ranges} from '../net/slots.ts'

const REAL = new Set([
  'ext2',
  'ext3',
  'ext4',
  'xfs',
  'btrfs',
  'overlay',
  'zfs',
  'f2fs',
  '9p',
  'virtiofs',
  'fuse',
  'nfs',
  'nfs4',
  'tmpfs',
  'bcachefs',
])
const NOT_SHOWN = /^\/(proc|sys|dev|run|mnt)(\/|$)/

/**
 * Mount points with real content besides `/`: an overlay over `/` shows the empty directories below them, so they are
 * added one by one. Source of the format: proc_pid_mountinfo(5).
 */
function extraMounts(stateDir: string): string[] {
  const lines = readFileSync('/proc/self/mountinfo', 'utf8').trim().split('\n')
  const points = lines.flatMap((line) => {
    const [head, tail] = line.split(' - ')
    const point = head!.split(' ')[4]!.replaceAll('\\040', ' ')
    return REAL.has(tail!.split(' ')[0]!) && point !== '/' && !NOT_SHOWN.test(point) && !point.startsWith(stateDir)
      ? [point]
      : []
  })
  return [...new Set(points)]
}

/** The node: namespaces with nothing in them but a first process, in which pods are started. */
export class Machine {
  readonly addresses: Addresses
  /** Pid of the node's first process, as this process sees it. */
  readonly pid: number
  readonly stateDir: string
  readonly mounts: string[]
  private readonly init: ChildProcess
  private readonly children = new Set<ChildProcess>()
  private counter = 0

  private constructor(init: ChildProcess, pid: number, addresses: Addresses, stateDir: string, mounts: string[]) {
    this.init = init
    this.pid = pid
    this.addresses = addresses
    this.stateDir = stateDir
    this.mounts = mounts
  }

  /** Starts the node's first process and its network. */
  static async start(stateDir: string, ranges: Ranges): Promise<Machine> {
    const mounts = extraMounts(stateDir)
    writeFileSync(join(stateDir, 'mounts'), mounts.map((point) => `${point}\n`).join(''))
    const script = join(import.meta.dirname, 'node-init.sh')
    const namespaces = [
      '--net',
      '--mount',
      '--pid',
      '--uts',
      '--ipc',
      '--fork',
      '--kill-child',
      '--propagation',
      'unchanged',
    ]
    const init = spawn('unshare', [...namespaces, '--', 'bash', script, stateDir], {stdio: ['pipe', 'pipe', 'pipe']})
    init.stdin.on('error', () => {})
    const line = lineReader(init)
    const pid = Number((await line()).split(' ')[1])
    const addresses = await claim(pid, ranges)
    init.stdin.write(['up', ...nodeLines(addresses), 'END', ''].join('\n'))
    await line()
    return new Machine(init, pid, addresses, stateDir, mounts)
  }

  /** Resolves when the node has ended, whoever ended it. */
  get ended(): Promise<void> {
    return new Promise((resolve) => {
      if (this.init.exitCode !== null || this.init.signalCode !== null) resolve()
      else this.init.once('close', () => resolve())
    })
  }

  private ns(kind: string, pid = this.pid): string {
    return `--${kind}=/proc/${pid}/ns/${kind === 'mount' ? 'mnt' : kind}`
  }

  /**
   * Options that give a program the node's files. Entering a mount namespace moves the root to the namespace's own: in a
   * chroot that is outside of it, so the root of the node's first process is named too.
   */
  private get files(): string[] {
    return [this.ns('mount'), `--root=/proc/${this.pid}/root`, `--wd=/proc/${this.pid}/root`]
  }

  /** Starts a program inside the node; `pod` names a process whose network, UTS and IPC namespaces it joins. */
  spawn(command: string[], options: SpawnOptions, where: {pod?: number; pidOf?: number} = {}): ChildProcess {
    const pod = where.pod ?? this.pid
    const joined = [
      ...this.files,
      this.ns('pid', where.pidOf ?? this.pid),
      this.ns('net', pod),
      this.ns('uts', pod),
      this.ns('ipc', pod),
    ]
    const child = spawn('nsenter', [...joined, '--', ...command], options)
    this.children.add(child)
    child.on('exit', () => this.children.delete(child))
    child.on('error', () => this.children.delete(child))
    return child
  }

  /** Runs a program in the node's network namespace, with this machine's files. */
  async inNetwork(command: string[], input = ''): Promise<string> {
    return must('nsenter', [this.ns('net'), '--', ...command], input)
  }

  /** Removes paths below the node's private tmpfs. */
  async discard(paths: string[]): Promise<void> {
    if (paths.length) await must('nsenter', [...this.files, '--', 'rm', '-rf', '--one-file-system', ...paths])
  }

  /**
   * Makes a pod's namespaces with one interface `eth0`. Returns the process that holds them and its pid. With
   * `shared`, the pod has one PID namespace too.
   */
  async pod(hostname: string, ip: string, shared: boolean): Promise<{holder: ChildProcess; pid: number}> {
    const script = join(import.meta.dirname, 'pause.sh')
    const own = ['--net', '--uts', '--ipc', ...(shared ? ['--pid', '--fork', '--kill-child'] : [])]
    const holder = this.spawn(['unshare', ...own, '--', 'sh', script, hostname], {stdio: ['pipe', 'pipe', 'pipe']})
    holder.stdin!.on('error', () => {})
    const line = lineReader(holder)
    const pid = Number((await line()).split(' ')[1])
    // No word that `ip link` knows: it took `vf`, the sixteenth of `v…`, for one.
    const name = `pod${this.counter++}`
    await this.inNetwork(
      ['ip', '-batch', '-'],
      `link add ${name} type veth peer name eth0 netns ${pid}\nlink set ${name} master br0 up\n`,
    )
    holder.stdin!.write([...podLines(this.addresses, ip), 'END', ''].join('\n'))
    await line()
    return {holder, pid}
  }

  /** Ends the node with everything in it and takes the link away. */
  async stop(): Promise<void> {
    const ended = this.ended
    this.init.stdin!.end()
    await ended
    await Promise.all([...this.children].map((child) => new Promise((resolve) => child.once('exit', resolve))))
    await release(this.addresses)
  }
}
