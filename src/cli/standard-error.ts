import {writeSync} from 'node:fs'
import {isatty} from 'node:tty'

/**
 * Standard error for what is printed while a foreground program may hold the same pipe: Node's own stream makes a pipe
 * non-blocking for everybody who has it, and writes of the program would then fail with EAGAIN. (A terminal is opened
 * anew by Node, and stays as it is.)
 */
export function standardError(): NodeJS.WriteStream {
  return isatty(2) ? process.stderr : ({isTTY: false, write} as unknown as NodeJS.WriteStream)
}

/** That nobody reads is no reason to end: what goes on behind the message matters more. */
function write(text: string): boolean {
  let rest = Buffer.from(text)
  while (rest.length > 0) {
    try {
      rest = rest.subarray(writeSync(2, rest))
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') return false
      // Somebody else made it non-blocking: the message waits for its reader, as it would have without that.
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5)
    }
  }
  return true
}
