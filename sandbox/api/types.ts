/** JSON as it travels: the shape of every request and response body. */
export type Json = string | number | boolean | null | Json[] | {[key: string]: Json}
export type JsonObject = Record<string, unknown>

export interface OwnerReference {
  apiVersion: string
  kind: string
  name: string
  uid: string
  controller?: boolean
  blockOwnerDeletion?: boolean
}

export interface Meta {
  name: string
  generateName?: string
  namespace?: string
  uid: string
  resourceVersion: string
  generation?: number
  creationTimestamp: string
  deletionTimestamp?: string
  deletionGracePeriodSeconds?: number
  labels?: Record<string, string>
  annotations?: Record<string, string>
  ownerReferences?: OwnerReference[]
  finalizers?: string[]
}

/** Any object of the API. Objects in the store are never changed in place: writers clone. */
export interface Obj {
  apiVersion: string
  kind: string
  metadata: Meta
  [field: string]: unknown
}

export interface Condition {
  type: string
  status: 'True' | 'False' | 'Unknown'
  reason?: string
  message?: string
  lastTransitionTime?: string
  lastProbeTime?: string | null
  lastUpdateTime?: string
}

export interface ContainerPort {
  name?: string
  containerPort: number
  protocol?: string
}

export interface EnvVar {
  name: string
  value?: string
  valueFrom?: {
    fieldRef?: {fieldPath: string}
    resourceFieldRef?: {resource: string}
    secretKeyRef?: {name: string; key: string; optional?: boolean}
    configMapKeyRef?: {name: string; key: string; optional?: boolean}
  }
}

export interface Probe {
  httpGet?: {
    path?: string
    port: number | string
    host?: string
    scheme?: string
    httpHeaders?: {name: string; value: string}[]
  }
  tcpSocket?: {port: number | string; host?: string}
  exec?: {command: string[]}
  initialDelaySeconds?: number
  periodSeconds?: number
  timeoutSeconds?: number
  successThreshold?: number
  failureThreshold?: number
}

export interface SecurityContext {
  runAsUser?: number
  runAsGroup?: number
  runAsNonRoot?: boolean
  privileged?: boolean
  capabilities?: {add?: string[]; drop?: string[]}
  [field: string]: unknown
}

export interface Container {
  name: string
  image: string
  imagePullPolicy?: string
  command?: string[]
  args?: string[]
  env?: EnvVar[]
  envFrom?: {
    prefix?: string
    configMapRef?: {name: string; optional?: boolean}
    secretRef?: {name: string; optional?: boolean}
  }[]
  workingDir?: string
  ports?: ContainerPort[]
  volumeMounts?: {name: string; mountPath: string; subPath?: string; readOnly?: boolean}[]
  readinessProbe?: Probe
  livenessProbe?: Probe
  startupProbe?: Probe
  securityContext?: SecurityContext
  restartPolicy?: string
  targetContainerName?: string
  [field: string]: unknown
}

export interface KeyToPath {
  key: string
  path: string
}

export interface Volume {
  name: string
  emptyDir?: {medium?: string}
  hostPath?: {path: string; type?: string}
  configMap?: {name: string; items?: KeyToPath[]; optional?: boolean}
  secret?: {secretName: string; items?: KeyToPath[]; optional?: boolean}
  [field: string]: unknown
}

export interface PodSpec {
  containers: Container[]
  initContainers?: Container[]
  ephemeralContainers?: Container[]
  volumes?: Volume[]
  restartPolicy?: 'Always' | 'OnFailure' | 'Never'
  nodeName?: string
  nodeSelector?: Record<string, string>
  hostPID?: boolean
  hostNetwork?: boolean
  shareProcessNamespace?: boolean
  serviceAccountName?: string
  automountServiceAccountToken?: boolean
  terminationGracePeriodSeconds?: number
  activeDeadlineSeconds?: number
  securityContext?: SecurityContext
  hostname?: string
  subdomain?: string
  hostAliases?: {ip: string; hostnames: string[]}[]
  enableServiceLinks?: boolean
  dnsPolicy?: string
  [field: string]: unknown
}

