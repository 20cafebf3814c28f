/** A row of the table. */
interface ExitCode {
  code: number
  meaning: string
  /** The feature that comes later and ends with this code; until then nothing does. Every other row has a test `[EXIT-code]`. */
  later?: string
}

/**
 * Every exit code of the CLI, once: the table in docs/exit-codes.md is generated from it.
 * The classes are those of the design: the tens digit says whose turn it is to act.
 */
export const exitCodes = {
  success: {code: 0, meaning: 'Success.'},
  unexpected: {code: 1, meaning: 'An unexpected failure: a defect of mirrord.'},
  usage: {code: 2, meaning: 'The command line is wrong.'},
  configInvalid: {code: 30, meaning: 'The configuration is invalid.'},
  configNotFound: {
    code: 31,
    meaning: 'The configuration file, or the profile in the cluster that it names, cannot be read.',
  },
  configUnsupported: {code: 32, meaning: 'The configuration asks for something that this version does not do.'},
  kubeconfig: {code: 33, meaning: 'The kubeconfig is missing, malformed or has no such context.'},
  clusterUnreachable: {code: 40, meaning: 'The cluster cannot be reached.'},
  unauthorized: {code: 41, meaning: 'The cluster refused the credentials.'},
  forbidden: {code: 42, meaning: 'The credentials lack a permission.'},
  targetNotFound: {code: 43, meaning: 'The target, its namespace or its container does not exist.'},
  targetNotReady: {code: 44, meaning: 'The target exists but is not ready.'},
  agentImage: {code: 50, meaning: 'The agent image cannot be pulled or started.'},
  agentScheduling: {code: 51, meaning: 'The agent was not scheduled or not ready in time.'},
  agentDirty: {
    code: 52,
    meaning: 'The target carries redirect rules of another agent, or another session has the port.',
  },
  agentLost: {
    code: 53,
    meaning: 'The connection to the agent was lost during the run, or the target did not take what was written.',
  },
  agentRefused: {
    code: 54,
    meaning:
      'The cluster does not admit the agent: a policy, or something that the section `agent` names is not there.',
  },
  agentQuota: {code: 55, meaning: 'A quota or a limit range of the namespace does not admit the agent.'},
  agentEnded: {code: 56, meaning: 'The agent ended before it was ready; its last lines are shown.'},
  operator: {code: 60, meaning: 'The operator is required but missing, or it or its policies refused.'},
  apiKey: {code: 61, meaning: 'The CI API key is malformed or refused.'},
  programDied: {code: 70, meaning: 'The program ended before it was ready.'},
  programNotReady: {code: 71, meaning: 'The program was not ready in time.'},
  programNotFound: {code: 72, meaning: 'The program was not found or is not executable.'},
  portInUse: {code: 73, meaning: 'A port that the program needs is in use.'},
  programCrashed: {
    code: 74,
    meaning:
      'The program or its session died during the run (reported by `ci stop`), or its session was killed before.',
  },
  sessionNotFound: {code: 75, meaning: 'The job has no session, or none of this name.'},
  programRunning: {code: 76, meaning: 'The program had not ended in time (`ci wait --for exit`).'},
  sessionStopped: {code: 77, meaning: 'The session was stopped while it was waited for (`ci wait`).'},
  interceptionUnavailable: {code: 80, meaning: 'This machine cannot intercept system calls.'},
  permission: {code: 81, meaning: 'A permission, or room on a disk, is missing on this machine.'},
  download: {code: 90, meaning: 'A download failed.', later: 'install and update'},
  checksum: {code: 91, meaning: 'A download does not match its checksum.', later: 'install and update'},
  notUpdatable: {code: 92, meaning: 'This installation cannot be updated here.', later: 'install and update'},
  hungUp: {code: 129, meaning: 'The command was cancelled by SIGHUP before it was done.'},
  interrupted: {code: 130, meaning: 'The command was cancelled by SIGINT before it was done.'},
  quit: {code: 131, meaning: 'The command was cancelled by SIGQUIT before it was done.'},
  terminated: {code: 143, meaning: 'The command was cancelled by SIGTERM before it was done, or a start by `ci stop`.'},
} as const satisfies Record<string, ExitCode>

/** The name of a row of the exit-code table. */
export type ExitCodeName = keyof typeof exitCodes

/** The row of a command that a signal cancelled: 128 and its number, as shells say it. */
export function cancelledBy(signal: NodeJS.Signals | undefined): ExitCodeName {
  if (signal === 'SIGINT') return 'interrupted'
  if (signal === 'SIGHUP') return 'hungUp'
  return signal === 'SIGQUIT' ? 'quit' : 'terminated'
}
