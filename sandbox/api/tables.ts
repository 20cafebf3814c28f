import type {Resource} from './resources.ts'
import type {
  ContainerStatus,
  Deployment,
  Endpoints,
  Job,
  JsonObject,
  KubeEvent,
  Obj,
  Pod,
  ReplicaSet,
  Service,
} from './types.ts'

/** A column of `kubectl get`: `wide` ones appear only with -o wide. */
interface Column {
  name: string
  type?: string
  wide?: true
  cell(object: Obj): string | number
}

/** Time since a timestamp in kubectl's short form (`5s`, `3m20s`, `4h`, `12d`). */
export function age(since: string | undefined, until = Date.now()): string {
  if (!since) return '<unknown>'
  const s = Math.max(0, Math.floor((until - Date.parse(since)) / 1000))
  if (s < 120) return `${s}s`
  const m = Math.floor(s / 60)
  if (m < 10) return s % 60 ? `${m}m${s % 60}s` : `${m}m`
  if (m < 180) return `${m}m`
  const h = Math.floor(m / 60)
  if (h < 8) return m % 60 ? `${h}h${m % 60}m` : `${h}h`
  if (h < 48) return `${h}h`
  const d = Math.floor(h / 24)
  if (d < 8) return h % 24 ? `${d}d${h % 24}h` : `${d}d`
  return d < 730 ? `${d}d` : `${Math.floor(d / 365)}y`
}

const AGE: Column = {name: 'Age', cell: (object) => age(object.metadata.creationTimestamp)}
const NAME: Column = {name: 'Name', type: 'string', cell: (object) => object.metadata.name}

/** The STATUS column of a pod: the most telling reason among its containers. */
export function podReason(pod: Pod): string {
  const {status, metadata} = pod
  let text = status.reason ?? status.phase
  const init = status.initContainerStatuses ?? []
  const failing = init.findIndex((c) => !(c.state.terminated?.exitCode === 0))
  if (failing >= 0) {
    const {terminated, waiting} = init[failing]!.state
    if (terminated) text = `Init:${terminated.reason || `ExitCode:${terminated.exitCode}`}`
    else if (waiting && waiting.reason !== 'PodInitializing') text = `Init:${waiting.reason}`
    else text = `Init:${failing}/${init.length}`
  } else {
    for (const c of [...(status.containerStatuses ?? [])].reverse()) {
      if (c.state.waiting) text = c.state.waiting.reason
      else if (c.state.terminated) text = c.state.terminated.reason || `ExitCode:${c.state.terminated.exitCode}`
    }
    if (text === 'Completed' && status.containerStatuses?.some((c) => c.ready && c.state.running)) text = 'Running'
  }
  return metadata.deletionTimestamp ? 'Terminating' : text
}

function restarts(pod: Pod): string {
  const list: ContainerStatus[] = pod.status.containerStatuses ?? []
  const count = list.reduce((sum, c) => sum + c.restartCount, 0)
  const last = list
    .map((c) => c.lastState.terminated?.finishedAt ?? '')
    .sort()
    .at(-1)
  return count && last ? `${count} (${age(last)} ago)` : String(count)
}

const list = (items: string[] | undefined) => (items?.length ? items.join(',') : '<none>')
const selectorText = (labels: Record<string, string> | undefined) =>
  list(Object.entries(labels ?? {}).map(([key, value]) => `${key}=${value}`))
const templateColumns: Column[] = [
  {
    name: 'Containers',
    wide: true,
    cell: (o) => list((o as Deployment).spec.template.spec.containers.map((c) => c.name)),
  },
  {name: 'Images', wide: true, cell: (o) => list((o as Deployment).spec.template.spec.containers.map((c) => c.image))},
  {name: 'Selector', wide: true, cell: (o) => selectorText((o as Deployment).spec.selector.matchLabels)},
]

function jobStatus(job: Job): string {
  const done = job.status?.conditions?.find(
    (c) => c.status === 'True' && ['Complete', 'Failed', 'Suspended'].includes(c.type),
  )
  if (done) return done.type
  return job.metadata.deletionTimestamp ? 'Terminating' : 'Running'
}

const endpointText = (object: Obj) =>
  list(
    ((object as Endpoints).subsets ?? []).flatMap((subset) =>
      (subset.addresses ?? []).flatMap((address) => (subset.ports ?? []).map((port) => `${address.ip}:${port.port}`)),
    ),
  )

