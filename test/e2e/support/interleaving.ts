import path from 'node:path'
import fc from 'fast-check'
import {python} from './programs.ts'

/** When a step begins: when every command so far has ended, at once, or at the next event of this kind after the step before it. */
export type Moment = 'ended' | 'at once' | `log ${string}` | `file ${string}` | `process ${string}`

/** What a step does. Its numbers pick among what there is at that moment. */
export type Action =
  | {do: 'start'; program: keyof typeof programs; target: number; name?: string; wait: boolean; copies: number}
  | {do: 'stop'; name?: string; grace: number; fresh: boolean; copies: number}
  | {do: 'cancel'; command: 'start' | 'stop'; signal: 'SIGTERM' | 'SIGINT' | 'SIGKILL'}
  | {do: 'kill'; victim: 'session' | 'trap' | 'program'; pick: number}
  | {do: 'status'}
  | {do: 'wait'; name?: string; goal: 'ready' | 'exit'}

export interface Step {
  when: Moment
  action: Action
}

const folder = path.join(import.meta.dirname, '../programs')
const script = (name: string) => (port: number) => ({words: [python, path.join(folder, name), `${port}`, 'local']})

interface Program {
  flags?: string[]
  words: string[]
}

/** The programs, each on a port of the pod. */
export const programs = {
  server: script('server.py'),
  copied: (port) => ({flags: ['--log-max', '1M'], ...script('server.py')(port)}),
  stubborn: script('stubborn.py'),
  daemon: script('daemon.py'),
  brief: () => ({words: ['sh', '-c', 'exit 0']}),
  crash: () => ({words: ['sh', '-c', 'exit 3']}),
  worker: () => ({flags: ['--ready', 'started'], words: ['sleep', '1000']}),
  silent: () => ({flags: ['--ready-timeout', '1'], words: ['sleep', '1000']}),
} satisfies Record<string, (port: number) => Program>

/** A second session on a pod that has another one's redirect rules is refused: parallel ones have targets of their own. */
export const targets = ['deployment/echo', 'deployment/info', 'targetless'] as const

/** The log's lines at which something has just been made, or is about to be undone. */
const lines = [
  'machine: ',
  'target: ',
  'agent: job ',
  'agent: connected ',
  'environment: ',
  'program: ',
  'incoming: port ',
  'ready: ',
  'end: ',
  'end: program ',
  'end: subscriptions ',
  'end: agent ',
]
const moment = fc.oneof(
  {weight: 5, arbitrary: fc.constant<Moment>('ended')},
  {weight: 3, arbitrary: fc.constant<Moment>('at once')},
  {weight: 5, arbitrary: fc.constantFrom(...lines).map((line): Moment => `log ${line}`)},
  {weight: 2, arbitrary: fc.constantFrom<Moment>('file name.json', 'file session.json', 'file control.sock')},
  {weight: 2, arbitrary: fc.constantFrom<Moment>('process mirrord-session', 'process mirrord-trap')},
)

const name = fc.option(fc.constantFrom('a', 'b'), {nil: undefined, freq: 1})
const copies = fc.constantFrom(1, 1, 1, 2, 3)
const start: fc.Arbitrary<Action> = fc.record({
  do: fc.constant('start'),
  program: fc.constantFrom<keyof typeof programs>(
    ...(['server', 'server', 'copied', 'stubborn', 'daemon', 'brief', 'crash', 'worker', 'silent'] as const),
  ),
  target: fc.constantFrom(0, 0, 1, 2),
  name,
  wait: fc.constantFrom(true, true, false),
  copies,
})
const stop: fc.Arbitrary<Action> = fc.record({
  do: fc.constant('stop'),
  name: fc.option(fc.constantFrom('a', 'b', 'python3', 'sleep'), {nil: undefined, freq: 1}),
  grace: fc.constantFrom(0, 1),
  fresh: fc.boolean(),
  copies: fc.constantFrom(1, 1, 2),
})
const cancel: fc.Arbitrary<Action> = fc.record({
  do: fc.constant('cancel'),
  command: fc.constantFrom('start', 'start', 'stop'),
  signal: fc.constantFrom('SIGTERM', 'SIGINT', 'SIGKILL'),
})
const kill: fc.Arbitrary<Action> = fc.record({
  do: fc.constant('kill'),
  victim: fc.constantFrom('session', 'trap', 'program'),
  pick: fc.nat(10),
})
const status: fc.Arbitrary<Action> = fc.record({do: fc.constant('status')})
const wait: fc.Arbitrary<Action> = fc.record({
  do: fc.constant('wait'),
  name,
  goal: fc.constantFrom('ready', 'exit'),
})

const action = fc.oneof(
  {weight: 5, arbitrary: start},
  {weight: 5, arbitrary: stop},
  {weight: 4, arbitrary: cancel},
  {weight: 3, arbitrary: kill},
  {weight: 1, arbitrary: status},
  {weight: 1, arbitrary: wait},
)
const steps = fc
  .tuple(start, fc.array(fc.record({when: moment, action}), {minLength: 2, maxLength: 5}))
  .map(([first, others]): Step[] => [{when: 'at once', action: first}, ...others])

/** The steps of a seed, always the same. */
export const stepsOf = (seed: number): Step[] => fc.sample(steps, {seed, numRuns: 1})[0]!

/** One step in words. */
export function describe({when, action}: Step): string {
  const {do: verb, ...rest} = action
  const words = Object.entries(rest).flatMap(([key, value]) => (value === undefined ? [] : `${key}=${String(value)}`))
  return `[${when}] ${verb} ${words.join(' ')}`
}
