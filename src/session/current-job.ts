import {bootId} from '../util/process.ts'
import {jobIdentity} from './job.ts'
import {searchRoots, stateRoot} from './roots.ts'
import {SessionStore} from './state.ts'

/** The session store of the CI job that this environment belongs to. */
export function currentJob(env: Readonly<Record<string, string | undefined>>): SessionStore {
  const uid = process.getuid?.() ?? 0
  return new SessionStore(stateRoot(env, uid), jobIdentity(env, {uid, bootId: bootId()}).id, searchRoots(env, uid))
}