const columns: Record<string, Column[]> = {
  pods: [
    NAME,
    {
      name: 'Ready',
      cell: (o) =>
        `${((o as Pod).status.containerStatuses ?? []).filter((c) => c.ready).length}/${(o as Pod).spec.containers.length}`,
    },
    {name: 'Status', cell: (o) => podReason(o as Pod)},
    {name: 'Restarts', cell: (o) => restarts(o as Pod)},
    AGE,
    {name: 'IP', wide: true, cell: (o) => (o as Pod).status.podIP ?? '<none>'},
    {name: 'Node', wide: true, cell: (o) => (o as Pod).spec.nodeName ?? '<none>'},
    {name: 'Nominated Node', wide: true, cell: () => '<none>'},
    {name: 'Readiness Gates', wide: true, cell: () => '<none>'},
  ],
  deployments: [
    NAME,
    {name: 'Ready', cell: (o) => `${(o as Deployment).status?.readyReplicas ?? 0}/${(o as Deployment).spec.replicas}`},
    {name: 'Up-to-date', type: 'integer', cell: (o) => (o as Deployment).status?.updatedReplicas ?? 0},
    {name: 'Available', type: 'integer', cell: (o) => (o as Deployment).status?.availableReplicas ?? 0},
    AGE,
    ...templateColumns,
  ],
  replicasets: [
    NAME,
    {name: 'Desired', type: 'integer', cell: (o) => (o as ReplicaSet).spec.replicas},
    {name: 'Current', type: 'integer', cell: (o) => (o as ReplicaSet).status?.replicas ?? 0},
    {name: 'Ready', type: 'integer', cell: (o) => (o as ReplicaSet).status?.readyReplicas ?? 0},
    AGE,
    ...templateColumns,
  ],
  jobs: [
    NAME,
    {name: 'Status', cell: (o) => jobStatus(o as Job)},
    {
      name: 'Completions',
      cell: (o) =>
        `${(o as Job).status?.succeeded ?? 0}/${(o as Job).spec.completions ?? `1 of ${(o as Job).spec.parallelism}`}`,
    },
    {
      name: 'Duration',
      cell: (o) => {
        const {startTime, completionTime} = (o as Job).status ?? {}
        return startTime ? age(startTime, completionTime ? Date.parse(completionTime) : undefined) : ''
      },
    },
    AGE,
    ...templateColumns,
  ],
  services: [
    NAME,
    {name: 'Type', cell: (o) => (o as Service).spec.type},
    {name: 'Cluster-IP', cell: (o) => (o as Service).spec.clusterIP ?? '<none>'},
    {name: 'External-IP', cell: (o) => (o as Service).spec.externalName ?? '<none>'},
    {
      name: 'Port(s)',
      cell: (o) =>
        list((o as Service).spec.ports?.map((p) => `${p.port}${p.nodePort ? `:${p.nodePort}` : ''}/${p.protocol}`)),
    },
    AGE,
    {name: 'Selector', wide: true, cell: (o) => selectorText((o as Service).spec.selector)},
  ],
  endpoints: [NAME, {name: 'Endpoints', cell: endpointText}, AGE],
  endpointslices: [
    NAME,
    {name: 'AddressType', cell: (o) => String(o.addressType)},
    {name: 'Ports', cell: (o) => list((o.ports as {port: number}[] | undefined)?.map((p) => String(p.port)))},
    {
      name: 'Endpoints',
      cell: (o) => list((o.endpoints as {addresses: string[]}[] | undefined)?.flatMap((e) => e.addresses)),
    },
    AGE,
  ],
  namespaces: [NAME, {name: 'Status', cell: (o) => (o.status as {phase: string}).phase}, AGE],
  nodes: [
    NAME,
    {name: 'Status', cell: () => 'Ready'},
    {name: 'Roles', cell: () => '<none>'},
    AGE,
    {name: 'Version', cell: (o) => (o.status as {nodeInfo: {kubeletVersion: string}}).nodeInfo.kubeletVersion},
    {
      name: 'Internal-IP',
      wide: true,
      cell: (o) => (o.status as {addresses: {address: string}[]}).addresses[0]?.address ?? '',
    },
  ],
  customresourcedefinitions: [NAME, {name: 'Created At', cell: (o) => o.metadata.creationTimestamp}],
  configmaps: [
    NAME,
    {name: 'Data', type: 'integer', cell: (o) => Object.keys((o.data as object | undefined) ?? {}).length},
    AGE,
  ],
  secrets: [
    NAME,
    {name: 'Type', cell: (o) => String(o.type)},
    {name: 'Data', type: 'integer', cell: (o) => Object.keys((o.data as object | undefined) ?? {}).length},
    AGE,
  ],
  serviceaccounts: [NAME, {name: 'Secrets', type: 'integer', cell: () => 0}, AGE],
  events: [
    {name: 'Last Seen', cell: (o) => age((o as KubeEvent).lastTimestamp)},
    {name: 'Type', cell: (o) => (o as KubeEvent).type},
    {name: 'Reason', cell: (o) => (o as KubeEvent).reason},
    {
      name: 'Object',
      cell: (o) => {
        const about = (o as KubeEvent).involvedObject ?? (o.regarding as KubeEvent['involvedObject'])
        return `${about.kind.toLowerCase()}/${about.name}`
      },
    },
    {name: 'Message', cell: (o) => (o as KubeEvent).message ?? String(o.note)},
    {name: 'Count', type: 'integer', wide: true, cell: (o) => (o as KubeEvent).count ?? 1},
    {name: 'Name', wide: true, cell: (o) => o.metadata.name},
  ],
}

/** Metadata alone, as `PartialObjectMetadata`. */
export const partial = (object: Obj): Obj => ({
  kind: 'PartialObjectMetadata',
  apiVersion: 'meta.k8s.io/v1',
  metadata: object.metadata,
})

/**
 * Server-side printing: the `Table` of meta.k8s.io/v1 that kubectl shows. `include` is the query parameter
 * includeObject (Metadata by default); `header` is false for the later events of a watch.
 */
export function toTable(
  resource: Resource,
  objects: Obj[],
  metadata: JsonObject,
  include: string | null,
  header = true,
): JsonObject {
  const defined = (!resource.schema && columns[resource.plural]) || [NAME, AGE]
  return {
    kind: 'Table',
    apiVersion: 'meta.k8s.io/v1',
    metadata,
    columnDefinitions: header
      ? defined.map((column) => ({
          name: column.name,
          type: column.type ?? 'string',
          format: column.name === 'Name' ? 'name' : '',
          description: '',
          priority: column.wide ? 1 : 0,
        }))
      : [],
    rows: objects.map((object) => ({
      cells: defined.map((column) => column.cell(object)),
      ...(include !== 'None' && {object: include === 'Object' ? object : partial(object)}),
    })),
  }
}
