import {execFile} from 'node:child_process'
import {TrapError} from './trap-error.ts'
import type {TrapProbe} from './types.ts'

/**
 * Asks `mirrord-trap --probe` what this machine allows: it tries the real system calls in a throw-away child.
 * @throws TrapError `unavailable` when the trap cannot be run, `lost` when its answer is not understood.
 */
export function probeTrap(trapPath: string): Promise<TrapProbe> {
  return new Promise((resolve, reject) => {
    execFile(trapPath, ['--probe'], {timeout: 10_000}, (error, stdout) => {
      const line = stdout.trim()
      if (line.startsWith('{')) {
        try {
          resolve(JSON.parse(line) as TrapProbe)
        } catch {
          reject(new TrapError('lost', `${trapPath} --probe printed ${JSON.stringify(line)}`))
        }
        return
      }
      const why = error?.message ?? 'it printed nothing'
      const details = {unavailable: 'not-executable'} as const
      reject(new TrapError('unavailable', `${trapPath} --probe failed: ${why}`, details))
    })
  })
}
