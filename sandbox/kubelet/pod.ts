import type {ChildProcess} from 'node:child_process'
import {mkdirSync, rmSync} from 'node:fs'
import {join} from 'node:path'

import {R} from '../api/resources.ts'
import type {Container, Pod} from '../api/types.ts'
import {podStatus} from './pod-status.ts'
import type {Role} from './pod-status.ts'
import {ContainerRunner} from './runner.ts'
import type {PodContainer, PodContext, PodHost} from './runner.ts'
import {prepareVolumes} from './volumes.ts'

const fieldPath = (c: PodContainer) => {
  const list = {init: 'initContainers', main: 'containers', ephemeral: 'ephemeralContainers'}[c.role]
  return `spec.${list}{${c.spec.name}}`
}

/** One pod on the node, from its assignment to its end. */
export class PodWorker implements PodHost {
  readonly uid: string
  readonly containers: PodContainer[]
  /** Process that holds the pod's namespaces. */
  holder?: {holder: ChildProcess; pid: number}
  readonly context: PodContext
  readonly dir: string
  private readonly runner = new ContainerRunner(this)
  private readonly timers = new Set<NodeJS.Timeout>()
  ip?: string
  ended = false
  private failure?: {reason: string; message: string}
  private stopping?: {until: number; done: Promise<void>}
  private readonly wake = new Set<() => void>()
  pod: Pod

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
  publish(): void {
    if (this.ended) return
    const facts = {hostIP: this.context.machine.addresses.node, podIP: this.ip, failure: this.failure}
    const next = this.context.store.modify<Pod>(R.pods, this.pod, (draft) => {
      draft.status = podStatus(draft, this.containers, facts)
    })
    if (next) this.pod = next
  }

  /** Waits; ends early when the pod is to stop. */
  sleep(seconds: number): Promise<void> {
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

  /** The pod is stopping or gone. */
  get halted(): boolean {
    return this.ended || this.stopping !== undefined
  }

  /** Records an event of the pod or of one of its containers. */
  event(type: 'Normal' | 'Warning', reason: string, message: string, container?: PodContainer): void {
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
    const go = async (c: PodContainer) => this.runner.run(c, volumes, account)
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

  /** Ends all containers: SIGTERM, `grace` seconds, SIGKILL. A second call may only shorten the time. */
  async stop(grace: number): Promise<void> {
    const until = Date.now() + grace * 1000
    if (this.stopping && this.stopping.until <= until) return this.stopping.done
    const first = !this.stopping
    const live = this.containers.filter((c) => c.running)
    if (first) for (const c of live) this.event('Normal', 'Killing', `Stopping container ${c.spec.name}`, c)
    const done = Promise.all(live.map(async (c) => this.runner.kill(c, grace))).then(() => undefined)
    this.stopping = {until, done}
    for (const c of this.containers) for (const stop of c.stopProbes.splice(0)) stop()
    for (const wake of [...this.wake]) wake()
    await done
  }

  /** Lets go of the pod without touching its containers: no probe, restart or status any more. */
  abandon(): void {
    this.ended = true
    for (const timer of this.timers) clearTimeout(timer)
    for (const c of this.containers) for (const stop of c.stopProbes.splice(0)) stop()
    for (const wake of [...this.wake]) wake()
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
