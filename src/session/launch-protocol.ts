import type {ErrorReport} from '../errors/mirrord-error.ts'
import type {SessionSpec} from './spec.ts'

/** The steps of a start, in order, as the user sees them. */
export type Phase = 'profile' | 'image' | 'target' | 'agent' | 'environment' | 'program' | 'ready'

/** What a start tells its user at the end. */
export interface ReadySummary {
  /** The session's name for the other commands. */
  name: string
  /** In a container: its number there. */
  programPid: number
  /** The container that the program runs in, for people. */
  inContainer?: string
  /** `pod/NAME` or `none`. */
  pod: string
  container?: string
  incoming: 'steal' | 'off'
  /** The ports of the pod whose traffic now goes to the program. */
  ports: number[]
  outputDirectory?: string
}

/** Launcher to session, over the private pipe. The end of the pipe before `ready` aborts the start. */
export type LaunchRequest = {type: 'launch'; spec: SessionSpec} | {type: 'signal'; signal: NodeJS.Signals}

/** Session to launcher, over the private pipe. */
export type LaunchEvent =
  | {type: 'phase'; phase: Phase; text: string; ms: number}
  /** What is being waited for now. */
  | {type: 'waiting'; text: string}
  | {type: 'warning'; text: string}
  | {type: 'ready'; summary: ReadySummary}
  | {type: 'failed'; report: ErrorReport}
  /** Foreground: the program has ended and everything is cleaned up. */
  | {type: 'exited'; code?: number; signal?: NodeJS.Signals}

/** The launch pipe's descriptor in the session process. */
export const LAUNCH_FD = 3
