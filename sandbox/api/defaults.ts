import {fillDefinition} from './custom.ts'
import type {Definition} from './custom.ts'
import {R} from './resources.ts'
import type {Resource} from './resources.ts'
import {settle} from './schema.ts'
import type {Container, Deployment, Job, Obj, Pod, PodSpec, PodTemplate, Probe, Service} from './types.ts'

/** Sets absent fields only. */
function fill<T extends object>(target: T, values: Partial<Record<keyof T, unknown>>): void {
  for (const [key, value] of Object.entries(values)) {
    const holder = target as Record<string, unknown>
    if (holder[key] === undefined || holder[key] === null) holder[key] = value
  }
}

function fillProbe(probe: Probe | undefined): void {
  if (!probe) return
  fill(probe, {timeoutSeconds: 1, periodSeconds: 10, successThreshold: 1, failureThreshold: 3})
  if (probe.httpGet) fill(probe.httpGet, {path: '/', scheme: 'HTTP'})
}

/** Defaults of one container; the pull policy depends on the tag. */
export function fillContainer(container: Container): void {
  const latest = !/:[^/]+$/.test(container.image ?? '') || container.image.endsWith(':latest')
  fill(container, {
    resources: {},
    terminationMessagePath: '/dev/termination-log',
    terminationMessagePolicy: 'File',
    imagePullPolicy: latest ? 'Always' : 'IfNotPresent',
  })
  for (const port of container.ports ?? []) fill(port, {protocol: 'TCP'})
  for (const variable of container.env ?? []) {
    if (variable.valueFrom?.fieldRef)
      fill(variable.valueFrom.fieldRef as {fieldPath: string; apiVersion?: string}, {apiVersion: 'v1'})
  }
  fillProbe(container.readinessProbe)
  fillProbe(container.livenessProbe)
  fillProbe(container.startupProbe)
}

function fillPodSpec(spec: PodSpec): void {
  fill(spec, {
    restartPolicy: 'Always',
    terminationGracePeriodSeconds: 30,
    dnsPolicy: 'ClusterFirst',
    securityContext: {},
    schedulerName: 'default-scheduler',
  })
  for (const volume of spec.volumes ?? []) {
    if (volume.configMap) fill(volume.configMap as {defaultMode?: number}, {defaultMode: 420})
    if (volume.secret) fill(volume.secret as {defaultMode?: number}, {defaultMode: 420})
    if (volume.hostPath) fill(volume.hostPath, {type: ''})
  }
  for (const container of [...(spec.initContainers ?? []), ...(spec.containers ?? [])]) fillContainer(container)
}

function fillTemplate(template: PodTemplate | undefined): void {
  if (!template?.spec) return
  template.metadata ??= {}
  fillPodSpec(template.spec)
}

const table: Record<string, (object: Obj) => void> = {
  customresourcedefinitions: (object) => fillDefinition(object as Definition),
  pods(object) {
    const pod = object as Pod
    if (!pod.spec) return
    fillPodSpec(pod.spec)
    fill(pod.spec, {
      serviceAccountName: 'default',
      enableServiceLinks: true,
      preemptionPolicy: 'PreemptLowerPriority',
      priority: 0,
      tolerations: [],
    })
    fill(pod.spec, {serviceAccount: pod.spec.serviceAccountName})
  },
  deployments(object) {
    const {spec} = object as Deployment
    if (!spec) return
    fill(spec, {replicas: 1, revisionHistoryLimit: 10, progressDeadlineSeconds: 600, strategy: {}})
    fill(spec.strategy, {type: 'RollingUpdate'})
    if (spec.strategy.type === 'RollingUpdate') {
      fill(spec.strategy, {rollingUpdate: {}})
      fill(spec.strategy.rollingUpdate!, {maxUnavailable: '25%', maxSurge: '25%'})
    }
    fillTemplate(spec.template)
  },
  replicasets(object) {
    const spec = object.spec as {replicas?: number; template?: PodTemplate} | undefined
    if (!spec) return
    fill(spec, {replicas: 1})
    fillTemplate(spec.template)
  },
  jobs(object) {
    const job = object as Job
    if (!job.spec) return
    fill(job.spec, {
      parallelism: 1,
      backoffLimit: 6,
      completionMode: 'NonIndexed',
      suspend: false,
      podReplacementPolicy: 'TerminatingOrFailed',
    } as Partial<Job['spec']>)
    if (job.spec.completions === undefined && job.spec.parallelism === 1) job.spec.completions = 1
    fillTemplate(job.spec.template)
  },
  services(object) {
    const {spec} = object as Service
    if (!spec) return
    fill(spec, {type: 'ClusterIP', sessionAffinity: 'None'} as Partial<Service['spec']>)
    if (spec.type !== 'ExternalName') {
      fill(spec, {internalTrafficPolicy: 'Cluster', ipFamilies: ['IPv4'], ipFamilyPolicy: 'SingleStack'} as Partial<
        Service['spec']
      >)
    }
    for (const port of spec.ports ?? []) {
      fill(port, {protocol: 'TCP'})
      fill(port, {targetPort: port.port})
    }
  },
  namespaces(object) {
    object.spec = {finalizers: ['kubernetes']}
    const labels = (object.metadata.labels ??= {})
    labels['kubernetes.io/metadata.name'] = object.metadata.name
    object.status ??= {phase: 'Active'}
  },
  secrets(object) {
    fill(object, {type: 'Opaque'})
    const plain = object.stringData as Record<string, string> | undefined
    if (!plain) return
    const encoded = Object.entries(plain).map(([key, value]) => [key, Buffer.from(value).toString('base64')])
    object.data = {...(object.data as object | undefined), ...Object.fromEntries(encoded)}
    delete object.stringData
  },
}

/** Fills absent fields in place with the values that a real API server writes. */
export function applyDefaults(resource: Resource, object: Obj): void {
  if (resource === R.events) return
  if (resource.schema) {
    const {apiVersion, kind, metadata, ...own} = object
    settle(resource.schema, own)
    for (const key of Object.keys(object)) delete object[key]
    return void Object.assign(object, {apiVersion, kind, metadata}, own)
  }
  table[resource.plural]?.(object)
}
