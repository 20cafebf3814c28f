import {spawn} from 'node:child_process'
import type {Duplex} from 'node:stream'
import {Connection} from './connection.ts'
import {startContainer} from './container.ts'
import {helloOf} from './hello.ts'
import {TrapError} from './trap-error.ts'
import type {ContainerLaunch, Trap, TrapHandlers, TrapOptions} from './types.ts'
import {encode} from './wire.ts'

export {TrapError, type TrapErrorReason} from './trap-error.ts'
export {probeTrap} from './probe.ts'
export type * from './types.ts'
export {pathClasses} from './types.ts'

/**
 * Starts mirrord-trap and, below it, the program. Resolves when the program has been exec'ed; from then on the handlers
 * answer for its whole tree.
 * @throws TrapError (see its reasons).
 */
export function startTrap(options: TrapOptions, handlers: TrapHandlers): Promise<Trap> {
  const hello = encode('hello', helloOf(options))
  return options.container
    ? startInContainer(options.container, hello, options, handlers)
    : startHere(hello, options, handlers)
}

async function startInContainer(
  launch: ContainerLaunch,
  hello: Buffer,
  options: TrapOptions,
  handlers: TrapHandlers,
): Promise<Trap> {
  let connection: Connection | undefined
  const {pid, socket, settle} = await startContainer(launch, options, (reason) => connection?.abandon(reason))
  try {
    return await new Promise((resolve, reject) => {
      connection = new Connection({pid, socket, settle}, options, handlers, resolve, reject)
      connection.begin(hello)
    })
  } catch (error) {
    socket.destroy()
    await settle() // nothing is left of what did not start
    throw error
  }
}

function startHere(hello: Buffer, options: TrapOptions, handlers: TrapHandlers): Promise<Trap> {
  const child = spawn(options.trapPath, [], {
    argv0: 'mirrord-trap',
    cwd: '/',
    env: options.env,
    // A SIGKILL to the session's process group must not take the trap along: it ends the tree.
    detached: options.newSession,
    stdio: [options.stdio.stdin, options.stdio.stdout, options.stdio.stderr, 'pipe'],
  })
  return new Promise((resolve, reject) => {
    const socket = child.stdio[3] as Duplex | undefined
    const settle = () => Promise.resolve()
    const connection = new Connection({pid: child.pid ?? 0, socket, settle}, options, handlers, resolve, reject)
    child.once('error', (cause) => {
      const errno = (cause as NodeJS.ErrnoException).errno
      connection.fail(
        new TrapError('unavailable', `${options.trapPath} cannot be run: ${cause.message}`, {
          unavailable: 'not-executable',
          errno: errno === undefined ? undefined : Math.abs(errno),
        }),
      )
    })
    if (child.pid !== undefined) connection.begin(hello)
  })
}
