import {spawn} from 'node:child_process'

/** Runs a command in the namespaces and root of a container's process. Rejects at the time limit (milliseconds). */
export function execIn(
  pid: number | undefined,
  command: string[],
  timeout: number,
): Promise<{code: number; output: string}> {
  if (pid === undefined) return Promise.reject(new Error('container is not running'))
  return new Promise((resolve, reject) => {
    const child = spawn('nsenter', ['-t', String(pid), '-m', '-u', '-i', '-n', '-p', '-r', '-w', '--', ...command], {
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
    })
    let output = ''
    const collect = (chunk: Buffer) => (output = (output + chunk.toString()).slice(-10_000))
    child.stdout.on('data', collect)
    child.stderr.on('data', collect)
    const timer = setTimeout(() => {
      try {
        // nsenter and the program it started are one process group.
        process.kill(-child.pid!, 'SIGKILL')
      } catch {
        child.kill('SIGKILL')
      }
      reject(new Error(`command timed out: "${command.join(' ')}" timed out after ${timeout / 1000}s`))
    }, timeout)
    child.on('error', reject)
    child.on('close', (code) => {
      clearTimeout(timer)
      resolve({code: code ?? 128, output})
    })
  })
}
