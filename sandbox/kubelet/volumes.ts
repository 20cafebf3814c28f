import {chmodSync, mkdirSync, writeFileSync} from 'node:fs'
import {dirname, join, resolve} from 'node:path'

import type {Store} from '../api/store.ts'
import type {Container, KeyToPath, Pod, Volume} from '../api/types.ts'
import type {Image} from '../images.ts'
import {ConfigError, entries} from './environment.ts'
import type {Bind} from './script.ts'

const ACCOUNT = '/var/run/secrets/kubernetes.io/serviceaccount'

/** A prepared volume: what to bind for it. */
interface Source {
  path: string
  host?: boolean
}

function project(dir: string, data: Record<string, string>, items: KeyToPath[] | undefined): Source {
  mkdirSync(dir, {recursive: true, mode: 0o755})
  const chosen = items ?? Object.keys(data).map((key) => ({key, path: key}))
  for (const {key, path} of chosen) {
    const text = data[key]
    if (text === undefined) throw new ConfigError(`references non-existent config key: ${key}`)
    const file = resolve(dir, path)
    if (!file.startsWith(`${dir}/`)) throw new ConfigError(`invalid path: ${path}`)
    mkdirSync(dirname(file), {recursive: true})
    writeFileSync(file, text, {mode: 0o644})
  }
  return {path: dir}
}

/**
 * Makes the pod's volumes below `dir`. Throws ConfigError for what is missing and for kinds that the sandbox does not
 * have. A mounted config map or secret is not refreshed when it changes.
 */
export function prepareVolumes(store: Store, pod: Pod, dir: string): Map<string, Source> {
  const result = new Map<string, Source>()
  for (const volume of pod.spec.volumes ?? [])
    result.set(volume.name, source(store, pod, volume, join(dir, volume.name)))
  return result
}

function source(store: Store, pod: Pod, volume: Volume, dir: string): Source {
  const namespace = pod.metadata.namespace!
  if (volume.hostPath) return {path: volume.hostPath.path, host: true}
  if (volume.emptyDir) {
    mkdirSync(dir, {recursive: true})
    chmodSync(dir, 0o777)
    return {path: dir}
  }
  const {configMap, secret} = volume
  if (configMap)
    return project(dir, entries(store, 'configmap', namespace, configMap.name, configMap.optional), configMap.items)
  if (secret) return project(dir, entries(store, 'secret', namespace, secret.secretName, secret.optional), secret.items)
  const kind = Object.keys(volume).find((key) => key !== 'name') ?? 'none'
  throw new ConfigError(`volume "${volume.name}": the sandbox has no volumes of type ${kind}`)
}

export interface Account {
  /** Directory with token, ca.crt and namespace, or undefined when the pod does not want it. */
  dir?: string
}

/** Everything that is bound into a container: its volume mounts, the image's files, the service account. */
export function binds(container: Container, volumes: Map<string, Source>, image: Image, account: Account): Bind[] {
  const result: Bind[] = (image.files ?? []).map((file) => ({...file, readOnly: true}))
  const mounts = container.volumeMounts ?? []
  for (const mount of mounts) {
    const volume = volumes.get(mount.name)
    if (!volume) throw new ConfigError(`volume "${mount.name}" not found`)
    const path = mount.subPath ? join(volume.path, mount.subPath) : volume.path
    result.push({source: path, host: volume.host, destination: mount.mountPath, readOnly: mount.readOnly})
  }
  if (account.dir && !mounts.some((mount) => mount.mountPath === ACCOUNT)) {
    result.push({source: account.dir, destination: ACCOUNT, readOnly: true})
  }
  return result
}
