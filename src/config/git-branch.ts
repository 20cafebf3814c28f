import {execFile} from 'node:child_process'
import {promisify} from 'node:util'
import type {Environment} from './meta.ts'

const execute = promisify(execFile)

/**
 * The branch for templates: `MIRRORD_BRANCH_NAME` if it is not empty (`settings` are the variables that may set keys),
 * else what git says is checked out in `cwd`; undefined where neither says anything, on a detached HEAD for example.
 */
export async function gitBranch(cwd: string, settings: Environment, env: Environment): Promise<string | undefined> {
  if (settings.MIRRORD_BRANCH_NAME) return settings.MIRRORD_BRANCH_NAME
  try {
    const {stdout} = await execute('git', ['branch', '--show-current'], {cwd, env: {...env}, timeout: 5000})
    return stdout.trim() || undefined
  } catch {
    // No git, no repository, or one of another user: upstream takes each for "no branch" too.
    return undefined
  }
}
