import {mkdirSync, writeFileSync} from 'node:fs'
import type {ServerResponse} from 'node:http'
import {join} from 'node:path'

import {R} from '../api/resources.ts'
import type {PodStreams} from '../api/server.ts'
import {ApiError, badRequest} from '../api/status.ts'
import type {Change, Store} from '../api/store.ts'
import type {Pod} from '../api/types.ts'
import type {Target} from '../api/request.ts'
import {Dialer} from './dialer.ts'
import type {LogLine} from './logs.ts'
import {PodWorker} from './pod.ts'
import type {PodContainer, PodContext} from './runner.ts'
import {forward} from './portforward.ts'

export interface KubeletOptions extends Omit<PodContext, 'allocate' | 'free' | 'account'> {
  ca: string
  /** A bearer token for a service account, or undefined when it does not exist. */
  token(namespace: string, account: string): string | undefined
  /** Resolves when no service leads to the address of a pod any more. */
  unrouted(ip: string): Promise<void>
}

/** Pod addresses end with these numbers; the rest of the /24 is the machine's. */
const FIRST = 10
const LAST = 250

/** Runs the pods that are bound to its node. */
export class Kubelet {
  private readonly workers = new Map<string, PodWorker>()
  private readonly options: KubeletOptions
  private readonly store: Store
  private readonly dialer: Dialer
  private readonly used = new Set<string>()
  private next = FIRST
  private unsubscribe = () => {}

  constructor(options: KubeletOptions) {
    this.options = options
    this.store = options.store
    this.dialer = new Dialer(options.machine)
  }

  /** Begins to watch pods. */
  start(): void {
    this.unsubscribe = this.store.onChange((change) => {
      if (change.resource === '/pods') this.seen(change)
    })
    for (const pod of this.store.list<Pod>(R.pods))
      this.seen({type: 'ADDED', resource: '/pods', object: pod, version: 0})
  }

  private allocate(): string {
    for (let i = 0; i <= LAST - FIRST; i++) {
      const ip = this.options.machine.addresses.pod(this.next)
      this.next = this.next === LAST ? FIRST : this.next + 1
      if (this.used.has(ip)) continue
      this.used.add(ip)
      return ip
    }
    throw new Error('failed to allocate for range 0: no IP addresses available in range set')
  }

  private account(pod: Pod, dir: string): boolean {
    const account = pod.spec.serviceAccountName ?? 'default'
    const token =
      pod.spec.automountServiceAccountToken === false ? undefined : this.options.token(pod.metadata.namespace!, account)
    if (token === undefined) return false
    mkdirSync(dir, {recursive: true})
    const files = {token, 'ca.crt': this.options.ca, namespace: pod.metadata.namespace!}
    for (const [name, text] of Object.entries(files)) writeFileSync(join(dir, name), text)
    return true
  }

  private seen(change: Change): void {
    const pod = change.object as Pod
    const {uid} = pod.metadata
    const worker = this.workers.get(uid)
    if (change.type === 'DELETED') {
      // Removed by force: the containers go at once.
      if (worker) void this.end(worker, pod, 0)
      return
    }
    if (worker) {
      if (pod.metadata.deletionTimestamp) void this.end(worker, pod, pod.metadata.deletionGracePeriodSeconds ?? 30)
      else worker.changed(pod)
      return
    }
    if (pod.spec.nodeName !== this.options.nodeName || ['Succeeded', 'Failed'].includes(pod.status.phase)) {
      if (pod.metadata.deletionTimestamp && pod.spec.nodeName) setImmediate(() => this.store.remove(R.pods, pod))
      return
    }
    const context: PodContext = {
      ...this.options,
      allocate: () => this.allocate(),
      free: (ip) => this.used.delete(ip),
      account: (p, dir) => this.account(p, dir),
    }
    const made = new PodWorker(pod, context)
    this.workers.set(uid, made)
    setImmediate(
      () =>
        void made
          .run()
          .catch((error: Error) => this.options.recorder.record(pod, 'Warning', 'FailedSync', error.message)),
    )
  }

  private async end(worker: PodWorker, pod: Pod, grace: number): Promise<void> {
    await worker.stop(grace)
    if (pod.status.podIP && !pod.spec.hostNetwork) await this.options.unrouted(pod.status.podIP)
    if (this.workers.get(worker.uid) !== worker) return
    this.workers.delete(worker.uid)
    if (worker.holder) this.dialer.forget(worker.holder.pid)
    await worker.remove()
    const last = this.store.find<Pod>(R.pods, pod.metadata.namespace, pod.metadata.name)
    if (last?.metadata.uid === worker.uid) this.store.remove(R.pods, last)
  }

