import path from 'node:path'
import {MirrordError} from '../errors/mirrord-error.ts'
import {runtimes, type RuntimeName} from './names.ts'
import {letters, options, switches} from './run-flags.ts'

/** One flag of a run line: by its long name; a switch has the value `true` or `false`. */
export interface RunFlag {
  name: string
  value: string
}

/** `docker|podman|nerdctl run [FLAGS] IMAGE [COMMAND...]`, taken apart. */
export interface RunLine {
  runtime: RuntimeName
  /** The runtime as typed: a name or a path. */
  word: string
  /** In their order. */
  flags: readonly RunFlag[]
  image: string
  /** What follows the image; empty: the image's own command. */
  command: readonly string[]
}

/**
 * Takes the words after our own flags apart.
 * Errors: MirrordError CONTAINER_RUNTIME (another word or runtime than those known) or CONTAINER_LINE (exit 2).
 */
export function parseRunLine(words: readonly string[]): RunLine {
  const [word = '', verb, ...rest] = words
  const runtime = runtimes.find((name) => name === path.basename(word))
  if (!runtime)
    throw usage('CONTAINER_RUNTIME', `"${word}" is no container runtime that mirrord knows.`, [
      'Write docker, podman or nerdctl, then run, its flags, the image and the command.',
      'A program that is no container: mirrord ci start.',
    ])
  if (verb !== 'run')
    throw usage(
      'CONTAINER_RUNTIME',
      `${word} ${verb ?? ''}`.trim() + ' starts no container.',
      [`Write ${word} run, its flags, the image and the command.`],
      'Only `run` is known, directly after the runtime. A context or host goes into the environment: DOCKER_CONTEXT, DOCKER_HOST, CONTAINER_HOST.',
    )
  const flags: RunFlag[] = []
  let index = 0
  for (; index < rest.length; index++) {
    const part = rest[index]!
    if (part === '--') {
      index++
      break
    }
    if (part === '-' || !part.startsWith('-')) break
    const next = () => {
      if (rest[index + 1] === undefined)
        throw usage('CONTAINER_LINE', `${part} has no value.`, [`Write ${part}=VALUE.`])
      return rest[++index]!
    }
    flags.push(...(part.startsWith('--') ? longFlag(part, word, next) : shortFlags(part, word, next)))
  }
  const [image, ...command] = rest.slice(index)
  if (image === undefined || image === '')
    throw usage('CONTAINER_LINE', `${word} run has no image.`, [`Write ${word} run [FLAGS] IMAGE [COMMAND].`])
  return {runtime, word, flags, image, command}
}

/** The last value of a flag: what counts where a flag has one. */
export const lastValue = (line: RunLine, ...names: readonly string[]): string | undefined =>
  line.flags.findLast(({name}) => names.includes(name))?.value

/** Whether a switch is on. */
export const isOn = (line: RunLine, name: string): boolean =>
  ['true', '1', 't', 'T', 'TRUE', 'True'].includes(lastValue(line, name) ?? '')

function longFlag(part: string, word: string, next: () => string): RunFlag[] {
  const [, name = '', value] = /^--([^=]*)(?:=([^]*))?$/.exec(part)!
  if (value !== undefined) return [{name, value}]
  if (switches.has(name)) return [{name, value: 'true'}]
  if (options.has(name)) return [{name, value: next()}]
  throw usage(
    'CONTAINER_LINE',
    `The flag --${name} of ${word} run is not known to mirrord.`,
    [`Write it as --${name}=VALUE, or --${name}=true if it has none.`],
    'It has to know where the flags end and the image begins.',
  )
}

/** `-it`, `-eNAME=VALUE`, `-p 80:80`: switches in a row, the last one may have a value (pflag's rules). */
function shortFlags(part: string, word: string, next: () => string): RunFlag[] {
  const found: RunFlag[] = []
  for (let at = 1; at < part.length; at++) {
    const name = letters.get(part[at]!)
    if (name === undefined)
      throw usage('CONTAINER_LINE', `The flag -${part[at]} of ${word} run is not known to mirrord.`, [
        'Write its long name, as --NAME=VALUE.',
      ])
    const rest = part.slice(at + 1)
    if (switches.has(name) && !rest.startsWith('=')) found.push({name, value: 'true'})
    else return [...found, {name, value: rest === '' ? next() : rest.replace(/^=/, '')}]
  }
  return found
}

/** A wrong run line: exit 2. */
export function usage(code: string, what: string, next: readonly string[], why?: string): MirrordError {
  return new MirrordError({code, exit: 'usage', what, why, next})
}
