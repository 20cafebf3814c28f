import type {ErrorReport} from '../errors/mirrord-error.ts'
import {fileTail} from './output-tail.ts'
import type {SessionRecord} from './state.ts'

/** Lines of mirrord.log that a report shows. */
const LOG_LINES = 20

/** The session is gone and has left no word. */
export function lost(record: SessionRecord): ErrorReport {
  return {
    code: 'SESSION_LOST',
    exit: 'programCrashed',
    what: `The session of ${record.program} (${record.id}) ended without being stopped.`,
    why: 'Its process was killed or the machine ran out of memory; the program was ended with it.',
    next: ['What ran against the service after that moment did not meet the local program: run it again.'],
    detail: logTail(record),
  }
}

/** The session did not answer and was killed. */
export function hung(record: SessionRecord, ms: number): ErrorReport {
  return {
    code: 'SESSION_HUNG',
    exit: 'unexpected',
    what: `The session of ${record.program} (${record.id}) did not end within ${ms / 1000} s and was killed.`,
    why: 'Its process hangs, or the cluster does not answer. Its agent leaves by itself.',
    next: ['See whether the cluster answers: kubectl get pods.'],
    detail: logTail(record),
  }
}

/** The session could be neither asked nor killed. */
export function notStopped(record: SessionRecord, error: unknown): ErrorReport {
  const denied = (error as NodeJS.ErrnoException).code === 'EPERM'
  return {
    code: 'SESSION_NOT_STOPPED',
    exit: denied ? 'permission' : 'unexpected',
    what: `The session of ${record.program} (${record.id}) could not be stopped.`,
    why: denied ? `Its process ${record.session.pid} belongs to another user.` : (error as Error).message,
    next: ['Its state is kept: end what keeps it, and run `mirrord ci stop` again.'],
    detail: logTail(record),
  }
}

function logTail(record: SessionRecord): string | undefined {
  return record.outputDirectory && (fileTail(record.outputDirectory, 'mirrord.log', LOG_LINES) || undefined)
}
