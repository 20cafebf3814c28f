import type {Schema} from './schema.ts'
import type {ResourceName} from './status.ts'

/** One kind of object, described once: discovery, routing, printing and error texts all follow from this. */
export interface Resource extends ResourceName {
  version: string
  singular: string
  shortNames?: string[]
  categories?: string[]
  namespaced: boolean
  verbs: string[]
  /** Subresource name to its kind (`group/version/Kind` when foreign) and verbs, for discovery. */
  subresources?: Record<string, {kind: string; group?: string; version?: string; verbs: string[]}>
  /** Fields that a field selector may name, besides name and namespace. */
  fields?: string[]
  /** Another resource that holds the objects; this one is a converted view of them. */
  viewOf?: string
  /** Of custom resources: what their objects look like. */
  schema?: Schema
}

export const ALL = ['create', 'delete', 'deletecollection', 'get', 'list', 'patch', 'update', 'watch']
export const STATUS = ['get', 'patch', 'update']
const self = (kind: string) => ({status: {kind, verbs: STATUS}})
const SCALE = {kind: 'Scale', group: 'autoscaling', version: 'v1', verbs: STATUS}

/** Every resource that the API server stores by itself; definitions add others (custom.ts). */
export const resources: Resource[] = [
  {
    group: '',
    version: 'v1',
    plural: 'namespaces',
    kind: 'Namespace',
    singular: 'namespace',
    shortNames: ['ns'],
    namespaced: false,
    verbs: ALL.filter((verb) => verb !== 'deletecollection'),
    subresources: {...self('Namespace'), finalize: {kind: 'Namespace', verbs: ['update']}},
    fields: ['status.phase'],
  },
  {
    group: '',
    version: 'v1',
    plural: 'nodes',
    kind: 'Node',
    singular: 'node',
    shortNames: ['no'],
    namespaced: false,
    verbs: ALL,
    subresources: self('Node'),
    fields: ['spec.unschedulable'],
  },
  {
    group: '',
    version: 'v1',
    plural: 'pods',
    kind: 'Pod',
    singular: 'pod',
    shortNames: ['po'],
    categories: ['all'],
    namespaced: true,
    verbs: ALL,
    subresources: {
      ...self('Pod'),
      log: {kind: 'Pod', verbs: ['get']},
      portforward: {kind: 'PodPortForwardOptions', verbs: ['create', 'get']},
      ephemeralcontainers: {kind: 'Pod', verbs: ['get', 'patch', 'update']},
    },
    fields: ['status.phase', 'status.podIP', 'spec.nodeName', 'spec.restartPolicy', 'spec.serviceAccountName'],
  },
  {
    group: '',
    version: 'v1',
    plural: 'services',
    kind: 'Service',
    singular: 'service',
    shortNames: ['svc'],
    categories: ['all'],
    namespaced: true,
    verbs: ALL,
    subresources: self('Service'),
    fields: ['spec.clusterIP', 'spec.type'],
  },
  {
    group: '',
    version: 'v1',
    plural: 'endpoints',
    kind: 'Endpoints',
    singular: 'endpoints',
    shortNames: ['ep'],
    namespaced: true,
    verbs: ALL,
  },
  {
    group: '',
    version: 'v1',
    plural: 'configmaps',
    kind: 'ConfigMap',
    singular: 'configmap',
    shortNames: ['cm'],
    namespaced: true,
    verbs: ALL,
  },
  {
    group: '',
    version: 'v1',
    plural: 'secrets',
    kind: 'Secret',
    singular: 'secret',
    namespaced: true,
    verbs: ALL,
    fields: ['type'],
  },
  {
    group: '',
    version: 'v1',
    plural: 'serviceaccounts',
    kind: 'ServiceAccount',
    singular: 'serviceaccount',
    shortNames: ['sa'],
    namespaced: true,
    verbs: ALL,
    subresources: {
      token: {kind: 'TokenRequest', group: 'authentication.k8s.io', version: 'v1', verbs: ['create']},
    },
  },
  {
    group: '',
    version: 'v1',
    plural: 'resourcequotas',
    kind: 'ResourceQuota',
    singular: 'resourcequota',
    shortNames: ['quota'],
    namespaced: true,
    verbs: ALL,
    subresources: self('ResourceQuota'),
  },
  {
    group: '',
    version: 'v1',
    plural: 'events',
    kind: 'Event',
    singular: 'event',
    shortNames: ['ev'],
    namespaced: true,
    verbs: ALL,
    fields: [
      'involvedObject.kind',
      'involvedObject.namespace',
      'involvedObject.name',
      'involvedObject.uid',
      'involvedObject.apiVersion',
      'involvedObject.resourceVersion',
      'involvedObject.fieldPath',
      'reason',
      'type',
      'source',
    ],
  },
  {
    group: 'apps',
    version: 'v1',
    plural: 'deployments',
    kind: 'Deployment',
    singular: 'deployment',
    shortNames: ['deploy'],
    categories: ['all'],
    namespaced: true,
    verbs: ALL,
    subresources: {...self('Deployment'), scale: SCALE},
  },
  {
    group: 'apps',
    version: 'v1',
    plural: 'replicasets',
    kind: 'ReplicaSet',
    singular: 'replicaset',
    shortNames: ['rs'],
    categories: ['all'],
    namespaced: true,
    verbs: ALL,
    subresources: {...self('ReplicaSet'), scale: SCALE},
    fields: ['status.replicas'],
  },
  {
    group: 'batch',
    version: 'v1',
    plural: 'jobs',
    kind: 'Job',
    singular: 'job',
    categories: ['all'],
    namespaced: true,
    verbs: ALL,
    subresources: self('Job'),
    fields: ['status.successful'],
  },
  {
    group: 'apiextensions.k8s.io',
    version: 'v1',
    plural: 'customresourcedefinitions',
    kind: 'CustomResourceDefinition',
    singular: 'customresourcedefinition',
    shortNames: ['crd', 'crds'],
    categories: ['api-extensions'],
    namespaced: false,
    verbs: ALL,
    subresources: self('CustomResourceDefinition'),
  },
  {
    group: 'discovery.k8s.io',
    version: 'v1',
    plural: 'endpointslices',
    kind: 'EndpointSlice',
    singular: 'endpointslice',
    namespaced: true,
    verbs: ALL,
  },
  {
    group: 'events.k8s.io',
    version: 'v1',
    plural: 'events',
    kind: 'Event',
    singular: 'event',
    shortNames: ['ev'],
    namespaced: true,
    verbs: ['get', 'list', 'watch'],
    fields: ['reason', 'type', 'regarding.kind', 'regarding.name', 'regarding.namespace', 'regarding.uid'],
    viewOf: '/events',
  },
]

