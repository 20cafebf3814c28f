import {execFile, spawn, type ChildProcess} from 'node:child_process'
import {mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync} from 'node:fs'
import {createServer} from 'node:net'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {promisify} from 'node:util'
import {within} from '../../../src/util/time.ts'

const run = promisify(execFile)
const here = import.meta.dirname
const repository = join(here, '../../..')
const bundle = join(repository, 'lib/agent/agent.js')

/** Namespaces and iptables need root; elsewhere these tests are skipped by name. */
export const isRoot = process.getuid?.() === 0

/** Inside a chroot `/` is no mount point and this fails; whoever made the chroot's mount namespace has done it then. */
const makePrivate = 'mount --make-rprivate / 2>/dev/null || true'

/**
 * Runs a program in a private copy of this machine's file tree with directories of its own for /etc and /host: what a
 * container is to the agent, without an image. Nothing is written outside of the new root.
 */
const inRoot = `
${makePrivate}
set -e
root=$1; shift
for entry in /*; do
  case $entry in /etc|/host) continue;; esac
  if [ -L "$entry" ]; then [ -L "$root$entry" ] || ln -s "$(readlink "$entry")" "$root$entry"
  elif [ -d "$entry" ]; then mkdir -p "$root$entry"; mount --rbind "$entry" "$root$entry"; fi
done
exec chroot "$root" "$@"`

/** A pod-like network namespace with an application in it, and agents against it. */
export class Lab {
  readonly name: string
  readonly containerId: string
  /** The pod's address and the outside one of its veth pair. */
  readonly podIp: string
  readonly outsideIp: string
  readonly podIp6: string
  readonly directory = mkdtempSync(join(tmpdir(), 'mrd-agent-'))
  targetPid = 0
  readonly #children: ChildProcess[] = []

  private constructor(name: string, block: number, containerId: string) {
    this.name = name
    this.containerId = containerId
    const prefix = `10.201.${block >> 6}.`
    this.outsideIp = `${prefix}${(block & 63) * 4 + 1}`
    this.podIp = `${prefix}${(block & 63) * 4 + 2}`
    this.podIp6 = `fd10:201:${block.toString(16)}::2`
  }

  static async create(): Promise<Lab> {
    const {stdout: used} = await run('ip', ['-o', 'addr'])
    for (;;) {
      const block = Math.floor(Math.random() * 0x3f00)
      const unique = `${process.pid.toString(36)}${block.toString(36)}`
      const id = Array.from({length: 64}, () => Math.floor(Math.random() * 16).toString(16)).join('')
      const lab = new Lab(`mrda${unique}`, block, id)
      if (used.includes(`${lab.outsideIp}/`)) continue
      await lab.#network()
      await lab.#target()
      return lab
    }
  }

