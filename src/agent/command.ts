import {spawn} from 'node:child_process'
import {collect} from '../util/collect.ts'

/** What a finished program left behind. `code` is null when a signal ended it. */
export interface CommandResult {
  code: number | null
  stdout: string
  stderr: string
}

/** Runs a program to its end; rejects only when it cannot be started. */
export type RunCommand = (program: string, args: readonly string[], stdin?: string) => Promise<CommandResult>

/** More output than this is not wanted from any program we run; the rest is dropped. */
const MAX_OUTPUT = 4 * 1024 * 1024

/** Runs a program in the process's own namespaces. */
export const runCommand: RunCommand = (program, args, stdin) => run(program, args, stdin)

/**
 * Makes a runner for another network namespace.
 * @param namespaceFd an open descriptor of that namespace (`/proc/PID/ns/net`). A descriptor and not a pid, because the
 *   namespace must be found again after its process has ended.
 */
export function runInNamespace(namespaceFd: number): RunCommand {
  return (program, args, stdin) =>
    run('nsenter', ['--net=/proc/self/fd/3', '--', program, ...args], stdin, [namespaceFd])
}

function run(
  program: string,
  args: readonly string[],
  stdin = '',
  extra: readonly number[] = [],
): Promise<CommandResult> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, {stdio: ['pipe', 'pipe', 'pipe', ...extra]})
    const out = collect(child.stdout!, MAX_OUTPUT)
    const err = collect(child.stderr!, MAX_OUTPUT)
    child.on('error', reject)
    child.on('close', (code) => resolve({code, stdout: out(), stderr: err()}))
    // A program that ends without reading its input is judged by its exit code.
    child.stdin!.on('error', () => {})
    child.stdin!.end(stdin)
  })
}
