import type {Duplex} from 'node:stream'

/** A line longer than this is not ours: the peer is broken. */
const MAX_LINE = 64 * 1024 * 1024

/** Writes values as one JSON text a line. A peer that has gone away is not an error of the writer. */
export function writeLine(stream: Duplex, value: unknown): void {
  if (stream.writable) stream.write(`${JSON.stringify(value)}\n`)
}

/**
 * Calls `receive` for every JSON line of the stream. `closed` is called exactly once: at its end, on its error (a reset
 * is an end like any other) and when a line is not JSON, with that error.
 */
export function readLines<T>(stream: Duplex, receive: (value: T) => void, closed: (error?: Error) => void): void {
  let pending = ''
  let done = false
  const finish = (error?: Error) => {
    if (done) return
    done = true
    if (error) stream.destroy()
    closed(error)
  }
  stream.setEncoding('utf8')
  stream.on('data', (text: string) => {
    pending += text
    for (let end = pending.indexOf('\n'); end >= 0 && !done; end = pending.indexOf('\n')) {
      const line = pending.slice(0, end)
      pending = pending.slice(end + 1)
      let value: T
      try {
        value = JSON.parse(line) as T
      } catch {
        return finish(new Error('a line that is not JSON was received'))
      }
      receive(value)
    }
    if (pending.length > MAX_LINE) finish(new Error('an endless line was received'))
  })
  stream.on('end', () => finish())
  stream.on('close', () => finish())
  stream.on('error', () => finish())
}
