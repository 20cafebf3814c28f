import {readFileSync} from 'node:fs'
import path from 'node:path'
import {
  ApiException,
  ApiextensionsV1Api,
  CustomObjectsApi,
  type V1CustomResourceDefinition,
} from '@kubernetes/client-node'
import {parseAllDocuments} from 'yaml'
import type {Cluster} from './cluster.ts'
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
  readonly #definitions: ApiextensionsV1Api
  readonly #objects: CustomObjectsApi
  readonly #undo: (() => Promise<unknown>)[] = []

  constructor({config}: Cluster) {
    this.#definitions = config.makeApiClient(ApiextensionsV1Api)
    this.#objects = config.makeApiClient(CustomObjectsApi)
  }

  /** Installs the definitions. They let any adjustment pass, as those of a newer version would let theirs. */
  async install(): Promise<void> {
    for (const definition of documentedDefinitions()) {
      const {name} = definition.metadata as {name: string}
      // The library's spelling.
      const open = {type: 'object', x_kubernetes_preserve_unknown_fields: true}
      for (const {schema} of definition.spec.versions) schema!.openAPIV3Schema!.properties!.spec = open
      try {
        await this.#definitions.createCustomResourceDefinition({body: definition})
        this.#undo.push(() => this.#definitions.deleteCustomResourceDefinition({name}))
      } catch (error) {
        if (!(error instanceof ApiException) || error.code !== 409) throw error // it is installed already
      }
      await until(`the definition ${name}`, async () => {
        const {status} = await this.#definitions.readCustomResourceDefinition({name})
        return status?.conditions?.some(({type, status}) => type === 'Established' && status === 'True')
      })
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
