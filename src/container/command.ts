import {readFileSync} from 'node:fs'
import path from 'node:path'
import {lastValue, usage, type RunLine} from './run-line.ts'

/** Where the trap is in the container. */
export const TRAP_PATH = '/.mirrord-trap'

/** What a container needs of ours. */
export interface Additions {
  /** The static trap here. */
  trap: string
  /** Directory of the session that the container sees at the same path. */
  directory: string
  /** The session's socket, below it. */
  socket: string
  label: string
}

/** Flags that are given anew, or have done their duty. */
const replaced = ['detach', 'entrypoint', 'network', 'net', 'publish', 'publish-all', 'pull', 'rm']

/**
 * The words after the runtime's name that start the container with the trap as its entrypoint. The program's own words, the
 * environment of the target and everything else travel over the socket.
 */
export function runWords(line: RunLine, {trap, directory, socket, label}: Additions): string[] {
  const own = line.flags.filter(({name}) => !replaced.includes(name))
  return [
    'run',
    ...own.map(({name, value}) => `--${name}=${value}`),
    '--rm',
    '--network=host',
    `--label=${label}`,
    `--mount=${bind(trap, TRAP_PATH)},readonly`,
    `--mount=${bind(directory, directory)}`,
    `--entrypoint=${TRAP_PATH}`,
    line.image,
    '--connect',
    socket,
  ]
}

/** A line of CSV (docker's --mount): a field with a comma is quoted. */
function bind(source: string, target: string): string {
  const quoted = (text: string) => (/[,"]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text)
  return ['type=bind', quoted(`source=${source}`), quoted(`target=${target}`)].join(',')
}

/**
 * The names of the variables that the run line itself sets: they win over the target's. Errors: MirrordError CONTAINER_LINE
 * (exit 2) for a file that cannot be read.
 */
export function ownVariables(line: RunLine, cwd: string): Set<string> {
  const names = new Set<string>()
  for (const {name, value} of line.flags) {
    if (name === 'env') names.add(value.split('=')[0]!)
    if (name === 'env-file') for (const variable of namesInFile(path.resolve(cwd, value))) names.add(variable)
  }
  return names
}

function namesInFile(file: string): string[] {
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch (error) {
    throw usage(
      'CONTAINER_LINE',
      `The file of --env-file cannot be read: ${file}.`,
      ['Check its path.'],
      (error as Error).message,
    )
  }
  return text
    .split('\n')
    .map((entry) => entry.trim())
    .filter((entry) => entry !== '' && !entry.startsWith('#'))
    .map((entry) => entry.split('=')[0]!)
}

/** A name for the session: the container's, else that of the image without registry and tag. */
export function containerName(line: RunLine): string {
  const image = line.image.split('@')[0]!.replace(/:[^/:]*$/, '')
  return lastValue(line, 'name') ?? (path.basename(image) || 'container')
}
