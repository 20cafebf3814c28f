import {spawn} from 'node:child_process'
import {MirrordError} from '../errors/mirrord-error.ts'

/** More than any answer that is looked at. */
const MAX_OUTPUT = 8 * 1024 * 1024

/** The command line program of a container runtime. */
export interface Client {
  /** Absolute path. */
  file: string
  cwd: string
  /** Absent: this process's own. */
  env?: Record<string, string>
}

/**
 * Runs a command of the runtime to its end; `signal` ends it early, with status -1.
 * Errors: MirrordError CONTAINER_CLIENT (exit 81) when it cannot be run.
 */
export function runClient(
  {file, cwd, env}: Client,
  args: readonly string[],
  signal?: AbortSignal,
): Promise<{status: number; stdout: string; stderr: string}> {
  return new Promise((resolve, reject) => {
    const child = spawn(file, args, {cwd, env, stdio: ['ignore', 'pipe', 'pipe']})
    const abort = () => void child.kill('SIGKILL')
    if (signal?.aborted) abort()
    signal?.addEventListener('abort', abort)
    const [stdout, stderr] = [child.stdout, child.stderr].map((stream) => {
      const read = {text: ''}
      stream.setEncoding('utf8').on('data', (chunk: string) => {
        if (read.text.length < MAX_OUTPUT) read.text += chunk
      })
      return read
    }) as [{text: string}, {text: string}]
    child.once('error', (cause) => reject(unusable(file, cause)))
    child.once('close', (code) => {
      signal?.removeEventListener('abort', abort)
      resolve({status: code ?? -1, stdout: stdout.text, stderr: stderr.text})
    })
  })
}

function unusable(file: string, cause: Error): MirrordError {
  return new MirrordError(
    {
      code: 'CONTAINER_CLIENT',
      exit: 'permission',
      what: `${file} cannot be run.`,
      why: cause.message,
      next: ['Check the installation of the container runtime.'],
    },
    {cause},
  )
}
