import {randomBytes} from 'node:crypto'
import type {ChildProcess} from 'node:child_process'
import {mkdirSync, rmSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'

import {R} from '../api/resources.ts'
import {now} from '../api/store.ts'
import type {Store} from '../api/store.ts'
import type {Container, Pod, Probe} from '../api/types.ts'
import type {Image, Images} from '../images.ts'
import {StartError, startContainer} from './container.ts'
import type {Running} from './container.ts'
import {ConfigError, commandLine, environment} from './environment.ts'
import type {Recorder} from './events.ts'
import {etcFiles} from './etc.ts'
import {execIn} from './exec.ts'
import {ContainerLog} from './logs.ts'
import type {Machine} from './machine.ts'
import {podStatus} from './pod-status.ts'
import type {ContainerRecord, Role} from './pod-status.ts'
import {startProbe} from './probes.ts'
import {binds, prepareVolumes} from './volumes.ts'

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
const fieldPath = (c: PodContainer) => {
  const list = {init: 'initContainers', main: 'containers', ephemeral: 'ephemeralContainers'}[c.role]
  return `spec.${list}{${c.spec.name}}`
}

/** One pod on the node, from its assignment to its end. */
export class PodWorker {
  readonly uid: string
  readonly containers: PodContainer[]
  /** Process that holds the pod's namespaces. */
  holder?: {holder: ChildProcess; pid: number}
  private readonly context: PodContext
  private readonly dir: string
  private readonly timers = new Set<NodeJS.Timeout>()
  private ip?: string
  private ended = false
  private failure?: {reason: string; message: string}
  private stopping?: {until: number; done: Promise<void>}
  private readonly wake = new Set<() => void>()
  private pod: Pod

  constructor(pod: Pod, context: PodContext) {
    this.pod = pod
    this.uid = pod.metadata.uid
    this.context = context
    this.dir = join(context.machine.stateDir, 'pods', this.uid)
    const list: [Role, Container[] | undefined][] = [
      ['init', pod.spec.initContainers],
      ['main', pod.spec.containers],
      ['ephemeral', pod.spec.ephemeralContainers],
    ]
    this.containers = list.flatMap(([role, specs]) => (specs ?? []).map((spec) => this.record(role, spec)))
  }

  private record(role: Role, spec: Container): PodContainer {
    const reason = role === 'main' && this.pod.spec.initContainers?.length ? 'PodInitializing' : 'ContainerCreating'
    return {
      role,
      spec,
      state: {waiting: {reason}},
      lastState: {},
      restartCount: 0,
      ready: false,
      started: false,
      logs: [],
      dirs: [],
      stopProbes: [],
      crashes: 0,
      pulls: 0,
    }
  }

  /** Publishes the pod's status. */
  private publish(): void {
    if (this.ended) return
    const facts = {hostIP: this.context.machine.addresses.node, podIP: this.ip, failure: this.failure}
    const next = this.context.store.modify<Pod>(R.pods, this.pod, (draft) => {
      draft.status = podStatus(draft, this.containers, facts)
    })
    if (next) this.pod = next
  }

  /** Waits; ends early when the pod is to stop. */
  private sleep(seconds: number): Promise<void> {
    return new Promise((resolve) => {
      const done = () => {
        clearTimeout(timer)
        this.timers.delete(timer)
        this.wake.delete(done)
        resolve()
      }
      const timer = setTimeout(done, seconds * 1000)
      this.timers.add(timer)
      this.wake.add(done)
      if (this.stopping || this.ended) done()
    })
  }

  private get halted(): boolean {
    return this.ended || this.stopping !== undefined
  }

  private event(type: 'Normal' | 'Warning', reason: string, message: string, container?: PodContainer): void {
    this.context.recorder.record(this.pod, type, reason, message, container && fieldPath(container))
  }

  /** Runs the pod until its containers have ended for good or stop() is called. */
  async run(): Promise<void> {
    const deadline = this.pod.spec.activeDeadlineSeconds
    if (deadline !== undefined) {
      const timer = setTimeout(() => {
        this.failure = {
          reason: 'DeadlineExceeded',
          message: 'Pod was active on the node longer than the specified deadline',
        }
        void this.stop(this.pod.spec.terminationGracePeriodSeconds ?? 30).then(() => this.publish())
      }, deadline * 1000)
      this.timers.add(timer)
    }
    this.publish()
    mkdirSync(this.dir, {recursive: true, mode: 0o711})
    const volumes = await this.retry('FailedMount', () =>
      prepareVolumes(this.context.store, this.pod, join(this.dir, 'volumes')),
    )
    if (!volumes || this.halted) return
    const accountDir = join(this.dir, 'account')
    const account = this.context.account(this.pod, accountDir) ? accountDir : undefined
    const made = await this.retry('FailedCreatePodSandBox', () => this.network())
    if (!made) return
    this.publish()
    const go = async (c: PodContainer) => this.runContainer(c, volumes, account)
    for (const c of this.containers.filter((x) => x.role === 'init')) {
      await go(c)
      if (this.halted || c.state.terminated?.exitCode !== 0) return
    }
    for (const c of this.containers.filter((x) => x.role === 'main'))
      if (c.state.waiting) c.state = {waiting: {reason: 'ContainerCreating'}}
    this.ephemeral = go
    await Promise.all(this.containers.filter((x) => x.role !== 'init').map(go))
  }

  private ephemeral?: (c: PodContainer) => Promise<void>

  /** Takes over a changed pod: new ephemeral containers start. */
  changed(pod: Pod): void {
    this.pod = pod
    for (const spec of pod.spec.ephemeralContainers ?? []) {
      if (this.containers.some((c) => c.role === 'ephemeral' && c.spec.name === spec.name)) continue
      const c = this.record('ephemeral', spec)
      this.containers.push(c)
      if (this.ephemeral) void this.ephemeral(c)
    }
  }

  private async retry<T>(reason: string, attempt: () => T | Promise<T>): Promise<T | undefined> {
    for (let wait = 0.5; !this.halted; wait = Math.min(wait * 2, 120)) {
      try {
        return await attempt()
      } catch (error) {
        if (this.halted) return undefined
        this.event('Warning', reason, (error as Error).message)
        await this.sleep(wait)
      }
    }
    return undefined
  }

  private async network(): Promise<boolean> {
    const {machine} = this.context
    if (this.pod.spec.hostNetwork) {
      this.ip = machine.addresses.node
      return true
    }
    this.ip ??= this.context.allocate()
    const hostname = (this.pod.spec.hostname ?? this.pod.metadata.name).slice(0, 63)
    this.holder = await machine.pod(hostname, this.ip, this.pod.spec.shareProcessNamespace === true)
    return true
  }

  /** Pulls, creates, starts and restarts one container until it is over for good. */
  private async runContainer(
    c: PodContainer,
    volumes: Parameters<typeof binds>[1],
    account: string | undefined,
  ): Promise<void> {
    while (!this.halted) {
      const image = await this.pull(c)
      if (!image) return
      if (c.restartCount || c.crashes) c.state = c.state.waiting ? c.state : {waiting: {reason: 'ContainerCreating'}}
      const exit = await this.start(c, image, volumes, account)
      if (exit === 'retry') continue
      for (const stop of c.stopProbes.splice(0)) stop()
      if (this.ended) return
      this.publish()
      const code = c.state.terminated?.exitCode ?? 0
      const policy = c.role === 'ephemeral' ? 'Never' : this.pod.spec.restartPolicy
      const again =
        c.role === 'init'
          ? code !== 0 && policy !== 'Never'
          : policy === 'Always' || (policy === 'OnFailure' && code !== 0)
      if (!again || this.halted) return
      await this.backOff(c)
    }
  }

  private async backOff(c: PodContainer): Promise<void> {
    const {startedAt, finishedAt} = c.state.terminated!
    if (Date.parse(finishedAt) - Date.parse(startedAt) > GOOD_RUN) c.crashes = 0
    c.crashes++
    c.restartCount++
    c.lastState = c.state
    if (c.crashes > 1) {
      const seconds = Math.min(this.context.backoff * 2 ** (c.crashes - 2), MAX_BACKOFF)
      const name = `${this.pod.metadata.name}_${this.pod.metadata.namespace}(${this.uid})`
      const message = `back-off ${seconds}s restarting failed container=${c.spec.name} pod=${name}`
      c.restartCount--
      c.state = {waiting: {reason: 'CrashLoopBackOff', message}}
      this.event('Warning', 'BackOff', `Back-off restarting failed container ${c.spec.name} in pod ${name}`, c)
      this.publish()
      await this.sleep(seconds)
      c.restartCount++
    }
  }

  private async pull(c: PodContainer): Promise<Image | undefined> {
    const name = c.spec.image
    while (!this.halted) {
      const image = this.context.images.pull(name)
      if (!('error' in image)) {
        this.event('Normal', 'Pulled', `Container image "${name}" already present on machine`, c)
        return image
      }
      const never = c.spec.imagePullPolicy === 'Never'
      if (never) {
        const message = `Container image "${name}" is not present with pull policy of Never`
        c.state = {waiting: {reason: 'ErrImageNeverPull', message}}
        this.event('Warning', 'ErrImageNeverPull', message, c)
      } else {
        this.event('Normal', 'Pulling', `Pulling image "${name}"`, c)
        this.event('Warning', 'Failed', `Failed to pull image "${name}": ${image.error}`, c)
        this.event('Warning', 'Failed', 'Error: ErrImagePull', c)
        c.state = {waiting: {reason: 'ErrImagePull', message: image.error}}
      }
      this.publish()
      const seconds = Math.min(this.context.backoff * 2 ** c.pulls++, MAX_BACKOFF)
      if (!never) {
        await this.sleep(Math.min(1, seconds / 4))
        if (this.halted) return undefined
        const message = `Back-off pulling image "${name}"`
        c.state = {waiting: {reason: 'ImagePullBackOff', message: `${message}: ErrImagePull: ${image.error}`}}
        this.event('Normal', 'BackOff', message, c)
        this.event('Warning', 'Failed', 'Error: ImagePullBackOff', c)
        this.publish()
      }
      await this.sleep(seconds)
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
    const {store, machine} = this.context
    const id = randomBytes(32).toString('hex')
    const workDir = join(this.dir, id)
    const startedAt = now()
    try {
      const env = environment(store, this.pod, c.spec, image)
      const command = commandLine(c.spec, image, env)
      if (!command.length) throw new StartError('no command specified')
      const security = {...this.pod.spec.securityContext, ...c.spec.securityContext}
      if (security.runAsNonRoot && !security.runAsUser)
        throw new ConfigError('container has runAsNonRoot and image will run as root')
      mkdirSync(workDir, {recursive: true})
      const log = new ContainerLog(join(workDir, 'log'))
      const dir = join(machine.stateDir, 't/c', id)
      const target = this.containers.find((x) => x.role === 'main' && x.spec.name === c.spec.targetContainerName)
        ?.running?.pid
      const shared = this.pod.spec.shareProcessNamespace
        ? this.holder?.pid
        : c.role === 'ephemeral'
          ? target
          : undefined
      const groups = ((security.supplementalGroups as number[] | undefined) ?? []).concat(
        (security.fsGroup as number | undefined) ?? [],
      )
      const running = await startContainer(
        {
          machine,
          pod: this.holder?.pid ?? machine.pid,
          processes: this.pod.spec.hostPID ? 'node' : (shared ?? 'own'),
          workDir,
          log,
          script: {
            dir,
            nodeRoot: join(machine.stateDir, 't/node/root'),
            extra: machine.mounts,
            binds: binds(c.spec, volumes, image, {dir: account}),
            etc: etcFiles(this.pod, this.ip!, this.context.dns),
            env,
            command,
            workingDir: c.spec.workingDir ?? image.workingDir ?? '/',
            uid: security.runAsUser,
            gid: security.runAsGroup,
            groups,
          },
        },
        (_pid, nodePid) => {
          this.event('Normal', 'Created', `Created container: ${c.spec.name}`, c)
          this.writeInitPid(id, nodePid)
        },
      )
      c.id = id
      c.logs.push(log)
      c.dirs.push(dir)
      c.running = running
      // An ended pod must not leave a container that was just being made.
      if (this.halted) running.signal('SIGKILL')
      c.state = {running: {startedAt: now()}}
      c.started = !c.spec.startupProbe
      c.ready = !c.spec.readinessProbe
      this.event('Normal', 'Started', `Started container ${c.spec.name}`, c)
      this.publish()
      this.probe(c)
      const exit = await running.exited
      c.running = undefined
      c.ready = false
      rmSync(join(machine.stateDir, 'run/containerd/io.containerd.runtime.v2.task/k8s.io', id), {
        recursive: true,
        force: true,
      })
      const reason = exit.code === 0 ? 'Completed' : 'Error'
      c.state = {
        terminated: {
          exitCode: exit.code,
          ...(exit.signal && {signal: exit.signal}),
          reason,
          startedAt,
          finishedAt: now(),
          containerID: `containerd://${id}`,
        },
      }
      return 'ended'
    } catch (error) {
      if (this.halted) return 'ended'
      const {message} = error as Error
      if (error instanceof ConfigError) {
        c.state = {waiting: {reason: 'CreateContainerConfigError', message}}
        this.event('Warning', 'Failed', `Error: ${message}`, c)
        this.publish()
        await this.sleep(2)
        return 'retry'
      }
      this.event('Warning', 'Failed', `Error: ${message}`, c)
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
    const dir = join(this.context.machine.stateDir, 'run/containerd/io.containerd.runtime.v2.task/k8s.io', id)
    mkdirSync(dir, {recursive: true})
    writeFileSync(join(dir, 'init.pid'), String(nodePid))
  }

  private probe(c: PodContainer): void {
    const {readinessProbe, livenessProbe, startupProbe} = c.spec
    const target = {
      ip: this.ip!,
      container: c.spec,
      exec: (command: string[], timeout: number) => execIn(c.running?.pid, command, timeout),
    }
    const unhealthy = (kind: string) => (message: string) =>
      this.event('Warning', 'Unhealthy', `${kind} probe failed: ${message}`, c)
    const add = (kind: string, probe: Probe | undefined, changed: (ok: boolean) => void, eager = false) => {
      if (probe) c.stopProbes.push(startProbe(probe, target, changed, unhealthy(kind), eager))
    }
    const kill = (kind: string) => {
      this.event('Normal', 'Killing', `Container ${c.spec.name} failed ${kind} probe, will be restarted`, c)
      void this.kill(c, this.pod.spec.terminationGracePeriodSeconds ?? 30)
    }
    const rest = () => {
      add(
        'Readiness',
        readinessProbe,
        (ok) => {
          c.ready = ok
          this.publish()
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
        this.publish()
        rest()
      },
      true,
    )
  }

  private async kill(c: PodContainer, grace: number): Promise<void> {
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

  /** Ends all containers: SIGTERM, `grace` seconds, SIGKILL. A second call may only shorten the time. */
  async stop(grace: number): Promise<void> {
    const until = Date.now() + grace * 1000
    if (this.stopping && this.stopping.until <= until) return this.stopping.done
    const first = !this.stopping
    const live = this.containers.filter((c) => c.running)
    if (first) for (const c of live) this.event('Normal', 'Killing', `Stopping container ${c.spec.name}`, c)
    const done = Promise.all(live.map(async (c) => this.kill(c, grace))).then(() => undefined)
    this.stopping = {until, done}
    for (const c of this.containers) for (const stop of c.stopProbes.splice(0)) stop()
    for (const wake of [...this.wake]) wake()
    await done
  }

  /** Takes away everything of a pod whose containers have ended. */
  async remove(): Promise<void> {
    this.publish()
    this.ended = true
    for (const timer of this.timers) clearTimeout(timer)
    const {machine} = this.context
    if (this.holder) {
      const {holder, pid} = this.holder
      const closed = new Promise((resolve) =>
        holder.exitCode === null && holder.signalCode === null ? holder.once('close', resolve) : resolve(0),
      )
      try {
        process.kill(pid, 'SIGKILL')
      } catch {
        // The node has ended with it.
      }
      await closed
    }
    if (this.ip && !this.pod.spec.hostNetwork) this.context.free(this.ip)
    await machine.discard(this.containers.flatMap((c) => c.dirs)).catch(() => {})
    rmSync(this.dir, {recursive: true, force: true})
  }
}
