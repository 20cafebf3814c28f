import {
  containerName,
  findContainer,
  labelOf,
  mountPoints,
  ownVariables,
  programOf,
  readImage,
  removeContainers,
  runWords,
  lastValue,
  type Client,
  type ImageConfig,
  type RunLine,
} from '../container/index.ts'
import path from 'node:path'
import type {PathContext} from '../proxy/files/default-paths.ts'
import {composeEnvironment, type EnvironmentRules} from '../proxy/environment.ts'
import type {ContainerLaunch} from '../trap/trap.ts'
import type {Place} from './data-plane.ts'
import type {Log} from './log.ts'
import type {Step} from './progress.ts'
import type {SessionSpec} from './spec.ts'

/** A program that runs in a container: what its run line and its image say. */
export interface ContainerProgram {
  line: RunLine
  image: ImageConfig
  /** The program's own words, in the container. */
  argv: string[]
  client: Client
  label: string
  /** Variables that the run line sets. */
  ownVariables: Set<string>
  place: Place
}

/** Reads the image of a container, which may have to be pulled first. Errors: MirrordError of `readImage` and `ownVariables`. */
export async function prepareContainer(
  spec: SessionSpec,
  line: RunLine,
  signal: AbortSignal,
): Promise<Step<ContainerProgram>> {
  const {program, environment, id} = spec
  const client = {file: program.path, cwd: program.cwd, env: composeEnvironment(environment, [], {})}
  const image = await readImage(client, line, signal)
  signal.throwIfAborted()
  const argv = programOf(line, image)
  const value: ContainerProgram = {
    line,
    image,
    argv,
    client,
    label: labelOf(id),
    ownVariables: ownVariables(line, program.cwd),
    place: isRoot(line, image) ? 'container' : 'container-user',
  }
  return {value, text: `Image ${line.image} of ${line.runtime}, whose program is ${argv[0]}`}
}

/** How the trap gets into the container. `directory` is the session's, of which the container sees all. */
export function containerLaunch(
  {line, client, label}: ContainerProgram,
  {trapPath, directory, log}: {trapPath: string; directory: string; log: Log},
): ContainerLaunch {
  const socket = path.join(directory, 't.sock')
  return {
    file: client.file,
    args: runWords(line, {trap: trapPath, directory, socket, label}),
    env: client.env ?? {},
    cwd: client.cwd,
    socket,
    remove: async () => {
      const problem = await removeContainers(client, label)
      if (problem) log(`container: it could not be removed: ${problem}`)
    },
  }
}

/** What the target and the configuration change in the container's environment, for the trap. */
export function environmentChanges(
  {ownVariables: own}: ContainerProgram,
  remote: Iterable<readonly [string, string]>,
  rules: EnvironmentRules,
): string[] {
  const set = Object.entries(composeEnvironment({}, remote, rules)).filter(([name]) => !own.has(name))
  return [...set.map(([name, value]) => `${name}=${value}`), ...(rules.unset ?? [])]
}

/** What the default path rules are built from, of a program in a container. */
export function containerPaths({line, image, argv}: ContainerProgram): PathContext {
  const [program = ''] = argv
  return {
    home: image.environment.HOME ?? (isRoot(line, image) ? '/root' : undefined),
    cwd: lastValue(line, 'workdir') ?? (image.workdir || '/'),
    temporary: '/tmp',
    // A name is found by the trap, which takes each process's executable for local anyway.
    executable: program.startsWith('/') ? program : '/.mirrord-trap',
    mounts: mountPoints(line),
  }
}

/** Whether the program is the container's root, who in a rootless runtime is this user. */
function isRoot(line: RunLine, image: ImageConfig): boolean {
  const user = lastValue(line, 'user') ?? image.user
  return ['', '0', 'root'].includes(user.split(':')[0]!)
}

/** How a container is shown: its name, and the first of its id as the runtimes show it. */
export async function describeContainer({line, client, label}: ContainerProgram): Promise<string> {
  const found = await findContainer(client, label)
  return `${line.runtime} container ${found ? `${found.name} (${found.id.slice(0, 12)})` : containerName(line)}`
}
