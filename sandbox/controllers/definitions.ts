import {builtIn, R} from '../api/resources.ts'
import type {Definition} from '../api/custom.ts'
import {now} from '../api/store.ts'
import {remove} from '../api/writes.ts'
import type {Controller, ControllerContext} from './controller.ts'
import {Queue} from './queue.ts'

/** Establishes custom resource definitions, a moment after they were made; with a definition go its objects. */
export function definitions({store}: ControllerContext): Controller {
  const fresh = new Queue((name) => {
    const definition = store.find<Definition>(R.customresourcedefinitions, undefined, name)
    if (!definition || definition.status?.conditions) return
    const {group, names, versions} = definition.spec
    const free = builtIn(group, names.plural) === undefined
    const condition = (type: string, status: boolean, reason: string, message: string) => ({
      type,
      status: status ? ('True' as const) : ('False' as const),
      reason,
      message,
      lastTransitionTime: now(),
    })
    store.modify<Definition>(R.customresourcedefinitions, definition, (draft) => {
      draft.status = {
        conditions: [
          condition(
            'NamesAccepted',
            free,
            free ? 'NoConflicts' : 'PluralConflict',
            free ? 'no conflicts found' : 'taken',
          ),
          condition(
            'Established',
            free,
            free ? 'InitialNamesAccepted' : 'NotAccepted',
            free ? 'established' : 'not accepted',
          ),
        ],
        acceptedNames: names,
        storedVersions: versions.filter(({storage}) => storage).map((version) => version.name),
      }
    })
  })

  const stop = store.onChange(({type, resource, object}) => {
    if (resource !== 'apiextensions.k8s.io/customresourcedefinitions') return
    const {group, names, scope} = (object as Definition).spec
    if (type === 'ADDED') fresh.add(object.metadata.name)
    if (type !== 'DELETED' || builtIn(group, names.plural)) return
    const gone = {group, plural: names.plural, kind: names.kind, namespaced: scope === 'Namespaced'}
    for (const instance of store.list(gone)) {
      remove(store, {...gone, version: '', singular: '', verbs: []}, instance, {dryRun: false})
    }
  })
  return {
    close() {
      stop()
      fresh.close()
    },
  }
}
