import {readFileSync} from 'node:fs'
import path from 'node:path'
import {CustomObjectsApi, type V1CustomResourceDefinition} from '@kubernetes/client-node'
import {parseAllDocuments} from 'yaml'
import type {Cluster} from './cluster.ts'
import {installDefinition} from './definitions.ts'
import {until} from './until.ts'

const group = 'profiles.mirrord.metalbear.co'
const version = 'v1alpha'
const page = path.join(import.meta.dirname, '../../../docs/profiles.md')

/** The definitions that docs/profiles.md shows. */
export function documentedDefinitions(): V1CustomResourceDefinition[] {
  const [, yaml] = /## The definitions[^]*?```yaml\n([^]*?)```/.exec(readFileSync(page, 'utf8')) ?? []
  return parseAllDocuments(yaml!).map((document) => document.toJS() as V1CustomResourceDefinition)
}

/** Profiles in a cluster: their definitions, where they are missing, and the objects that a test makes. */
export class Profiles {
  readonly #cluster: Cluster
  readonly #objects: CustomObjectsApi
  readonly #undo: (() => Promise<unknown>)[] = []

  constructor(cluster: Cluster) {
    this.#cluster = cluster
    this.#objects = cluster.config.makeApiClient(CustomObjectsApi)
  }

  /** Installs the definitions. They let any adjustment pass, as those of a newer version would let theirs. */
  async install(): Promise<void> {
    for (const definition of documentedDefinitions()) {
      // The library's spelling.
      const open = {type: 'object', x_kubernetes_preserve_unknown_fields: true}
      for (const {schema} of definition.spec.versions) schema!.openAPIV3Schema!.properties!.spec = open
      this.#undo.push(await installDefinition(this.#cluster, definition))
    }
  }

  /** Makes a profile, of the cluster or of a namespace. */
  async create(name: string, spec: object, namespace?: string): Promise<void> {
    const kind = namespace === undefined ? 'MirrordClusterProfile' : 'MirrordProfile'
    const body = {apiVersion: `${group}/${version}`, kind, metadata: {name}, spec}
    const at = {group, version, plural: `${kind.toLowerCase()}s`}
    // An established kind is served a moment later.
    await until(`the profile ${name}`, async () => {
      if (namespace === undefined) await this.#objects.createClusterCustomObject({...at, body})
      else await this.#objects.createNamespacedCustomObject({...at, namespace, body})
      return true
    })
    this.#undo.push(() =>
      namespace === undefined
        ? this.#objects.deleteClusterCustomObject({...at, name})
        : this.#objects.deleteNamespacedCustomObject({...at, namespace, name}),
    )
  }

  /** Removes what was made here. */
  async close(): Promise<void> {
    for (const undo of this.#undo.reverse()) await undo()
  }
}