  async #network(): Promise<void> {
    const {name} = this
    const veth = `v${name}`.slice(0, 15)
    const outside6 = this.podIp6.replace(/2$/, '1')
    for (const command of [
      `netns add ${name}`,
      `link add ${veth} type veth peer name eth0 netns ${name}`,
      `addr add ${this.outsideIp}/30 dev ${veth}`,
      `-6 addr add ${outside6}/64 dev ${veth} nodad`,
      `link set ${veth} up`,
    ])
      await run('ip', command.split(' '))
    for (const command of [
      `addr add ${this.podIp}/30 dev eth0`,
      `-6 addr add ${this.podIp6}/64 dev eth0 nodad`,
      `link set lo up`,
      `link set eth0 up`,
      `route add default via ${this.outsideIp}`,
    ])
      await this.inside(['ip', ...command.split(' ')])
  }

  async #target(): Promise<void> {
    const root = this.#root('target')
    writeFileSync(
      join(root, 'etc/resolv.conf'),
      'nameserver 127.0.0.1\nsearch default.svc.cluster.local\noptions ndots:5 timeout:1\n',
    )
    writeFileSync(join(root, 'etc/hosts'), '127.0.0.1 localhost\n10.201.255.9 pinned.test pinned\n')
    writeFileSync(join(root, 'etc/hostname'), 'target-pod\n')
    const child = this.start(
      'nsenter',
      [
        ...this.#entering(),
        ...this.#chroot(root, [
          process.execPath,
          join(here, 'target.ts'),
          this.podIp,
          join(this.directory, 'app.sock'),
        ]),
      ],
      {DATABASE_URL: 'postgres://db?a=b', SECRET_TOKEN: 'x', HOME: '/nowhere'},
    )
    await line(child, /listening/)
    this.targetPid = child.pid!
  }

  /** Starts an agent in targeted mode and waits for its ready line. */
  async agent(env: Record<string, string> = {}, args: readonly string[] = []): Promise<Agent> {
    const root = this.#root('agent')
    const state = join(root, 'host/run/containerd/io.containerd.runtime.v2.task/k8s.io', this.containerId)
    mkdirSync(state, {recursive: true})
    writeFileSync(join(state, 'init.pid'), String(this.targetPid))
    const port = await freePort()
    const command = [process.execPath, bundle]
    const words = [
      '-l',
      String(port),
      '-t',
      '5',
      ...args,
      'targeted',
      '--container-id',
      this.containerId,
      '--container-runtime',
      'containerd',
    ]
    const gid = 3000 + Math.floor(Math.random() * 60_000)
    const child = this.start(
      'setpriv',
      [`--regid=${gid}`, '--clear-groups', ...this.#chroot(root, [...command, ...words])],
      {
        RUST_LOG: 'info',
        MIRRORD_AGENT_STEALER_FLUSH_CONNECTIONS: 'true',
        MIRRORD_AGENT_EXTERNAL_IP_FIX: 'true',
        MIRRORD_AGENT_POD_IPS: `${this.podIp},${this.podIp6}`,
        ...env,
      },
    )
    return this.#ready(child, port)
  }

  /** Starts an agent in the pod's network namespace, in a PID namespace whose first process is its target. */
  async ephemeralAgent(env: Record<string, string>): Promise<Agent> {
    const port = await freePort()
    const command = `"$0" "$1" -l ${port} -t 5 ephemeral; exit $?`
    const child = this.start(
      'nsenter',
      [
        ...[...this.#entering(), 'setpriv', '--regid=4321', '--clear-groups'],
        ...['unshare', '--mount', '--propagation', 'unchanged', '--pid', '--fork', '--kill-child'],
        ...['sh', '-c', `${makePrivate}; mount -t proc proc /proc && ${command}`, process.execPath, bundle],
      ],
      {RUST_LOG: 'info', MIRRORD_AGENT_POD_IPS: this.podIp, ...env},
    )
    return this.#ready(child, port)
  }

  /** Starts an agent without a target. */
  async targetlessAgent(): Promise<Agent> {
    const port = await freePort()
    const child = this.start(process.execPath, [bundle, '-l', String(port), '-t', '5', 'targetless'], {
      RUST_LOG: 'info',
    })
    return this.#ready(child, port)
  }

  /** Runs an agent that cannot work to its end. */
  async failingAgent(args: readonly string[]): Promise<{status: number | null; output: string}> {
    const child = this.start(process.execPath, [bundle, ...args], {})
    const status = await new Promise<number | null>((resolve) => child.on('close', (code) => resolve(code)))
    return {status, output: outputs.get(child)!.text}
  }

  async #ready(child: ChildProcess, port: number): Promise<Agent> {
    const exited = new Promise<number | null>((resolve) => child.on('exit', (code) => resolve(code)))
    await line(child, /^agent ready - version 3\.250\.0$/m)
    return {child, port, exited, pid: child.pid!, log: () => outputs.get(child)!.text}
  }

  /** The agent's worker process. */
  workerOf(agent: Agent): number {
    const children = readFileSync(`/proc/${agent.pid}/task/${agent.pid}/children`, 'utf8').trim().split(' ')
    return Number(children[0])
  }

  /** Everything in the pod's nat tables that mentions mirrord's chains, of both backends and families. */
  async rules(): Promise<string[]> {
    const saves = ['iptables-nft-save', 'iptables-legacy-save', 'ip6tables-nft-save', 'ip6tables-legacy-save']
    const outputs = await Promise.all(saves.map((save) => this.inside([`/usr/sbin/${save}`])))
    return outputs.flatMap((text, index) =>
      text
        .split('\n')
        .filter((rule) => /MRD|MIRRORD/.test(rule))
        .map((rule) => `${saves[index]}: ${rule}`),
    )
  }

  /** Runs a program in the pod's network namespace. */
  async inside(command: readonly string[]): Promise<string> {
    const {stdout} = await run('nsenter', [...this.#entering(), ...command])
    return stdout
  }

  /** Calls the port without a pause, from outside and inside, IPv4 and IPv6, until told to stop. */
  async callers(port: number): Promise<Callers> {
    const script = join(here, 'callers.ts')
    const outside = this.start(process.execPath, [script, String(port), this.podIp, this.podIp6], {})
    const words = [process.execPath, script, String(port), this.podIp, '127.0.0.1', '::1']
    const inside = this.start('nsenter', [...this.#entering(), ...words], {})
    const children = [outside, inside]
    const more = async () => {
      const before = children.map((child) => outputs.get(child)!.text.length)
      const answered = (child: ChildProcess, index: number) =>
        outputs.get(child)!.text.slice(before[index]).includes('answers')
      await eventually(() => children.every(answered), 'answers')
    }
    await more()
    return {
      more,
      stop: async () => {
        const ended = children.map((child) => new Promise((resolve) => child.on('close', resolve)))
        for (const child of children) child.kill('SIGTERM')
        await Promise.all(ended)
        const lines = children.flatMap((child) => outputs.get(child)!.text.split('\n'))
        const after = (word: string) =>
          lines.flatMap((text) => (text.startsWith(word) ? [text.slice(word.length)] : []))
        return {hung: after('hung '), answers: [...new Set(after('answered by '))].sort()}
      },
    }
  }

  start(program: string, args: readonly string[], env: Record<string, string>): ChildProcess {
    const child = spawn(program, args, {env: {PATH: process.env.PATH, ...env}, stdio: ['ignore', 'pipe', 'pipe']})
    collect(child)
    this.#children.push(child)
    return child
  }

  async destroy(): Promise<void> {
    for (const child of this.#children) {
      if (child.exitCode !== null || child.signalCode !== null) continue
      const gone = new Promise((resolve) => child.on('exit', resolve))
      child.kill('SIGKILL')
      await gone
    }
    await run('ip', ['netns', 'del', this.name])
    if (readFileSync('/proc/self/mountinfo', 'utf8').includes(this.directory))
      throw new Error(`mounts leaked into ${this.directory}`)
    rmSync(this.directory, {recursive: true, force: true})
  }

  /** Arguments of nsenter: `ip netns exec` needs `/` to be a mount point, which it is not inside a chroot. */
  #entering(): string[] {
    return [`--net=/run/netns/${this.name}`, '--']
  }

  #root(name: string): string {
    const root = join(this.directory, name)
    mkdirSync(join(root, 'etc'), {recursive: true})
    return root
  }

  #chroot(root: string, command: readonly string[]): string[] {
    return ['unshare', '--mount', '--propagation', 'unchanged', 'sh', '-c', inRoot, 'sh', root, ...command]
  }
}

/** Programs that call a port over and over. */
export interface Callers {
  /** Waits until they have had more answers, outside and inside. */
  more(): Promise<void>
  /** Ends them; resolves with the calls that had no end, and with who answered the others. */
  stop(): Promise<{hung: string[]; answers: string[]}>
}

/** A running agent. */
export interface Agent {
  child: ChildProcess
  pid: number
  port: number
  exited: Promise<number | null>
  log(): string
}

const outputs = new WeakMap<ChildProcess, {text: string; check: (() => void)[]}>()

function collect(child: ChildProcess): void {
  const output: {text: string; check: (() => void)[]} = {text: '', check: []}
  outputs.set(child, output)
  const add = (chunk: Buffer) => {
    output.text += chunk.toString()
    for (const check of output.check) check()
  }
  child.stdout!.on('data', add)
  child.stderr!.on('data', add)
}

/**
 * Starts an agent without a target, which needs no root: its files are this machine's. `words` go before the command,
 * for example to run it as somebody else.
 */
export async function standaloneAgent(words: readonly string[] = [], file = bundle): Promise<Agent> {
  const port = await freePort()
  const [program, ...args] = [...words, process.execPath, file, '-l', String(port), '-t', '5', 'targetless']
  const child = spawn(program, args, {
    env: {PATH: process.env.PATH, RUST_LOG: 'info'},
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  collect(child)
  const exited = new Promise<number | null>((resolve) => child.on('exit', (code) => resolve(code)))
  await line(child, /^agent ready/m)
  return {child, port, exited, pid: child.pid!, log: () => outputs.get(child)!.text}
}

/** Waits until the child has printed a match. */
export function line(child: ChildProcess, pattern: RegExp): Promise<void> {
  const output = outputs.get(child)!
  return new Promise((resolve, reject) => {
    const check = () => {
      if (pattern.test(output.text)) resolve()
    }
    output.check.push(check)
    child.on('exit', (code) => reject(new Error(`ended with ${code} before ${pattern}:\n${output.text}`)))
    check()
  })
}

/** Makes the bundle that the tests run: what goes into an image. */
export async function buildAgent(): Promise<void> {
  const script = `(await import(${JSON.stringify(join(repository, 'scripts/lib/bundle-agent.mjs'))})).bundleAgent(${JSON.stringify(repository)})`
  await run(process.execPath, ['--input-type=module', '-e', `await ${script}`])
}

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer().listen(0, '::', () => {
      const address = server.address()
      server.close(() => resolve(typeof address === 'object' && address ? address.port : 0))
    })
  })
}

/** Waits until `check` holds; for states of the kernel that announce no event. */
export async function eventually(check: () => Promise<boolean> | boolean, what: string): Promise<void> {
  const deadline = Date.now() + 10_000
  while (!(await check())) {
    if (Date.now() > deadline) throw new Error(`not reached within 10 s: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

/** What the promise gives; an error that names it when that takes longer than 15 s. */
export async function soon<T>(promise: Promise<T>, what: string): Promise<T> {
  const settled = await within(
    15_000,
    promise.then((value) => ({value})),
  )
  if (!settled) throw new Error(`not within 15 s: ${what}`)
  return settled.value
}
