import {exitCodes} from '../errors/exit-codes.ts'

/** True for a command that only shows something: without a reader it has nothing left to do. */
let reading = false
/** The report of a standard output that cannot be written, once it is shown. */
let lost: Promise<void> | undefined
const tolerated = new WeakSet<object>()

/**
 * Decides what becomes of a command whose standard output cannot be written. Without a reader (EPIPE) the command goes on:
 * what it does matters more, and its exit code still tells. Any other reason, a full disk, is an error of its own. Once a
 * process, after oclif is loaded, whose own listener throws.
 */
export function guardOutput(): void {
  process.stdout.removeAllListeners('error')
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') return reading ? process.exit(0) : undefined
    lost ??= showLost(error).then(() => (reading ? process.exit(exitCodes.permission.code) : undefined))
  })
}

/** Ends this process quietly and with success when whoever reads its output has seen enough (`| head`). */
export function endWithReader(): void {
  reading = true
  tolerate(process.stderr)
}

/** Lets a stream of messages fail without a word: there is nowhere left to say it, and the exit code tells the rest. */
export function tolerate(stream: NodeJS.WritableStream): void {
  // What stands for standard error in the foreground is no stream.
  if (tolerated.has(stream) || !('on' in stream)) return
  tolerated.add(stream)
  stream.on('error', () => {})
}

/** Waits until standard output has taken everything; the result is the exit code of what it could not take, else 0. */
export async function outputStatus(): Promise<number> {
  const {stdout} = process
  // Nothing is written where nothing waits: not a byte of ours is a program's that ran in the foreground (/dev/full refuses no bytes too).
  if (stdout.writableLength > 0) await new Promise<void>((resolve) => stdout.write('', () => resolve()))
  else await new Promise((resolve) => setImmediate(resolve)) // the error of a write comes a moment after it
  await lost
  return lost ? exitCodes.permission.code : 0
}

async function showLost(cause: NodeJS.ErrnoException): Promise<void> {
  const {showFailure} = await import('./failure.ts')
  const report = {
    code: 'OUTPUT',
    exit: 'permission',
    what: 'Standard output cannot be written.',
    why: cause.message,
    next: ['Check where the output of this command goes, and the room there.'],
  } as const
  showFailure(report, {stream: process.stderr, env: process.env, argv: []})
}
