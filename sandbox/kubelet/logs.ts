import {EventEmitter} from 'node:events'
import {appendFileSync, existsSync, readFileSync} from 'node:fs'
import {StringDecoder} from 'node:string_decoder'

export interface LogLine {
  /** RFC 3339 with nanoseconds, as `--timestamps` prints it. */
  time: string
  text: string
}

/** Longest line kept in one piece, as container runtimes cut them. */
const MAX_LINE = 16 * 1024

/** RFC 3339 with nine decimals. */
const stamp = (): string => new Date().toISOString().replace('Z', '000000Z')

/** The log of one run of one container: a file of `<time> <line>` and whoever follows it. */
export class ContainerLog {
  private readonly path: string
  private readonly emitter = new EventEmitter().setMaxListeners(0)
  private readonly partial = {stdout: '', stderr: ''}
  private readonly decoders = {stdout: new StringDecoder(), stderr: new StringDecoder()}
  ended = false

  constructor(path: string) {
    this.path = path
  }

  /** Adds output. Complete lines are written at once, an unfinished one with its rest. */
  write(stream: 'stdout' | 'stderr', chunk: Buffer): void {
    const text = this.partial[stream] + this.decoders[stream].write(chunk)
    const lines = text.split('\n')
    this.partial[stream] = lines.pop()!
    if (this.partial[stream].length > MAX_LINE) {
      lines.push(this.partial[stream])
      this.partial[stream] = ''
    }
    this.add(lines)
  }

  private add(lines: string[]): void {
    if (!lines.length) return
    const time = stamp()
    appendFileSync(this.path, lines.map((line) => `${time} ${line}\n`).join(''))
    for (const text of lines) this.emitter.emit('line', {time, text} satisfies LogLine)
  }

  /** No more output will come: unfinished lines are written and followers end. */
  end(): void {
    if (this.ended) return
    for (const stream of ['stdout', 'stderr'] as const) if (this.partial[stream]) this.add([this.partial[stream]])
    this.ended = true
    this.emitter.emit('end')
  }

  /** All lines so far. */
  read(): LogLine[] {
    if (!existsSync(this.path)) return []
    const lines = readFileSync(this.path, 'utf8').split('\n')
    lines.pop()
    return lines.map((line) => ({time: line.slice(0, line.indexOf(' ')), text: line.slice(line.indexOf(' ') + 1)}))
  }

  /** Calls back for every later line and at the end; returns the function that stops it. */
  follow(line: (line: LogLine) => void, end: () => void): () => void {
    this.emitter.on('line', line)
    this.emitter.on('end', end)
    return () => {
      this.emitter.off('line', line)
      this.emitter.off('end', end)
    }
  }
}
