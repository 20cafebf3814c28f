import {isContainerRecord} from './left-container.ts'
import type {NameClaim} from './naming.ts'
import type {SessionRecord} from './state.ts'

/** The kernel's own limit, PID_MAX_LIMIT (proc(5), kernel/pid_max). */
const PID_MAX = 2 ** 22

/** What `session.json` says: a record, or why it is none. */
export function parseRecord(text: string): {record?: SessionRecord; damage?: string} {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (error) {
    return {damage: `it is not JSON (${(error as Error).message})`}
  }
  const record = (value ?? {}) as Record<string, unknown>
  if (record.format !== 1)
    return {damage: `its format is ${JSON.stringify(record.format) ?? 'not stated'}, and this version reads 1`}
  const missing = ['id', 'job', 'name', 'program', 'state', 'createdAt'].find((key) => typeof record[key] !== 'string')
  if (missing !== undefined || !isProcess(record.session)) return {damage: `it has no valid "${missing ?? 'session'}"`}
  if (record.trap !== undefined && !isProcess(record.trap)) return {damage: 'it has no valid "trap"'}
  if (record.container !== undefined && !isContainerRecord(record.container))
    return {damage: 'it has no valid "container"'}
  return {record: value as SessionRecord}
}

/** What `name.json` says; undefined when it is no claim. */
export function parseClaim(text: string): NameClaim | undefined {
  try {
    const claim = JSON.parse(text) as NameClaim | null
    return typeof claim?.name === 'string' && isProcess(claim.launcher) ? claim : undefined
  } catch {
    return undefined
  }
}

function isProcess(value: unknown): boolean {
  const {pid, startTime, bootId} = (value ?? {}) as Record<string, unknown>
  // Anything else would be read by kill(2) as a group, or as everyone.
  const valid = Number.isSafeInteger(pid) && (pid as number) >= 1 && (pid as number) <= PID_MAX
  return valid && typeof startTime === 'string' && typeof bootId === 'string'
}
