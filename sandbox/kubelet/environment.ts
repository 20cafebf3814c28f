import {R} from '../api/resources.ts'
import {fieldText} from '../api/selectors.ts'
import type {Store} from '../api/store.ts'
import type {Container, EnvVar, Obj, Pod, Service} from '../api/types.ts'
import type {Image} from '../images.ts'

/** A container that cannot be configured yet: reason CreateContainerConfigError. */
export class ConfigError extends Error {}

const PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'

/** Replaces `$(NAME)` by known variables; `$$(NAME)` stays as `$(NAME)`, unknown names stay as they are. */
export function expand(text: string, env: Record<string, string>): string {
  return text.replace(/\$(\$\([^)]*\)|\(([^)]*)\))/g, (whole, rest: string, name: string | undefined) =>
    name === undefined ? rest : (env[name] ?? whole),
  )
}

/** The value of a downward-API field. Throws for fields that do not exist. */
function field(pod: Pod, path: string): string {
  const keyed = /^metadata\.(labels|annotations)\['(.+)'\]$/.exec(path)
  if (keyed) return pod.metadata[keyed[1] as 'labels' | 'annotations']?.[keyed[2]!] ?? ''
  const known = [
    'metadata.name',
    'metadata.namespace',
    'metadata.uid',
    'spec.nodeName',
    'spec.serviceAccountName',
    'status.hostIP',
    'status.podIP',
    'status.podIPs',
    'status.hostIPs',
  ]
  if (!known.includes(path)) throw new ConfigError(`unsupported pod field path: ${path}`)
  if (path === 'status.podIPs') return pod.status.podIPs?.map(({ip}) => ip).join(',') ?? ''
  if (path === 'status.hostIPs') return pod.status.hostIPs?.map(({ip}) => ip).join(',') ?? ''
  return fieldText(pod, path)
}

/** All entries of a config map or secret as text. Throws ConfigError when it is missing and not optional. */
export function entries(
  store: Store,
  kind: 'configmap' | 'secret',
  namespace: string,
  name: string,
  optional?: boolean,
): Record<string, string> {
  const object: Obj | undefined = store.find(kind === 'secret' ? R.secrets : R.configmaps, namespace, name)
  if (!object) {
    if (optional) return {}
    throw new ConfigError(`${kind} "${name}" not found`)
  }
  const data = (object.data ?? {}) as Record<string, string>
  if (kind === 'configmap') {
    const binary = Object.entries((object.binaryData ?? {}) as Record<string, string>)
    return {
      ...data,
      ...Object.fromEntries(binary.map(([key, value]) => [key, Buffer.from(value, 'base64').toString('latin1')])),
    }
  }
  return Object.fromEntries(Object.entries(data).map(([key, value]) => [key, Buffer.from(value, 'base64').toString()]))
}

/** NAME_SERVICE_HOST and the docker-link variables of every service that a pod may see. */
function serviceVariables(store: Store, pod: Pod): Record<string, string> {
  const result: Record<string, string> = {}
  const add = (service: Service, as = service.metadata.name) => {
    const ip = service.spec.clusterIP
    const port = service.spec.ports?.[0]
    if (!ip || ip === 'None' || !port) return
    const name = as.toUpperCase().replaceAll('-', '_')
    result[`${name}_SERVICE_HOST`] = ip
    result[`${name}_SERVICE_PORT`] = String(port.port)
    result[`${name}_PORT`] = `${port.protocol.toLowerCase()}://${ip}:${port.port}`
    for (const p of service.spec.ports!) {
      if (p.name) result[`${name}_SERVICE_PORT_${p.name.toUpperCase().replaceAll('-', '_')}`] = String(p.port)
      const base = `${name}_PORT_${p.port}_${p.protocol.toUpperCase()}`
      result[base] = `${p.protocol.toLowerCase()}://${ip}:${p.port}`
      result[`${base}_PROTO`] = p.protocol.toLowerCase()
      result[`${base}_PORT`] = String(p.port)
      result[`${base}_ADDR`] = ip
    }
  }
  const kubernetes = store.find<Service>(R.services, 'default', 'kubernetes')
  if (kubernetes) add(kubernetes)
  if (pod.spec.enableServiceLinks !== false)
    for (const service of store.list<Service>(R.services, pod.metadata.namespace)) add(service)
  return result
}

function value(store: Store, pod: Pod, variable: EnvVar, env: Record<string, string>): string | undefined {
  const from = variable.valueFrom
  if (!from) return expand(variable.value ?? '', env)
  if (from.fieldRef) return field(pod, from.fieldRef.fieldPath)
  if (from.resourceFieldRef) return '0'
  const kind = from.secretKeyRef ? 'secret' : 'configmap'
  const ref = from.secretKeyRef ?? from.configMapKeyRef
  if (!ref) return ''
  const found = entries(store, kind, pod.metadata.namespace!, ref.name, ref.optional)[ref.key]
  if (found === undefined && !ref.optional)
    throw new ConfigError(
      `couldn't find key ${ref.key} in ${kind === 'secret' ? 'Secret' : 'ConfigMap'} ${pod.metadata.namespace}/${ref.name}`,
    )
  return found
}

/** The environment of a container. Throws ConfigError. */
export function environment(store: Store, pod: Pod, container: Container, image: Image): Record<string, string> {
  const env: Record<string, string> = {
    PATH,
    HOSTNAME: pod.spec.hostname ?? pod.metadata.name,
    HOME: '/root',
    ...image.env,
    ...serviceVariables(store, pod),
  }
  for (const source of container.envFrom ?? []) {
    const kind = source.secretRef ? 'secret' : 'configmap'
    const ref = source.secretRef ?? source.configMapRef
    if (!ref) continue
    for (const [key, text] of Object.entries(entries(store, kind, pod.metadata.namespace!, ref.name, ref.optional)))
      env[(source.prefix ?? '') + key] = text
  }
  for (const variable of container.env ?? []) {
    const text = value(store, pod, variable, env)
    if (text !== undefined) env[variable.name] = text
  }
  return env
}

/** The full command line: the pod's command and args over the image's, with variables expanded. */
export function commandLine(container: Container, image: Image, env: Record<string, string>): string[] {
  const command = container.command?.length ? container.command : (image.entrypoint ?? [])
  const args = container.args ?? (container.command?.length ? [] : (image.cmd ?? []))
  return [...command, ...args].map((word) => expand(word, env))
}
