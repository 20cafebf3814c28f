import {type ChildProcess, spawn} from 'node:child_process'
import {chmodSync, rmSync} from 'node:fs'
import net from 'node:net'
import {within} from '../util/time.ts'
import {TrapError} from './trap-error.ts'
import type {ContainerLaunch, TrapOptions} from './types.ts'

/** A container whose image is here starts in a second or two; a busy machine may take longer. */
const START_MS = 120_000
/** The client of a container that has ended says so after this time at the latest. */
const CLIENT_MS = 10_000
/** The trap's last words are read within this time of its container's end. */
const WORDS_MS = 2000

/** The client of a container runtime, and the socket to the trap in its container. */
export interface ContainerClient {
  pid: number
  socket: net.Socket
  /** Resolves when the client has ended, and with it the container's output, or was killed because it had not. */
  settle(): Promise<void>
}

/**
 * Runs the client of a container runtime, whose container runs `mirrord-trap --connect SOCKET`, and waits for the trap to
 * connect. `lost` is called when the client ends while the connection goes on.
 * @throws TrapError `container` when the client ends first, or nobody connects in time; nothing is left then.
 */
export async function startContainer(
  launch: ContainerLaunch,
  {stdio, newSession}: Pick<TrapOptions, 'stdio' | 'newSession'>,
  lost: (reason: string) => void,
): Promise<ContainerClient> {
  const connection = await listen(launch.socket)
  const child = spawn(launch.file, launch.args, {
    cwd: launch.cwd,
    env: launch.env,
    // As the trap itself: a SIGKILL to the session's process group must not take the container's output along.
    detached: newSession,
    stdio: [stdio.stdin, stdio.stdout, stdio.stderr],
  })
  const ended = endOf(child)
  let settling: Promise<void> | undefined
  const settle = () => (settling ??= end())
  const end = async () => {
    if (!(await within(CLIENT_MS, ended))) child.kill('SIGKILL')
    await launch.remove()
    await ended
  }
  try {
    const first = await within(launch.startMs ?? START_MS, Promise.race([connection.accepted, ended]))
    if (!(first instanceof net.Socket))
      throw new TrapError(
        'container',
        first === undefined
          ? `${launch.file} was started, but nothing connected from its container in time`
          : `${launch.file} ended before its container ran (${first})`,
      )
    // The other order is the usual one: the container's end closes the connection, and then ends the client.
    void ended.then((how) => setTimeout(() => lost(`the client of the container ended (${how})`), WORDS_MS).unref())
    return {pid: child.pid!, socket: first, settle}
  } catch (error) {
    child.kill('SIGKILL')
    await launch.remove()
    throw error
  } finally {
    connection.close()
  }
}

/** How a client ended, in words; never rejects. */
function endOf(child: ChildProcess): Promise<string> {
  return new Promise((resolve) => {
    child.once('error', (error) => resolve(error.message))
    child.once('exit', (code, signal) => resolve(signal ?? `status ${code}`))
  })
}

/** Takes one connection on a socket that any user may connect to: its directory is private here, and mounted in the container alone. */
async function listen(path: string): Promise<{accepted: Promise<net.Socket>; close(): void}> {
  const server = net.createServer()
  server.maxConnections = 1
  const accepted = new Promise<net.Socket>((resolve) => server.once('connection', resolve))
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(path, resolve)
  })
  chmodSync(path, 0o666)
  return {
    accepted,
    close: () => {
      server.close()
      rmSync(path, {force: true})
    },
  }
}
