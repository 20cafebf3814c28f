import type {Backend} from './redirect/backend.ts'
import type {Family} from './redirect/rules.ts'

/** What the guard tells the worker about the container it serves; travels in the variable that selects the worker role. */
export interface WorkerStart {
  /** The target's main process in our PID namespace; undefined when the agent has no target. */
  targetPid?: number
  /** Names the chains; empty where there is no id. */
  containerId: string
  /** Tells the agent's chains from those of another agent of the container; 24 bits. */
  mark: number
}

/** Variable whose presence selects the worker role (agent.md 3.2). Its value is a WorkerStart as JSON. */
export const workerVariable = 'MIRRORD_AGENT_CHILD_PROCESS'

/** Guard to worker. `client` comes with an accepted socket. */
export type ToWorker = {type: 'client'} | {type: 'stop'}

/** One family's table, as data. */
export interface TableName {
  family: Family
  backend: Backend
}

/** Worker to guard. */
export type ToGuard =
  /** Everything but accepting clients is set up. */
  | {type: 'ready'}
  /** Rules of this agent may exist in these tables from now on; an empty list: they are gone again. */
  | {type: 'rules'; tables: readonly TableName[]}
  /** `received` sockets came so far, `open` of them are still connected, `served` have sent something and left. */
  | {type: 'clients'; received: number; open: number; served: number}

/** Exit code of a worker that found the rules of another agent (agent.md 2.12). */
export const DIRTY_EXIT = 99
