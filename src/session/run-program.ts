import {constants} from 'node:os'
import {
  startTrap,
  type ConnectAnswer,
  type ConnectRequest,
  type FileOptions,
  type Listener,
  type Trap,
} from '../trap/trap.ts'
import {skipNames} from '../config/index.ts'
import {compilePatterns} from '../patterns/index.ts'
import {SubscriptionRefused} from '../proxy/errno.ts'
import {containerLaunch, type ContainerProgram} from './container-program.ts'
import type {DataPlane} from './data-plane.ts'
import {startFailure} from './failures.ts'
import type {Log} from './log.ts'
import {watchPorts} from './ports.ts'
import {openOutput, type Output} from './output.ts'
import type {SessionSpec} from './spec.ts'

/** What the program gets from the target. */
export interface Prepared {
  environment: Record<string, string>
  /** Changes of the container's environment; `environment` is unused then. */
  changes?: string[]
  /** Files of the target that it sees instead of local ones. */
  overlays: {path: string; source: string}[]
  /** Remote files; undefined when all files are local. */
  files?: FileOptions
  /** The target's host name; undefined for this machine's. */
  hostname?: string
  /** It runs in a container. */
  container?: ContainerProgram
}

/** Told about the program's listeners. */
export interface ProgramEvents {
  /** The program listens; `stolen`: the traffic of this port of the pod arrives at it. */
  opened(listener: Listener, stolen?: number): void
  closed(id: number): void
  /** There is no traffic of a port; with interception the program's listen(2) fails. */
  refused(port: number, error: unknown): void
  /** Job control: the program has stopped, or goes on. */
  stopped(): void
  continued(): void
  /** What it writes has nowhere to go any more. */
  outputBroken(reason: string): void
  /** The program's connection to the cluster failed. */
  unreachable(address: string, errno: number): void
  log: Log
}

/**
 * Starts the program below the trap and connects it with the data plane. `close` ends what watches it; the trap is the
 * caller's. Errors: MirrordError of `startFailure`.
 */
export async function runProgram(
  spec: SessionSpec,
  dataPlane: DataPlane,
  {environment, changes, overlays, files, hostname, container}: Prepared,
  events: ProgramEvents,
): Promise<{trap: Trap; output: Output; close(): void}> {
  const {program, foreground, outputDirectory, intercept, trapPath, config} = spec
  const {incoming, outgoing} = config.feature.network
  const stealing = incoming.mode === 'steal'
  const listen = async (listener: Listener): Promise<{errno?: number}> => {
    const {port} = listener.asked.port === 0 ? listener.actual : listener.asked
    if (!stealing || (incoming.ports && !incoming.ports.includes(port))) {
      events.opened(listener)
      return {}
    }
    try {
      await dataPlane.incoming.listen({id: listener.id, port, actual: listener.actual})
      events.log(`incoming: port ${port} of the pod goes to ${listener.actual.address}:${listener.actual.port}`)
      events.opened(listener, port)
      return {}
    } catch (error) {
      events.log(`incoming: port ${port} could not be stolen: ${(error as Error).message}`)
      events.refused(port, error)
      return {errno: error instanceof SubscriptionRefused ? error.errno : constants.errno.EACCES}
    }
  }
  const closed = (id: number) => {
    events.closed(id)
    dataPlane.incoming.close(id)
  }
  const connect = async (request: ConnectRequest): Promise<ConnectAnswer> => {
    const answer = await (request.protocol === 'tcp' ? dataPlane.tcp : dataPlane.udp).connect(request)
    const tell = (result: object) => {
      const {address, port} = request.remote
      if ('errno' in result) events.unreachable(`${address}:${port}`, Number(result.errno))
    }
    tell(answer)
    if ('later' in answer) void answer.later?.then(tell)
    return answer
  }
  const output = await openOutput({
    directory: outputDirectory,
    tee: foreground,
    max: config.ci.log_max,
    trapPath,
    log: events.log,
    broken: (reason) => events.outputBroken(reason),
  })
  try {
    const trap = await startTrap(
      {
        trapPath,
        container: container && containerLaunch(container, {trapPath, directory: dataPlane.directory, log: events.log}),
        program: container ? container.argv[0]! : program.path,
        argv: container ? container.argv : program.argv,
        cwd: container ? '' : program.cwd,
        env: environment,
        environment: changes,
        stdio: {stdin: foreground ? 0 : 'ignore', stdout: output.stdout, stderr: output.stderr},
        newSession: !foreground,
        intercept,
        incoming: stealing,
        outgoing,
        overlays,
        local: dataPlane.local,
        files,
        hostname,
        skip: skipNames(config),
        unixStreams: unixStreams(outgoing.unix_streams),
      },
      {
        connect,
        listen,
        listenerClosed: closed,
        file: dataPlane.files && ((request) => dataPlane.files!.answer(request)),
        connectUnix: (request) => dataPlane.unix.connect(request),
        fileClosed: (object, opens) => void dataPlane.files?.closed(object, opens),
        stopped: () => events.stopped(),
        continued: () => events.continued(),
        warning: (text) => events.log(`trap: ${text}`),
      },
    )
    if (intercept) return {trap, output, close: () => {}}
    const watch = watchPorts(trap.pid, {listen: async (listener) => void (await listen(listener)), closed})
    return {trap, output, close: () => watch.close()}
  } catch (error) {
    output.release()
    await output.finish(AbortSignal.abort())
    throw startFailure(error, spec)
  } finally {
    output.release()
  }
}

/** The automaton of the unix socket paths that are connected in the target; undefined when there are none. */
const unixStreams = (patterns: readonly string[] = []) =>
  patterns.length > 0 ? compilePatterns(patterns.map((pattern) => ({pattern, label: 1}))) : undefined
