import {accessSync, constants, existsSync, readFileSync} from 'node:fs'
import {statfs} from 'node:fs/promises'
import {stateUnusable} from '../session/disk.ts'
import {interceptionUnavailable} from '../session/failures.ts'
import {probeTrap} from '../trap/trap.ts'
import {failed, ok, warning, type Check} from './check.ts'

/** Output, state and copies of remote files; a session without any needs less than one. */
const LOW_DISK = 256 * 1024 ** 2
const yama: Record<string, string> = {
  0: 'processes of one user may look at each other',
  1: 'only parents may look at their processes; the trap is one',
  2: 'only administrators may look at processes',
  3: 'nobody may look at processes',
}

/**
 * What a run needs of this machine: the kernel, its user notifications, looking at processes, room for files. `temporary` is
 * the folder of the session's files; without `intercept` the kernel does not matter.
 */
export async function machineChecks(options: {
  trapPath: string
  temporary: string
  intercept: boolean
}): Promise<Check[]> {
  const interception = options.intercept
    ? await interceptionChecks(options.trapPath)
    : [ok('interception', 'Not needed: --no-intercept.')]
  return [...interception, container(), await disk(options.temporary)]
}

async function interceptionChecks(trapPath: string): Promise<Check[]> {
  try {
    const probe = await probeTrap(trapPath)
    const kernel = ok('kernel', `Linux ${probe.kernel} on ${probe.arch}.`)
    if (!probe.available) return [kernel, failed('interception', interceptionUnavailable(probe.reason!)), ptrace()]
    const getfd = probe.pidfdGetfd
      ? ok('pidfd_getfd', 'Descriptors of the program can be taken.')
      : warning('pidfd_getfd', 'It is refused here: sockets of the program are made by the trap instead.', [
          'Nothing, usually. In Docker the default profile refuses it without CAP_SYS_PTRACE (native/trap/README.md).',
        ])
    return [kernel, ok('interception', 'System calls can be intercepted (seccomp user notification).'), getfd, ptrace()]
  } catch (error) {
    return [failed('interception', error)]
  }
}

/** The Yama module's scope (Documentation/admin-guide/LSM/Yama.rst); the probe has tried what it allows. */
function ptrace(): Check {
  const scope = read('/proc/sys/kernel/yama/ptrace_scope')
  return ok(
    'ptrace',
    scope === undefined ? 'No Yama here.' : `Yama's ptrace_scope is ${scope}: ${yama[scope] ?? 'unknown'}.`,
  )
}

function container(): Check {
  const inside =
    existsSync('/.dockerenv') || existsSync('/run/.containerenv') || read('/proc/1/environ')?.includes('container=')
  return ok('container', inside ? 'This is a container.' : 'This is no container, as far as can be seen.')
}

async function disk(temporary: string): Promise<Check> {
  try {
    accessSync(temporary, constants.W_OK)
    const {bavail, bsize} = await statfs(temporary)
    const free = bavail * bsize
    const text = `${Math.floor(free / 1024 ** 2)} MiB are free below ${temporary}.`
    if (free >= LOW_DISK) return ok('disk', text)
    return warning('disk', text, ['Set RUNNER_TEMP or TMPDIR to a folder with room that this user can write to.'])
  } catch (error) {
    return failed('disk', stateUnusable(temporary, error))
  }
}

function read(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8').trim()
  } catch {
    return undefined
  }
}
