import {isDeepStrictEqual} from 'node:util'

import {R} from '../api/resources.ts'
import type {EndpointAddress, Endpoints, EndpointSubset, Obj, Pod, Service, ServicePort} from '../api/types.ts'
import type {Controller, ControllerContext} from './controller.ts'
import {controllerRef, isReady} from './pods.ts'
import {Queue, keyFor, splitKey} from './queue.ts'

const SLICE_LABEL = 'kubernetes.io/service-name'

function targetPort(pod: Pod, port: ServicePort): number | undefined {
  if (typeof port.targetPort === 'number') return port.targetPort
  const all = pod.spec.containers.flatMap((c) => c.ports ?? [])
  return all.find((p) => p.name === port.targetPort && (p.protocol ?? 'TCP') === port.protocol)?.containerPort
}

/** Groups a service's pods by the ports they resolve to (a named port may differ from pod to pod). */
function subsetsOf(service: Service, pods: Pod[]): EndpointSubset[] {
  const groups = new Map<string, EndpointSubset>()
  for (const pod of pods) {
    const ports = (service.spec.ports ?? []).flatMap((port) => {
      const number = targetPort(pod, port)
      return number === undefined ? [] : [{...(port.name && {name: port.name}), port: number, protocol: port.protocol}]
    })
    if (!ports.length && service.spec.ports?.length) continue
    const key = JSON.stringify(ports)
    const group = groups.get(key) ?? {ports}
    groups.set(key, group)
    const {name, namespace, uid} = pod.metadata
    const hostname = pod.spec.subdomain === service.metadata.name ? pod.spec.hostname : undefined
    const address: EndpointAddress = {
      ip: pod.status.podIP!,
      nodeName: pod.spec.nodeName,
      ...(hostname && {hostname}),
      targetRef: {kind: 'Pod', name, namespace, uid},
    }
    const ready = isReady(pod) || service.spec.publishNotReadyAddresses
    const list = ready ? 'addresses' : 'notReadyAddresses'
    ;(group[list] ??= []).push(address)
  }
  return [...groups.values()]
}

/** Keeps Endpoints and EndpointSlices of services with a selector. */
export function endpoints({store}: ControllerContext): Controller {
  const queue = new Queue((key) => {
    const [namespace, name] = splitKey(key)
    const service = store.find<Service>(R.services, namespace, name)
    const current = store.find<Endpoints>(R.endpoints, namespace, name)
    const slices = store
      .list<Obj>(R.endpointslices, namespace)
      .filter((slice) => slice.metadata.labels?.[SLICE_LABEL] === name)
    if (!service) {
      if (current) store.remove(R.endpoints, current)
      for (const slice of slices) store.remove(R.endpointslices, slice)
      return
    }
    const {selector} = service.spec
    if (!selector) return
    const pods = store.list<Pod>(R.pods, namespace).filter((pod) => {
      const {podIP, phase} = pod.status
      if (!podIP || pod.metadata.deletionTimestamp || phase === 'Succeeded' || phase === 'Failed') return false
      return Object.entries(selector).every(([label, value]) => pod.metadata.labels?.[label] === value)
    })
    const subsets = subsetsOf(service, pods)
    const blank = {uid: '', resourceVersion: '', creationTimestamp: ''}
    if (!current) {
      store.create<Endpoints>(R.endpoints, {
        apiVersion: 'v1',
        kind: 'Endpoints',
        metadata: {name, namespace, labels: service.metadata.labels, ...blank},
        subsets,
      })
    } else if (!isDeepStrictEqual(current.subsets ?? [], JSON.parse(JSON.stringify(subsets))))
      store.update<Endpoints>(R.endpoints, {...current, subsets})
    const wanted = subsets.map((subset) => ({
      ports: (subset.ports ?? []).map((port) => ({name: port.name ?? '', port: port.port, protocol: port.protocol})),
      endpoints: (['addresses', 'notReadyAddresses'] as const).flatMap((list) =>
        (subset[list] ?? []).map((address) => {
          const ready = list === 'addresses'
          const {ip, ...rest} = address
          return {addresses: [ip], conditions: {ready, serving: ready, terminating: false}, ...rest}
        }),
      ),
    }))
    for (const [index, content] of wanted.entries()) {
      const slice = slices[index]
      if (slice) store.update(R.endpointslices, {...slice, ...content})
      else {
        store.create(R.endpointslices, {
          apiVersion: 'discovery.k8s.io/v1',
          kind: 'EndpointSlice',
          metadata: {
            name: `${name}-${String(index)}${service.metadata.uid.slice(0, 4)}`,
            namespace,
            labels: {[SLICE_LABEL]: name, 'endpointslice.kubernetes.io/managed-by': 'endpointslice-controller.k8s.io'},
            ownerReferences: [controllerRef(service)],
            ...blank,
          },
          addressType: 'IPv4',
          ...content,
        })
      }
    }
    for (const slice of slices.slice(wanted.length)) store.remove(R.endpointslices, slice)
  })
  const stop = store.onChange(({resource, object}) => {
    if (resource === '/services') queue.add(keyFor(object.metadata))
    if (resource !== '/pods') return
    for (const service of store.list<Service>(R.services, object.metadata.namespace))
      if (service.spec.selector) queue.add(keyFor(service.metadata))
  })
  return {
    close() {
      stop()
      queue.close()
    },
  }
}
