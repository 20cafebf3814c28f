import {randomBytes} from 'node:crypto'
import {mkdirSync, rmSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'

import {now} from '../api/store.ts'
import type {Store} from '../api/store.ts'
import type {Pod, Probe, SecurityContext} from '../api/types.ts'
import type {Image, Images} from '../images.ts'
import {StartError, startContainer} from './container.ts'
import type {Running} from './container.ts'
import {ConfigError, commandLine, environment} from './environment.ts'
import type {Recorder} from './events.ts'
import {etcFiles} from './etc.ts'
import {execIn} from './exec.ts'
import {ContainerLog} from './logs.ts'
import type {Machine} from './machine.ts'
import type {ContainerRecord} from './pod-status.ts'
import {startProbe} from './probes.ts'
import {binds} from './volumes.ts'

export interface PodContext {
  store: Store
  machine: Machine
  images: Images
  recorder: Recorder
  nodeName: string
  /** Seconds of the first back-off after a crash or a failed pull; doubled each time up to 300. */
  backoff: number
  dns: string
  allocate(): string
  free(ip: string): void
  /** Writes the service account's files into the directory. */
  account(pod: Pod, dir: string): boolean
}

/** A container as the kubelet runs it. */
export interface PodContainer extends ContainerRecord {
  running?: Running
  logs: ContainerLog[]
  dirs: string[]
  stopProbes: (() => void)[]
  /** Crashes since it last ran well. */
  crashes: number
  pulls: number
}

const MAX_BACKOFF = 300
/** A container that ran this long starts its next back-off anew. */
const GOOD_RUN = 600_000
/** What a kubelet keeps of a failed container's log: so many lines, and so many characters of them. */
const KEPT_LINES = 80
const KEPT_LENGTH = 2048
const lastLines = (log: ContainerLog): string =>
  log
    .read()
    .slice(-KEPT_LINES)
    .map(({text}) => `${text}\n`)
    .join('')
    .slice(-KEPT_LENGTH)

/** Of the capabilities beyond a runtime's own those that a container asks for by leaving them out; who names none has all here. */
const SPECIAL = ['SYS_ADMIN', 'SYS_PTRACE', 'NET_ADMIN']
const withheld = ({privileged, capabilities}: SecurityContext = {}): string[] =>
  privileged || !capabilities?.add ? [] : SPECIAL.filter((name) => !capabilities.add!.includes(name))

/** What a container's runner needs of its pod. */
export interface PodHost {
  readonly context: PodContext
  readonly pod: Pod
  readonly uid: string
  readonly dir: string
  readonly ip?: string
  readonly holder?: {pid: number}
  readonly containers: PodContainer[]
  /** The pod is stopping or gone: start nothing more. */
  readonly halted: boolean
  readonly ended: boolean
  publish(): void
  sleep(seconds: number): Promise<void>
  event(type: 'Normal' | 'Warning', reason: string, message: string, container?: PodContainer): void
}

/** Pulls, starts, probes, restarts and ends the containers of one pod. */
export class ContainerRunner {
  private readonly host: PodHost

  constructor(host: PodHost) {
    this.host = host
  }

  /** Pulls, creates, starts and restarts one container until it is over for good. */
  async run(c: PodContainer, volumes: Parameters<typeof binds>[1], account: string | undefined): Promise<void> {
    while (!this.host.halted) {
      const image = await this.pull(c)
      if (!image) return
      if (c.restartCount || c.crashes) c.state = c.state.waiting ? c.state : {waiting: {reason: 'ContainerCreating'}}
      const exit = await this.start(c, image, volumes, account)
      if (exit === 'retry') continue
      for (const stop of c.stopProbes.splice(0)) stop()
      if (this.host.ended) return
      this.host.publish()
      const code = c.state.terminated?.exitCode ?? 0
      const policy = c.role === 'ephemeral' ? 'Never' : this.host.pod.spec.restartPolicy
      const again =
        c.role === 'init'
          ? code !== 0 && policy !== 'Never'
          : policy === 'Always' || (policy === 'OnFailure' && code !== 0)
      if (!again || this.host.halted) return
      await this.backOff(c)
    }
  }

  private async backOff(c: PodContainer): Promise<void> {
    const {startedAt, finishedAt, reason} = c.state.terminated!
    // A container that could not start at all carries the start time 0.
    if (reason !== 'StartError' && Date.parse(finishedAt) - Date.parse(startedAt) > GOOD_RUN) c.crashes = 0
    c.crashes++
    c.restartCount++
    c.lastState = c.state
    if (c.crashes > 1) {
      const seconds = Math.min(this.host.context.backoff * 2 ** (c.crashes - 2), MAX_BACKOFF)
      const name = `${this.host.pod.metadata.name}_${this.host.pod.metadata.namespace}(${this.host.uid})`
      const message = `back-off ${seconds}s restarting failed container=${c.spec.name} pod=${name}`
      c.restartCount--
      c.state = {waiting: {reason: 'CrashLoopBackOff', message}}
      this.host.event('Warning', 'BackOff', `Back-off restarting failed container ${c.spec.name} in pod ${name}`, c)
      this.host.publish()
      await this.host.sleep(seconds)
      c.restartCount++
    }
  }

  private async pull(c: PodContainer): Promise<Image | undefined> {
    const name = c.spec.image
    while (!this.host.halted) {
      const image = this.host.context.images.pull(name)
      if (!('error' in image)) {
        this.host.event('Normal', 'Pulled', `Container image "${name}" already present on machine`, c)
        return image
      }
      const never = c.spec.imagePullPolicy === 'Never'
      if (never) {
        const message = `Container image "${name}" is not present with pull policy of Never`
        c.state = {waiting: {reason: 'ErrImageNeverPull', message}}
        this.host.event('Warning', 'ErrImageNeverPull', message, c)
      } else {
        this.host.event('Normal', 'Pulling', `Pulling image "${name}"`, c)
        this.host.event('Warning', 'Failed', `Failed to pull image "${name}": ${image.error}`, c)
        this.host.event('Warning', 'Failed', 'Error: ErrImagePull', c)
        c.state = {waiting: {reason: 'ErrImagePull', message: image.error}}
      }
      this.host.publish()
      const seconds = Math.min(this.host.context.backoff * 2 ** c.pulls++, MAX_BACKOFF)
      if (!never) {
        await this.host.sleep(Math.min(1, seconds / 4))
        if (this.host.halted) return undefined
        const message = `Back-off pulling image "${name}"`
        c.state = {waiting: {reason: 'ImagePullBackOff', message: `${message}: ErrImagePull: ${image.error}`}}
        this.host.event('Normal', 'BackOff', message, c)
        this.host.event('Warning', 'Failed', 'Error: ImagePullBackOff', c)
        this.host.publish()
      }
      await this.host.sleep(seconds)
    }
    return undefined
  }

  /** Starts a container and waits for its end. `retry`: it could not be configured, and it is time to try again. */
  private async start(
    c: PodContainer,
    image: Image,
    volumes: Parameters<typeof binds>[1],
    account: string | undefined,
  ): Promise<'ended' | 'retry'> {
    const {store, machine} = this.host.context
    const id = randomBytes(32).toString('hex')
    const workDir = join(this.host.dir, id)
    const startedAt = now()
    try {
      const env = environment(store, this.host.pod, c.spec, image)
      const command = commandLine(c.spec, image, env)
      if (!command.length) throw new StartError('no command specified')
      const security = {...this.host.pod.spec.securityContext, ...c.spec.securityContext}
      if (security.runAsNonRoot && !security.runAsUser)
        throw new ConfigError('container has runAsNonRoot and image will run as root')
      mkdirSync(workDir, {recursive: true})
      const log = new ContainerLog(join(workDir, 'log'))
      const dir = join(machine.stateDir, 't/c', id)
      const target = this.host.containers.find((x) => x.role === 'main' && x.spec.name === c.spec.targetContainerName)
        ?.running?.pid
      const shared = this.host.pod.spec.shareProcessNamespace
        ? this.host.holder?.pid
        : c.role === 'ephemeral'
          ? target
          : undefined
      const groups = ((security.supplementalGroups as number[] | undefined) ?? []).concat(
        (security.fsGroup as number | undefined) ?? [],
      )
      const running = await startContainer(
        {
          machine,
          pod: this.host.holder?.pid ?? machine.pid,
          processes: this.host.pod.spec.hostPID ? 'node' : (shared ?? 'own'),
          workDir,
          log,
          script: {
            dir,
            nodeRoot: join(machine.stateDir, 't/node/root'),
            extra: machine.mounts,
            binds: binds(c.spec, volumes, image, {dir: account}),
            etc: etcFiles(this.host.pod, this.host.ip!, this.host.context.dns),
            env,
            command,
            workingDir: c.spec.workingDir ?? image.workingDir ?? '/',
            uid: security.runAsUser,
            gid: security.runAsGroup,
            groups,
            without: withheld(c.spec.securityContext),
          },
        },
        (_pid, nodePid) => {
          this.host.event('Normal', 'Created', `Created container: ${c.spec.name}`, c)
          this.writeInitPid(id, nodePid)
        },
      )
      c.id = id
      c.logs.push(log)
      c.dirs.push(dir)
      c.running = running
      // An ended pod must not leave a container that was just being made.
      if (this.host.halted) running.signal('SIGKILL')
      c.state = {running: {startedAt: now()}}
      c.started = !c.spec.startupProbe
      c.ready = !c.spec.readinessProbe
      this.host.event('Normal', 'Started', `Started container ${c.spec.name}`, c)
      this.host.publish()
      this.probe(c)
      const exit = await running.exited
      c.running = undefined
      c.ready = false
      rmSync(join(machine.stateDir, 'run/containerd/io.containerd.runtime.v2.task/k8s.io', id), {
        recursive: true,
        force: true,
      })
      const reason = exit.code === 0 ? 'Completed' : 'Error'
      const kept = exit.code !== 0 && c.spec.terminationMessagePolicy === 'FallbackToLogsOnError'
      c.state = {
        terminated: {
          exitCode: exit.code,
          ...(exit.signal && {signal: exit.signal}),
          reason,
          ...(kept && {message: lastLines(log)}),
          startedAt,
          finishedAt: now(),
          containerID: `containerd://${id}`,
        },
      }
      return 'ended'
    } catch (error) {
      if (this.host.halted) return 'ended'
      const {message} = error as Error
      if (error instanceof ConfigError) {
        c.state = {waiting: {reason: 'CreateContainerConfigError', message}}
        this.host.event('Warning', 'Failed', `Error: ${message}`, c)
        this.host.publish()
        await this.host.sleep(2)
        return 'retry'
      }
      this.host.event('Warning', 'Failed', `Error: ${message}`, c)
      c.id = id
      c.state = {
        terminated: {
          exitCode: 128,
          reason: 'StartError',
          message,
          startedAt: '1970-01-01T00:00:00Z',
          finishedAt: now(),
          containerID: `containerd://${id}`,
        },
      }
      return 'ended'
    }
  }

  /** Where containerd keeps the pid of a container's first process; agents with the host's /run read it. */
  private writeInitPid(id: string, nodePid: number): void {
    const dir = join(this.host.context.machine.stateDir, 'run/containerd/io.containerd.runtime.v2.task/k8s.io', id)
    mkdirSync(dir, {recursive: true})
    writeFileSync(join(dir, 'init.pid'), String(nodePid))
  }

  private probe(c: PodContainer): void {
    const {readinessProbe, livenessProbe, startupProbe} = c.spec
    const target = {
      ip: this.host.ip!,
      container: c.spec,
      exec: (command: string[], timeout: number) => execIn(c.running?.pid, command, timeout),
    }
    const unhealthy = (kind: string) => (message: string) =>
      this.host.event('Warning', 'Unhealthy', `${kind} probe failed: ${message}`, c)
    const add = (kind: string, probe: Probe | undefined, changed: (ok: boolean) => void, eager = false) => {
      if (probe) c.stopProbes.push(startProbe(probe, target, changed, unhealthy(kind), eager))
    }
    const kill = (kind: string) => {
      this.host.event('Normal', 'Killing', `Container ${c.spec.name} failed ${kind} probe, will be restarted`, c)
      void this.kill(c, this.host.pod.spec.terminationGracePeriodSeconds ?? 30)
    }
    const rest = () => {
      add(
        'Readiness',
        readinessProbe,
        (ok) => {
          c.ready = ok
          this.host.publish()
        },
        true,
      )
      add('Liveness', livenessProbe, (ok) => {
        if (!ok) kill('liveness')
      })
    }
    if (!startupProbe) return rest()
    add(
      'Startup',
      startupProbe,
      (ok) => {
        if (!ok) return kill('startup')
        c.started = true
        for (const stop of c.stopProbes.splice(0)) stop()
        this.host.publish()
        rest()
      },
      true,
    )
  }

  /** Ends the container: SIGTERM, `grace` seconds, SIGKILL; SIGKILL at once when there is no grace. */
  async kill(c: PodContainer, grace: number): Promise<void> {
    const {running} = c
    if (!running) return
    let timer: NodeJS.Timeout | undefined
    if (grace > 0) {
      running.signal('SIGTERM')
      timer = setTimeout(() => running.signal('SIGKILL'), grace * 1000)
    } else running.signal('SIGKILL')
    await running.exited
    clearTimeout(timer)
  }
}