const byKey = new Map(resources.map((resource) => [`${resource.group}/${resource.plural}`, resource]))
const byKind = new Map(resources.map((resource) => [`${resource.group}/${resource.kind}`, resource]))

/** The built-in resource `<group>/<plural>` (the core group is the empty string), or undefined. */
export const builtIn = (group: string, plural: string): Resource | undefined => byKey.get(`${group}/${plural}`)

/** The built-in resource of a group and kind, or undefined. */
export const builtInKind = (group: string, kind: string): Resource | undefined => byKind.get(`${group}/${kind}`)

const need = (key: string): Resource => {
  const resource = byKey.get(key)
  if (!resource) throw new Error(`no resource ${key}`)
  return resource
}

/** The resources that controllers and the kubelet work with, by name. */
export const R = {
  namespaces: need('/namespaces'),
  nodes: need('/nodes'),
  pods: need('/pods'),
  services: need('/services'),
  endpoints: need('/endpoints'),
  configmaps: need('/configmaps'),
  secrets: need('/secrets'),
  serviceaccounts: need('/serviceaccounts'),
  resourcequotas: need('/resourcequotas'),
  events: need('/events'),
  deployments: need('apps/deployments'),
  replicasets: need('apps/replicasets'),
  jobs: need('batch/jobs'),
  endpointslices: need('discovery.k8s.io/endpointslices'),
  customresourcedefinitions: need('apiextensions.k8s.io/customresourcedefinitions'),
}

/** `v1` or `apps/v1`. */
export const groupVersion = (r: {group: string; version: string}): string =>
  r.group ? `${r.group}/${r.version}` : r.version

/** Resources that are only asked, never stored: create answers with the filled-in object. */
export const reviews = [
  {group: 'authorization.k8s.io', version: 'v1', plural: 'selfsubjectaccessreviews', kind: 'SelfSubjectAccessReview'},
  {group: 'authorization.k8s.io', version: 'v1', plural: 'selfsubjectrulesreviews', kind: 'SelfSubjectRulesReview'},
  {group: 'authentication.k8s.io', version: 'v1', plural: 'selfsubjectreviews', kind: 'SelfSubjectReview'},
] as const
