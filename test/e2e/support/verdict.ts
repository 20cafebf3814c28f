import {exitCodes, type ExitCodeName} from '../../../src/errors/exit-codes.ts'
import type {Result, Running} from './mirrord.ts'

/** One command of an interleaving, in the order of what was seen. */
export interface Command {
  kind: 'start' | 'stop' | 'status' | 'wait'
  args: string[]
  running: Running
  began: number
  ended?: number
  result?: Result
  /** The signals that the test sent to it. */
  signals: NodeJS.Signals[]
}

/**
 * The commands whose exit cannot come of what was done, or that met a defect. `crashes`: a process of a session was killed, or
 * a program ended with an error.
 */
export function wrongExits(commands: readonly Command[], crashes: boolean): string[] {
  return commands.flatMap((command) => {
    const {kind, began, signals, result} = command
    const {code, signal, stderr} = result!
    const wrong = (text: string) => `${kind} of ${began}: ${text}`
    const trace = /^\s+at .+[:(]\d+:\d+|node:internal/m.test(stderr) ? [wrong('a stack trace')] : []
    if (signal !== null) return signals.includes(signal) ? trace : [...trace, wrong(`ended by ${signal}`)]
    if (kind === 'wait' && code !== 1 && code !== 2) return trace // may be the program's own
    const row = Object.entries(exitCodes).find(([, {code: number}]) => number === code)?.[0] as ExitCodeName | undefined
    if (row && allowed(command, commands, crashes).includes(row)) return trace
    return [...trace, wrong(`exit ${code} (${row ?? 'not of the table'})`)]
  })
}

function allowed({kind, args, signals}: Command, all: readonly Command[], crashes: boolean): ExitCodeName[] {
  const cancelled: ExitCodeName[] = [
    ...(signals.includes('SIGINT') ? (['interrupted'] as const) : []),
    ...(signals.includes('SIGTERM') ? (['terminated'] as const) : []),
  ]
  // Of two sessions on one pod the second is refused, or its program's listen(2) is: it ends, which may be after its start.
  const rivals = haveRivals(all, kind === 'start' ? args : undefined)
  // What a start failed with is told to a stop that came at the same time, too.
  const failed: ExitCodeName[] = ['programDied', 'programNotReady', ...(rivals ? (['agentDirty'] as const) : [])]
  const crashed: ExitCodeName[] = crashes || rivals ? ['programCrashed'] : []
  if (kind === 'start') {
    const named: ExitCodeName[] = args.includes('--name') ? ['usage'] : []
    const stopped: ExitCodeName[] = all.some((other) => other.kind === 'stop') ? ['terminated'] : []
    return ['success', ...failed, ...crashed, ...named, ...stopped, ...cancelled]
  }
  const byName: ExitCodeName[] = args[0] === undefined || args[0].startsWith('--') ? [] : ['sessionNotFound']
  if (kind === 'stop') return ['success', ...failed, ...crashed, ...byName, ...cancelled]
  return ['success']
}

/** Whether two starts had the same pod; with `args` whether that start was one of them. */
function haveRivals(commands: readonly Command[], args?: readonly string[]): boolean {
  const pods = commands.flatMap((other) => (other.kind === 'start' ? [other.args[1]!] : []))
  const shared = (pod: string) => pod !== 'targetless' && pods.filter((other) => other === pod).length > 1
  return args ? shared(args[1]!) : pods.some(shared)
}

/**
 * What a start called started is known to every later command until a stop has told of its end, and to the job's report,
 * which has the output folders of `reported`.
 */
export function lostSessions(commands: readonly Command[], reported: readonly string[]): string[] {
  const folderOf = ({stdout}: Result) => /^Output: +(\S+)\/\{stdout,stderr\}$/m.exec(stdout)?.[1]
  const stops = commands.filter(({kind}) => kind === 'stop')
  const started = commands.filter(({kind, result}) => kind === 'start' && result!.code === 0)
  return started.flatMap(({ended, result}) => {
    const folder = folderOf(result!)!
    const knows = (other: Command) => other.result!.stdout.includes(folder)
    const looks = commands.filter(
      ({kind, began, ended: over}) => kind === 'status' && began > ended! && !stops.some((stop) => stop.began < over!),
    )
    const unknown = looks.filter((look) => !knows(look)).map(({began}) => `${folder}: the status of ${began} lacks it`)
    // A stop that was killed may have ended it and not said so.
    if (stops.some(({result}) => result!.signal !== null)) return unknown
    return [
      ...unknown,
      ...(stops.some(knows) ? [] : [`${folder}: no stop has told of it`]),
      ...(reported.includes(folder) ? [] : [`${folder}: the report lacks it`]),
    ]
  })
}
