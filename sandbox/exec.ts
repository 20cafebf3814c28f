import {spawn} from 'node:child_process'
import type {ChildProcess} from 'node:child_process'
import {createInterface} from 'node:readline'

export interface Result {
  code: number
  stdout: string
  stderr: string
}

/** Runs a program to its end. Never throws for an exit code; rejects when it cannot be started. */
export function run(command: string, args: string[], input = ''): Promise<Result> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {stdio: ['pipe', 'pipe', 'pipe']})
    const out: Buffer[] = []
    const err: Buffer[] = []
    child.stdout.on('data', (chunk: Buffer) => out.push(chunk))
    child.stderr.on('data', (chunk: Buffer) => err.push(chunk))
    child.stdin.on('error', () => {})
    child.on('error', reject)
    child.on('close', (code, signal) =>
      resolve({
        code: code ?? (signal ? 128 : 1),
        stdout: Buffer.concat(out).toString(),
        stderr: Buffer.concat(err).toString(),
      }),
    )
    child.stdin.end(input)
  })
}

/** Like run(), but rejects with the program's own words when it fails. */
export async function must(command: string, args: string[], input = ''): Promise<string> {
  const {code, stdout, stderr} = await run(command, args, input)
  if (code !== 0) throw new Error(`${command} ${args.join(' ')}: exit ${code}: ${stderr.trim() || stdout.trim()}`)
  return stdout
}

/** Waits for lines of a child's standard output in order, one call each. Rejects when the child ends first. */
export function lineReader(child: ChildProcess): () => Promise<string> {
  const lines: string[] = []
  const waiting: {resolve: (line: string) => void; reject: (error: Error) => void}[] = []
  let errors = ''
  let ended = false
  child.stderr?.on('data', (chunk: Buffer) => (errors = (errors + chunk.toString()).slice(-4000)))
  createInterface(child.stdout!).on('line', (line) => {
    const next = waiting.shift()
    if (next) next.resolve(line)
    else lines.push(line)
  })
  const failure = () => new Error(errors.trim() || 'the process ended')
  child.on('error', (error) => {
    errors += error.message
  })
  child.on('close', () => {
    ended = true
    for (const next of waiting.splice(0)) next.reject(failure())
  })
  return () =>
    new Promise((resolve, reject) => {
      const line = lines.shift()
      if (line !== undefined) resolve(line)
      else if (ended) reject(failure())
      else waiting.push({resolve, reject})
    })
}

/** Quotes a word for sh. */
export const quote = (word: string): string => `'${word.replaceAll("'", `'\\''`)}'`
