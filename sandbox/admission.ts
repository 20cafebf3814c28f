import {randomInt} from 'node:crypto'

import {R} from './api/resources.ts'
import type {Resource} from './api/resources.ts'
import {ApiError, invalid, invalidValue, notFound, refused} from './api/status.ts'
import type {Store} from './api/store.ts'
import type {Hooks} from './api/writes.ts'
import type {Job, Obj, Pod, Service} from './api/types.ts'
import {jobLabels} from './controllers/job.ts'
import type {Addresses} from './net/slots.ts'
import {enforcePolicies} from './policies.ts'

const NODE_PORTS = {first: 30_000, count: 2768}

function admitService(store: Store, a: Addresses, service: Service): void {
  const {spec} = service
  if (spec.type === 'ExternalName') return
  const used = new Set(store.list<Service>(R.services).map((other) => other.spec.clusterIP))
  if (!spec.clusterIP) {
    // .1 is the API server's, .254 the probe's of the rules.
    const free = Array.from({length: 250}, (_, i) => a.service(i + 2)).filter((ip) => !used.has(ip))
    if (!free.length)
      throw new ApiError(500, 'InternalError', 'Internal error occurred: failed to allocate a serviceIP: range is full')
    spec.clusterIP = free[randomInt(free.length)]
  } else if (spec.clusterIP !== 'None') {
    const inside = spec.clusterIP.startsWith(a.service(0).replace(/0$/, ''))
    const why = !inside
      ? `failed to allocate IP ${spec.clusterIP}: the provided IP (${spec.clusterIP}) is not in the valid range. The range of valid IPs is ${a.services}`
      : used.has(spec.clusterIP)
        ? `failed to allocate IP ${spec.clusterIP}: provided IP is already allocated`
        : undefined
    if (why) throw invalid(R.services, service.metadata.name, [invalidValue('spec.clusterIPs', [spec.clusterIP], why)])
  }
  spec.clusterIPs = [spec.clusterIP!]
  if (spec.type !== 'NodePort' && spec.type !== 'LoadBalancer') return
  const taken = new Set(
    store.list<Service>(R.services).flatMap((other) => (other.spec.ports ?? []).map((port) => port.nodePort)),
  )
  for (const port of spec.ports ?? []) {
    while (port.nodePort === undefined) {
      const candidate = NODE_PORTS.first + randomInt(NODE_PORTS.count)
      if (!taken.has(candidate)) port.nodePort = candidate
      taken.add(candidate)
    }
  }
}

function admitJob(job: Job): void {
  // The selector needs the uid, which is therefore made here and kept by the store.
  job.metadata.uid = crypto.randomUUID()
  if (job.spec.manualSelector) return
  const labels = jobLabels(job)
  job.spec.selector = {matchLabels: {'batch.kubernetes.io/controller-uid': job.metadata.uid}}
  const meta = (job.spec.template.metadata ??= {})
  meta.labels = {...meta.labels, ...labels}
}

function admitPod(store: Store, pod: Pod): void {
  const name = pod.spec.serviceAccountName ?? 'default'
  if (!store.find(R.serviceaccounts, pod.metadata.namespace, name)) {
    throw refused(
      R.pods,
      pod.metadata.name,
      `error looking up service account ${pod.metadata.namespace}/${name}: ${notFound(R.serviceaccounts, name).message}`,
    )
  }
  enforcePolicies(store, pod)
  pod.status = {phase: 'Pending', qosClass: 'BestEffort'}
}

/** What the API server completes when an object is created. */
export function admission(store: Store, addresses: Addresses): Hooks {
  return {
    admit(resource: Resource, object: Obj) {
      if (resource === R.services) admitService(store, addresses, object as Service)
      else if (resource === R.jobs) admitJob(object as Job)
      else if (resource === R.pods) admitPod(store, object as Pod)
    },
  }
}
