import type {ErrorReport} from '../errors/mirrord-error.ts'
import {MirrordError} from '../errors/mirrord-error.ts'
import {SubscriptionRefused} from '../proxy/errno.ts'
import {TrapError, type ProgramExit, type UnavailableReason} from '../trap/trap.ts'
import {outputTail} from './output-tail.ts'
import type {SessionSpec} from './spec.ts'

/** How a program ended, in words. */
export function describeExit({code, signal}: ProgramExit): string {
  if (signal) return `It was ended by ${signal}.`
  if (code !== undefined) return `It exited with status ${code}.`
  return 'How it ended is unknown: its supervisor was lost.'
}

/** The program ended before it was ready: exit 70, or 73 when what it says is that its port is taken. */
export function diedBeforeReady(name: string, exit: ProgramExit, outputDirectory: string | undefined): ErrorReport {
  const detail = outputTail(outputDirectory)
  const portInUse = detail !== undefined && /EADDRINUSE|address already in use/i.test(detail)
  return {
    code: portInUse ? 'PORT_IN_USE' : 'PROGRAM_DIED',
    exit: portInUse ? 'portInUse' : 'programDied',
    what: portInUse
      ? `The program "${name}" could not have its port.`
      : `The program "${name}" ended before it was ready.`,
    why: describeExit(exit),
    next: portInUse
      ? ['End the process that holds the port (ss -ltnp shows it), or give the program another port.']
      : ['Read its last output below, and run it alone to see whether it starts at all.'],
    detail,
  }
}

/** The program ended during the run: reported by `ci stop`. */
export function diedDuringRun(name: string, exit: ProgramExit, outputDirectory: string | undefined): ErrorReport {
  return {
    code: 'PROGRAM_CRASHED',
    exit: 'programCrashed',
    what: `The program "${name}" ended during the run, before it was stopped.`,
    why: describeExit(exit),
    next: ['What was tested after that moment did not meet the local program: fix the crash and run again.'],
    detail: outputTail(outputDirectory),
  }
}

/**
 * The report of a program that met refused ports (`stealRefused`). Before it was ready, the first of them is what failed;
 * later it is told beside the program's own end.
 */
export function afterRefusals(report: ErrorReport, refusals: Iterable<ErrorReport>, ready: boolean): ErrorReport {
  const [refusal] = refusals
  if (!refusal) return report
  if (ready) return {...report, why: `${report.why} Before: ${refusal.what} ${refusal.why}`}
  return {...refusal, why: `${refusal.why} ${report.what} ${report.why}`, detail: report.detail}
}

/** The agent's connection was lost. */
export function agentLost(reason: string, detail?: string): ErrorReport {
  return {
    code: 'AGENT_LOST',
    exit: 'agentLost',
    what: 'The connection to the agent was lost, so the program was ended.',
    why: reason,
    next: [
      'The deployed service has its traffic again. See whether the target pod or its node went away, and start again.',
    ],
    detail,
  }
}

/** What `ci stop` says of an agent that it could not delete. */
export function agentLeft(
  {kind, name, namespace}: {kind: string; name: string; namespace: string},
  error: unknown,
): string {
  const object = kind === 'job' ? 'Job' : 'container'
  const why = (error as Error).message.replace(/[.!]?$/, '.')
  return `The agent's ${object} "${name}" in the namespace "${namespace}" could not be deleted: it ends by itself, now that nobody is connected. ${why}`
}

/** Files that the program wrote could not be brought to the target; they are kept in `folder`. */
export function filesUnsaved(files: readonly {path: string; reason: string}[], folder: string): ErrorReport {
  return {
    code: 'FILES_UNSAVED',
    exit: 'agentLost',
    what: `${files.length === 1 ? 'A file' : `${files.length} files`} that the program wrote could not be written to the target.`,
    why: `For ${files[0]?.path}: ${files[0]?.reason}`,
    next: [`What was written is kept in ${folder}, by its path in the target.`],
    detail: files.map(({path, reason}) => `${path}: ${reason}`).join('\n'),
  }
}

/** The agent ended the conversation with a text of its own: other rules in the target, or something that it cannot do. */
export function agentRefused(text: string): ErrorReport {
  const dirty = /dirty iptables|another mirrord agent/i.test(text)
  return {
    code: dirty ? 'AGENT_DIRTY' : 'AGENT_REFUSED_SESSION',
    exit: dirty ? 'agentDirty' : 'agentLost',
    what: dirty ? 'The target carries redirect rules of another agent.' : 'The agent refused to work.',
    why: `It says: ${text}`,
    next: dirty
      ? [
          'Wait until the other session on this pod ends, or choose another target.',
          'If there is none: delete the target pod, or set agent.clean_iptables_on_start to true.',
        ]
      : ["Read the agent's last words in mirrord.log."],
  }
}

/** The trap ended without being asked to: the program cannot run on unconnected and was ended. */
export function trapLost(name: string, reason: string | undefined): ErrorReport {
  return {
    code: 'TRAP_LOST',
    exit: 'programCrashed',
    what: `The supervisor of the program "${name}" was lost, so the program was ended.`,
    why: reason ?? 'Its process was killed.',
    next: ['See whether the machine ran out of memory (dmesg), and start again.'],
  }
}

/** A copier of the program's output was killed: what the program writes would be lost. */
export function outputBroken(name: string, reason: string): ErrorReport {
  return {
    code: 'OUTPUT_LOST',
    exit: 'programCrashed',
    what: `The output of the program "${name}" could not be taken any more, so the program was ended.`,
    why: reason,
    next: ['See whether the machine ran out of memory (dmesg), and start again.'],
  }
}

