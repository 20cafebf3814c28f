import {closeSync, openSync, rmSync} from 'node:fs'
import path from 'node:path'
import {startTrap, type ProgramExit, type Trap} from '../../trap/trap.ts'
import {tailOf} from '../../util/tail.ts'
import {within} from '../../util/time.ts'
import type {Listeners} from './listeners.ts'
import type {Probe} from './probe.ts'
import {repeat, type Attempt} from './repeat.ts'

/** One run of the command, in milliseconds. */
const ATTEMPT_MS = 10_000
/** Lines of a failed run's output that are told. */
const TOLD_LINES = 3

/** Where and with what a command runs. */
export interface ExecPlace {
  trapPath: string
  cwd: string
  /** The program's environment. */
  environment: Record<string, string>
  /** A private folder for the output of the command. */
  directory: string
}

/**
 * A shell command succeeds. It runs below a trap of its own that intercepts nothing: the trap ends everything that the
 * command started, when its time is up, when the session ends, and also when the session is killed. `MIRRORD_PORT_<port>`
 * is the local port at which a port of the program is.
 */
export function execProbe(command: string, place: ExecPlace, listeners: Listeners): Probe {
  const label = `the command ${JSON.stringify(command)} to succeed`
  return {
    label,
    hints: [
      'Run the command by hand; it gets the environment of the program and runs on this machine, not in the pod.',
    ],
    wait: (signal, tell) => repeat(() => run(command, place, listeners, signal), listeners, signal, tell),
  }
}

async function run(command: string, place: ExecPlace, listeners: Listeners, signal: AbortSignal): Promise<Attempt> {
  const output = path.join(place.directory, `ready-${process.hrtime.bigint()}`)
  const fd = openSync(output, 'a', 0o600)
  try {
    const trap = await start(command, place, listeners, fd)
    const exit = await ended(trap, signal)
    if (exit?.code === 0) return {ready: `the command ${JSON.stringify(command)} succeeded`}
    const how = exit ? describe(exit) : `it was ended after ${ATTEMPT_MS / 1000} s`
    const said = tailOf(output, TOLD_LINES).split('\n').join(' | ')
    return {failure: said ? `${how}: ${said}` : how}
  } catch (error) {
    return {failure: `it could not be started: ${(error as Error).message}`}
  } finally {
    closeSync(fd)
    rmSync(output, {force: true})
  }
}

function start(command: string, place: ExecPlace, listeners: Listeners, output: number): Promise<Trap> {
  const ports = listeners.ports.map((port) => [`MIRRORD_PORT_${port}`, String(listeners.at(port)[0]?.port)] as const)
  return startTrap(
    {
      trapPath: place.trapPath,
      program: '/bin/sh',
      argv: ['sh', '-c', command],
      cwd: place.cwd,
      env: {...place.environment, ...Object.fromEntries(ports)},
      stdio: {stdin: 'ignore', stdout: output, stderr: output},
      newSession: true,
      intercept: false,
      incoming: false,
      outgoing: {tcp: false, udp: false},
      overlays: [],
      local: [],
    },
    {
      connect: async () => ({direct: true}),
      listen: async () => ({}),
      listenerClosed: () => {},
      warning: () => {},
    },
  )
}

/** How the command ended; undefined when its time was up. Nothing that it started is left. */
async function ended(trap: Trap, signal: AbortSignal): Promise<ProgramExit | undefined> {
  const kill = () => trap.killTree()
  signal.addEventListener('abort', kill)
  if (signal.aborted) kill()
  try {
    return await within(ATTEMPT_MS, trap.exited)
  } finally {
    signal.removeEventListener('abort', kill)
    kill()
    await trap.ended
  }
}

function describe({code, signal}: ProgramExit): string {
  return signal ? `it was ended by ${signal}` : `it exited with status ${code ?? 'unknown'}`
}
