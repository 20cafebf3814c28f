import {execFileSync} from 'node:child_process'
import {copyFileSync} from 'node:fs'
import path from 'node:path'
import type {Job} from './mirrord.ts'

/** The user without rights, as Debian numbers it. */
export const NOBODY = 65_534

/** Hands the job's folder, a copy of its kubeconfig and a compile cache (the tests' own cannot be written) to another user. */
export function giveTo(job: Job, uid: number): void {
  const kubeconfig = path.join(job.folder, 'kubeconfig')
  copyFileSync(job.env.KUBECONFIG!, kubeconfig)
  job.env.KUBECONFIG = kubeconfig
  job.env.NODE_COMPILE_CACHE = path.join(job.folder, 'compile-cache')
  execFileSync('chown', ['-R', `${uid}:${uid}`, job.folder])
}
