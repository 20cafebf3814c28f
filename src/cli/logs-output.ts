import {once} from 'node:events'
import type {OutputLines} from '../session/logs.ts'
import {colorFor} from '../util/color.ts'

/** A time stamp's width: lines that were there before the following began have none. */
const NO_TIME = '-'.padEnd(new Date(0).toISOString().length)

/** Prints programs' output on stdout, byte for byte; waits for a slow reader. */
export function logPrinter(options: {names: boolean; timestamps: boolean}): (lines: OutputLines) => Promise<void> {
  const color = colorFor(process.stdout)
  // Not in CI logs either: there a stream's colour would be the only thing of ours in the program's output.
  const paint = process.stdout.isTTY === true
  return async ({name, stream, lines, arrived}) => {
    const time = options.timestamps ? `${arrived?.toISOString() ?? NO_TIME} ` : ''
    const from = options.names ? `${name} | ` : ''
    const before = Buffer.from(paint && from ? color.cyan(time + from) : time + from)
    const asIs = (text: Buffer) => text
    const stained = (text: Buffer) => Buffer.from(color.yellow(text.toString()))
    const body = paint && stream === 'stderr' ? stained : asIs
    const text = before.length === 0 && body === asIs ? lines : Buffer.concat([...decorated(lines, before, body)])
    if (!process.stdout.write(text)) await once(process.stdout, 'drain')
  }
}

function* decorated(lines: Buffer, before: Buffer, body: (text: Buffer) => Buffer): Generator<Buffer> {
  for (let start = 0; start < lines.length;) {
    const end = lines.indexOf(10, start)
    yield before
    yield body(lines.subarray(start, end))
    yield lines.subarray(end, end + 1)
    start = end + 1
  }
}