  /** Pid, as this machine sees it, of a running container's first process; undefined when it does not run. */
  pid(namespace: string, name: string, container?: string): number | undefined {
    const pod = this.store.find<Pod>(R.pods, namespace, name)
    const worker = pod && this.workers.get(pod.metadata.uid)
    return worker?.containers.find((c) => c.running && (container === undefined || c.spec.name === container))?.running
      ?.pid
  }

  /** Logs and port-forward for the API server. */
  readonly streams: PodStreams = {
    logs: (target, query, response) => this.logs(target, query, response),
    portForward: (target, query, request, socket, head) => {
      const pod = this.store.get<Pod>(R.pods, target.namespace, target.name!)
      const worker = this.workers.get(pod.metadata.uid)
      const pid = pod.spec.hostNetwork ? this.options.machine.pid : worker?.holder?.pid
      if (pid === undefined || !['Running', 'Pending'].includes(pod.status.phase) || pod.status.podIP === undefined) {
        throw new ApiError(
          400,
          'BadRequest',
          `unable to forward port because pod is not running. Current status=${pod.status.phase}`,
        )
      }
      forward(query, request, socket, head, {
        pod: pod.metadata.name,
        uid: pod.metadata.uid,
        dial: (port) => this.dialer.dial(pid, port),
      })
    },
  }

  private container(pod: Pod, name: string | null): PodContainer {
    const all = [...pod.spec.containers, ...(pod.spec.initContainers ?? []), ...(pod.spec.ephemeralContainers ?? [])]
    if (!name && pod.spec.containers.length > 1) {
      const names = pod.spec.containers.map((c) => c.name).join(' ')
      throw badRequest(`a container name must be specified for pod ${pod.metadata.name}, choose one of: [${names}]`)
    }
    const wanted = name ?? pod.spec.containers[0]!.name
    if (!all.some((c) => c.name === wanted))
      throw badRequest(`container ${wanted} is not valid for pod ${pod.metadata.name}`)
    const found = this.workers.get(pod.metadata.uid)?.containers.find((c) => c.spec.name === wanted)
    if (!found) throw badRequest(`pod ${pod.metadata.name} does not have a host assigned`)
    return found
  }

  private async logs(target: Target, query: URLSearchParams, response: ServerResponse): Promise<void> {
    const pod = this.store.get<Pod>(R.pods, target.namespace, target.name!)
    const container = this.container(pod, query.get('container') || null)
    const previous = query.get('previous') === 'true'
    const log = container.logs.at(previous ? -2 : -1)
    if (!log) {
      const {name} = container.spec
      if (previous) throw badRequest(`previous terminated container "${name}" in pod "${pod.metadata.name}" not found`)
      const {waiting} = container.state
      const why =
        waiting?.reason && /Image/.test(waiting.reason)
          ? `trying and failing to pull image`
          : (waiting?.reason ?? 'ContainerCreating')
      throw badRequest(`container "${name}" in pod "${pod.metadata.name}" is waiting to start: ${why}`)
    }
    const stamps = query.get('timestamps') === 'true'
    const format = (line: LogLine) => `${stamps ? `${line.time} ` : ''}${line.text}\n`
    let lines = log.read()
    const since =
      query.get('sinceTime') ??
      (query.get('sinceSeconds')
        ? new Date(Date.now() - Number(query.get('sinceSeconds')) * 1000).toISOString()
        : undefined)
    if (since) lines = lines.filter((line) => Date.parse(line.time.replace(/000000Z$/, 'Z')) >= Date.parse(since))
    const tail = query.get('tailLines')
    if (tail !== null) lines = Number(tail) > 0 ? lines.slice(-Number(tail)) : []
    const limit = query.get('limitBytes')
    response.writeHead(200, {'content-type': 'text/plain'})
    response.flushHeaders()
    const text = lines.map(format).join('')
    response.write(limit === null ? text : Buffer.from(text).subarray(0, Number(limit)))
    if (query.get('follow') !== 'true' || log.ended) return void response.end()
    const stop = log.follow(
      (line) => response.write(format(line)),
      () => response.end(),
    )
    response.on('close', stop)
  }

  /** Stops watching; running pods end with the node. */
  close(): void {
    this.unsubscribe()
    for (const worker of this.workers.values()) worker.abandon()
    this.dialer.close()
  }
}
