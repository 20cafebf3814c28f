import {objectName} from './target.ts'

/** Which profile a configuration names: a cluster-wide one, or one of a namespace. */
export interface ProfileReference {
  name: string
  namespace?: string
}

/** Reads `<name>` or `<namespace>/<name>`, split at the first slash (config.md 2.8). Throws a plain Error. */
export function parseProfile(text: string): ProfileReference {
  const slash = text.indexOf('/')
  const reference = slash < 0 ? {name: text} : {namespace: text.slice(0, slash), name: text.slice(slash + 1)}
  if ([reference.name, reference.namespace ?? 'x'].every((part) => objectName.test(part))) return reference
  throw new Error('expected the name of a profile in the cluster, or <namespace>/<name>')
}

/** The reference as `parseProfile` reads it. */
export function formatProfile({name, namespace}: ProfileReference): string {
  return namespace === undefined ? name : `${namespace}/${name}`
}