const unavailable: Record<UnavailableReason, {why: string; next: string}> = {
  'other-listener': {
    why: 'Another tool already supervises the system calls of this process (EBUSY).',
    next: 'Start mirrord outside that tool.',
  },
  'kernel-too-old': {
    why: 'This kernel has no seccomp user notification (Linux 5.14 or newer is needed; gVisor has none).',
    next: 'Use a runner with a newer kernel.',
  },
  'seccomp-denied': {
    why: 'The container forbids seccomp(2).',
    next: 'Run the container with --security-opt seccomp=unconfined.',
  },
  'memory-denied': {
    why: 'Reading the memory of a child process is forbidden: by Yama (kernel.yama.ptrace_scope is 2 or 3) or by a seccomp profile.',
    next: 'As root on the machine: sysctl -w kernel.yama.ptrace_scope=1 (a 3 lasts until it restarts); with 2, or a profile: run the container with --cap-add SYS_PTRACE.',
  },
  'inject-missing': {
    why: 'This kernel cannot hand descriptors to a supervised process (Linux 5.14).',
    next: 'Use a runner with a newer kernel.',
  },
  'not-executable': {
    why: 'The file mirrord-trap cannot be executed.',
    next: "Install mirrord again for this machine's architecture.",
  },
}

/** The report of a machine that cannot intercept. */
export function interceptionUnavailable(reason: UnavailableReason, container = false): MirrordError {
  const {why, next} = unavailable[reason]
  return new MirrordError({
    code: `INTERCEPTION_UNAVAILABLE_${reason.toUpperCase().replaceAll('-', '_')}`,
    exit: 'interceptionUnavailable',
    what: `${container ? 'In this container' : 'On this machine'} the program's system calls cannot be intercepted.`,
    why,
    next: container ? [next] : [next, 'Or start with --no-intercept: environment and incoming traffic only.'],
  })
}

/** Turns what the trap could not start into a report. */
export function startFailure(
  error: unknown,
  {program: {name}, container, outputDirectory}: Pick<SessionSpec, 'program' | 'container' | 'outputDirectory'>,
): unknown {
  if (!(error instanceof TrapError)) return error
  if (error.reason === 'container') return containerNotStarted(name, error, outputDirectory)
  if (error.unavailable) return interceptionUnavailable(error.unavailable, container !== undefined)
  const executable = error.reason === 'not-executable'
  if (executable || error.reason === 'not-found')
    return new MirrordError(
      {
        code: executable ? 'PROGRAM_NOT_EXECUTABLE' : 'PROGRAM_NOT_FOUND',
        exit: 'programNotFound',
        what: container
          ? `The program of the container "${name}" ${executable ? 'cannot be executed' : 'was not found'}.`
          : `The program "${name}" cannot be executed.`,
        why: error.message,
        next: [
          container
            ? 'Check the command, the entrypoint and the PATH of the image, and that it has the interpreter of a script.'
            : 'Check that the file was built for this machine, and that the interpreter of its first line exists.',
        ],
      },
      {cause: error},
    )
  return new MirrordError(
    {
      code: 'PROGRAM_NOT_STARTED',
      exit: error.reason === 'working-directory' ? 'permission' : 'unexpected',
      what: `The program "${name}" could not be started.`,
      why: error.message,
      next: ['Read mirrord.log of this session.'],
    },
    {cause: error},
  )
}

/** The runtime did not start the container, or its program never came to run. */
function containerNotStarted(name: string, error: TrapError, outputDirectory: string | undefined): MirrordError {
  return new MirrordError(
    {
      code: 'CONTAINER_NOT_STARTED',
      exit: 'programDied',
      what: `The container "${name}" did not start.`,
      why: `${error.message}.`,
      next: [
        "Read what the runtime says. The container needs this machine's files and network: a runtime on another machine (DOCKER_HOST) or a Docker in rootless mode, whose network is its own, cannot give them.",
      ],
      detail: outputTail(outputDirectory),
    },
    {cause: error},
  )
}

/** The start was given up by whoever asked for it; a launcher that had a signal says which. */
export function cancelled(name: string): ErrorReport {
  return {
    code: 'START_CANCELLED',
    exit: 'terminated',
    what: `The start of "${name}" was cancelled before it was ready.`,
    next: ['Nothing is left behind; start it again when wanted.'],
  }
}

/** There is no traffic of this port. */
export function stealRefused(port: number, error: unknown): ErrorReport {
  const report = {
    code: 'STEAL_REFUSED',
    exit: 'agentLost',
    what: `The traffic of port ${port} could not be stolen.`,
    why: error instanceof Error ? error.message : String(error),
    next: [
      "Read the agent's last words in mirrord.log; the kernel of the node may lack a NAT module (try agent.nftables).",
    ],
  } as const
  if (!(error instanceof SubscriptionRefused)) return {...report, next: [...report.next]}
  if (error.taken) {
    const next = ['Wait until the other session on this port ends, or choose another target.']
    return {...report, code: 'PORT_STOLEN', exit: 'agentDirty', next}
  }
  if (error.forbidden) {
    const next = [
      'Ask whoever writes the policies of the cluster, or leave the port out of feature.network.incoming.ports.',
    ]
    return {...report, exit: 'operator', next}
  }
  return {...report, next: [...report.next]}
}
