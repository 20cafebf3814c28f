import path from 'node:path'
import {runtimes} from '../container/names.ts'
import type {SessionRecord} from './state.ts'

/** The container of a session, as its record says it: enough to remove it when the session cannot. */
export interface ContainerRecord {
  /** Absolute path of the runtime's client. */
  file: string
  label: string
}

/** Whether something out of a record is one: what is run is a runtime, and what is removed bears our label. */
export function isContainerRecord(value: unknown): value is ContainerRecord {
  const {file, label} = (value ?? {}) as Record<string, unknown>
  return (
    typeof file === 'string' &&
    path.isAbsolute(file) &&
    runtimes.some((name) => name === path.basename(file)) &&
    typeof label === 'string' &&
    /^mirrord\.session=[\da-f]{8}$/.test(label)
  )
}

/** Removes the container of a session that died. Errors: a plain Error with the runtime's words. */
export async function removeLeft({container}: SessionRecord): Promise<void> {
  if (!container) return
  const {removeContainers} = await import('../container/remove.ts') // a stop of anything else does without
  const problem = await removeContainers({file: container.file, cwd: '/'}, container.label)
  if (problem) throw new Error(`Its container could not be removed: ${problem}`)
}
