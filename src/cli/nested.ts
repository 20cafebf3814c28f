import {MirrordError} from '../errors/mirrord-error.ts'
import {findAncestor} from '../util/ancestors.ts'

/**
 * Refuses to run a program from inside of another run: upstream's, which marks its programs by a variable, or ours, where the
 * trap is an ancestor; a process cannot have two listeners for its system calls (seccomp(2), EBUSY), and what this command
 * asks of the cluster would go through the pod. Errors: NESTED_RUN (exit interceptionUnavailable).
 */
export function refuseNested(env: Readonly<Record<string, string | undefined>>): void {
  const marked = env.MIRRORD_RESOLVED_CONFIG !== undefined
  const trap = findAncestor((name) => name.endsWith('mirrord-trap'))
  if (!marked && trap === undefined) return
  throw new MirrordError({
    code: 'NESTED_RUN',
    exit: 'interceptionUnavailable',
    what: 'mirrord runs already around this command: a run inside of a run is not possible.',
    why:
      trap === undefined
        ? 'MIRRORD_RESOLVED_CONFIG is set, which mirrord does for the programs that it runs.'
        : 'This command belongs to the program of another session.',
    next: [
      trap === undefined
        ? 'Start this command outside of the other one, or unset MIRRORD_RESOLVED_CONFIG if it was only inherited.'
        : 'Start this command outside of the other session: a program that mirrord runs cannot run mirrord.',
    ],
  })
}