export interface ContainerState {
  waiting?: {reason: string; message?: string}
  running?: {startedAt: string}
  terminated?: {
    exitCode: number
    signal?: number
    reason: string
    message?: string
    startedAt: string
    finishedAt: string
    containerID?: string
  }
}

export interface ContainerStatus {
  name: string
  image: string
  imageID: string
  containerID?: string
  ready: boolean
  started: boolean
  restartCount: number
  state: ContainerState
  lastState: ContainerState
}

export interface PodStatus {
  phase: 'Pending' | 'Running' | 'Succeeded' | 'Failed' | 'Unknown'
  conditions?: Condition[]
  containerStatuses?: ContainerStatus[]
  initContainerStatuses?: ContainerStatus[]
  ephemeralContainerStatuses?: ContainerStatus[]
  podIP?: string
  podIPs?: {ip: string}[]
  hostIP?: string
  hostIPs?: {ip: string}[]
  startTime?: string
  reason?: string
  message?: string
  qosClass?: string
}

export interface Pod extends Obj {
  spec: PodSpec
  status: PodStatus
}

export interface PodTemplate {
  metadata?: {labels?: Record<string, string>; annotations?: Record<string, string>; name?: string}
  spec: PodSpec
}

export interface LabelSelector {
  matchLabels?: Record<string, string>
  matchExpressions?: {key: string; operator: string; values?: string[]}[]
}

export interface ReplicaSet extends Obj {
  spec: {replicas: number; selector: LabelSelector; template: PodTemplate; minReadySeconds?: number}
  status?: {
    replicas: number
    fullyLabeledReplicas?: number
    readyReplicas?: number
    availableReplicas?: number
    observedGeneration?: number
  }
}

export interface Deployment extends Obj {
  spec: {
    replicas: number
    selector: LabelSelector
    template: PodTemplate
    paused?: boolean
    minReadySeconds?: number
    revisionHistoryLimit?: number
    progressDeadlineSeconds?: number
    strategy: {type: string; rollingUpdate?: {maxSurge?: number | string; maxUnavailable?: number | string}}
  }
  status?: {
    observedGeneration?: number
    replicas?: number
    updatedReplicas?: number
    readyReplicas?: number
    availableReplicas?: number
    unavailableReplicas?: number
    conditions?: Condition[]
  }
}

export interface Job extends Obj {
  spec: {
    parallelism: number
    completions?: number
    backoffLimit: number
    activeDeadlineSeconds?: number
    ttlSecondsAfterFinished?: number
    suspend?: boolean
    selector: LabelSelector
    template: PodTemplate
    manualSelector?: boolean
    completionMode?: string
  }
  status?: {
    conditions?: Condition[]
    startTime?: string
    completionTime?: string
    active?: number
    ready?: number
    terminating?: number
    succeeded?: number
    failed?: number
    uncountedTerminatedPods?: object
  }
}

export interface ServicePort {
  name?: string
  port: number
  protocol: string
  targetPort: number | string
  nodePort?: number
}

export interface Service extends Obj {
  spec: {
    type: string
    clusterIP?: string
    clusterIPs?: string[]
    selector?: Record<string, string>
    ports?: ServicePort[]
    externalName?: string
    publishNotReadyAddresses?: boolean
  }
}

export interface EndpointAddress {
  ip: string
  nodeName?: string
  hostname?: string
  targetRef?: {kind: string; name: string; namespace?: string; uid?: string}
}

export interface EndpointSubset {
  addresses?: EndpointAddress[]
  notReadyAddresses?: EndpointAddress[]
  ports?: {name?: string; port: number; protocol: string}[]
}

export interface Endpoints extends Obj {
  subsets?: EndpointSubset[]
}

export interface ObjectReference {
  apiVersion?: string
  kind: string
  name: string
  namespace?: string
  uid?: string
  resourceVersion?: string
  fieldPath?: string
}

export interface KubeEvent extends Obj {
  involvedObject: ObjectReference
  reason: string
  message: string
  type: 'Normal' | 'Warning'
  source: {component: string; host?: string}
  firstTimestamp: string
  lastTimestamp: string
  count: number
}
