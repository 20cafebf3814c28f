import {ALL, builtIn, builtInKind, R, resources, STATUS} from './resources.ts'
import type {Resource} from './resources.ts'
import type {Schema} from './schema.ts'
import {required, invalidValue} from './status.ts'
import type {Cause} from './status.ts'
import type {Store} from './store.ts'
import type {Condition, Obj} from './types.ts'

/** A CustomResourceDefinition, as far as it is looked at. */
export interface Definition extends Obj {
  spec: {
    group: string
    scope: 'Namespaced' | 'Cluster'
    names: {
      kind: string
      plural: string
      singular?: string
      listKind?: string
      shortNames?: string[]
      categories?: string[]
    }
    versions: {
      name: string
      served: boolean
      storage: boolean
      schema?: {openAPIV3Schema?: Schema}
      subresources?: {status?: object}
    }[]
    conversion?: {strategy: string}
  }
  status?: {conditions?: Condition[]; acceptedNames?: object; storedVersions?: string[]}
}

/** The resources that the established definitions of a store add: one for each served version. */
export function customResources(store: Store): Resource[] {
  return store
    .list<Definition>(R.customresourcedefinitions)
    .filter(({status}) => status?.conditions?.some(({type, status}) => type === 'Established' && status === 'True'))
    .flatMap(({spec}) =>
      spec.versions
        .filter(({served}) => served)
        .map((version) => ({
          group: spec.group,
          version: version.name,
          plural: spec.names.plural,
          kind: spec.names.kind,
          singular: spec.names.singular ?? spec.names.kind.toLowerCase(),
          shortNames: spec.names.shortNames,
          categories: spec.names.categories,
          namespaced: spec.scope === 'Namespaced',
          verbs: ALL,
          subresources: version.subresources?.status ? {status: {kind: spec.names.kind, verbs: STATUS}} : undefined,
          schema: version.schema?.openAPIV3Schema ?? {},
        })),
    )
}

/** Every resource that a store has now. */
export const everyResource = (store: Store): Resource[] => [...resources, ...customResources(store)]

/** The resource of a group, version and plural name, or undefined. */
export function findResource(store: Store, group: string, version: string, plural: string): Resource | undefined {
  const known = builtIn(group, plural)
  if (known) return known.version === version ? known : undefined
  return customResources(store).find(
    (resource) => resource.group === group && resource.version === version && resource.plural === plural,
  )
}

/** The resource of an `apiVersion` and `kind`, or undefined. */
export function resourceOfKind(store: Store, apiVersion: string, kind: string): Resource | undefined {
  const [group, version] = apiVersion.includes('/') ? apiVersion.split('/') : ['', apiVersion]
  return (
    builtInKind(group!, kind) ??
    customResources(store).find((r) => r.group === group && r.version === version && r.kind === kind)
  )
}

/** Fills in what a definition may leave out. */
export function fillDefinition({spec}: Definition): void {
  if (!spec?.names?.kind) return
  spec.names.singular ??= spec.names.kind.toLowerCase()
  spec.names.listKind ??= `${spec.names.kind}List`
  spec.conversion ??= {strategy: 'None'}
}

/** What is wrong with a definition. */
export function checkDefinition({metadata, spec}: Definition): Cause[] {
  if (!spec?.group) return [required('spec.group')]
  if (!spec.names?.plural) return [required('spec.names.plural')]
  if (!spec.names.kind) return [required('spec.names.kind')]
  const causes: Cause[] = []
  const name = `${spec.names.plural}.${spec.group}`
  if (metadata.name !== name)
    causes.push(invalidValue('metadata.name', metadata.name, `must be spec.names.plural+"."+spec.group`))
  if (!['Namespaced', 'Cluster'].includes(spec.scope)) {
    const message = `Unsupported value: ${JSON.stringify(spec.scope ?? '')}: supported values: "Cluster", "Namespaced"`
    causes.push({reason: 'FieldValueNotSupported', message, field: 'spec.scope'})
  }
  if (spec.versions?.filter(({storage}) => storage).length !== 1)
    causes.push(
      invalidValue('spec.versions', spec.versions ?? [], 'must have exactly one version marked as storage version'),
    )
  for (const [index, version] of (spec.versions ?? []).entries()) {
    const field = `spec.versions[${index}].schema.openAPIV3Schema`
    if (!version.schema?.openAPIV3Schema) causes.push(required(field, 'schemas are required'))
  }
  return causes
}
