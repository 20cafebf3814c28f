/**
 * The few fields of Kubernetes objects that are read here, as they are on the wire: every field may be missing, times are
 * text. (The library's own types promise parsed dates, which its HTTP layer makes; ours does not.)
 */
export interface ObjectMeta {
  name?: string
  namespace?: string
  uid?: string
  resourceVersion?: string
  labels?: Record<string, string>
  annotations?: Record<string, string>
  creationTimestamp?: string
  deletionTimestamp?: string
}

export interface ContainerState {
  waiting?: {reason?: string; message?: string}
  running?: {startedAt?: string}
  terminated?: {exitCode?: number; reason?: string; message?: string; signal?: number}
}

export interface ContainerStatus {
  name: string
  ready?: boolean
  restartCount?: number
  image?: string
  containerID?: string
  state?: ContainerState
  lastState?: ContainerState
}

export interface Probe {
  httpGet?: {port: number | string}
  grpc?: {port: number}
}

export interface Container {
  name: string
  image?: string
  ports?: {name?: string; containerPort: number}[]
  env?: object[]
  envFrom?: object[]
  readinessProbe?: Probe
  livenessProbe?: Probe
}

export interface Pod {
  metadata?: ObjectMeta
  spec?: {
    nodeName?: string
    shareProcessNamespace?: boolean
    containers?: Container[]
    ephemeralContainers?: {name: string; image?: string}[]
  }
  status?: {
    phase?: string
    reason?: string
    message?: string
    podIPs?: {ip?: string}[]
    conditions?: {type: string; status: string; reason?: string; message?: string}[]
    containerStatuses?: ContainerStatus[]
    initContainerStatuses?: ContainerStatus[]
    ephemeralContainerStatuses?: ContainerStatus[]
  }
}

export interface LabelSelector {
  matchLabels?: Record<string, string>
  matchExpressions?: {key: string; operator: string; values?: string[]}[]
}

export interface KubeEvent {
  metadata?: ObjectMeta
  type?: string
  reason?: string
  message?: string
  count?: number
  lastTimestamp?: string | null
  eventTime?: string | null
}

export interface List<T> {
  metadata?: {resourceVersion?: string; continue?: string}
  items: T[]
}

export interface WatchEvent<T> {
  type: 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK' | 'ERROR'
  object: T
}

/** An answer of the API server that is not a success. */
export interface Status {
  /** `Status`; absent where something else than an API server answered. */
  kind?: string
  message?: string
  reason?: string
  code?: number
}
