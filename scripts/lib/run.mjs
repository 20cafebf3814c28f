// Running other programs for the scripts: one line a phase, their output only when they fail.
import {spawn} from 'node:child_process'
import {existsSync} from 'node:fs'
import {delimiter, join} from 'node:path'
import {fileURLToPath} from 'node:url'

/** The repository's root. */
export const root = fileURLToPath(new URL('../..', import.meta.url)).replace(/\/$/, '')

/** Node 22 as installed by `npm ci`: the machine's own may be older. */
export const node22 = join(root, 'node_modules/.bin/node')

/** A failure that the user can act on: printed without a stack, with its own exit code. */
export class ScriptError extends Error {
  constructor(message, exitCode = 1) {
    super(message)
    this.exitCode = exitCode
  }
}

/** Prints one line for a phase with its duration; `work` returns what to say about the result, if anything. */
export async function phase(script, name, work) {
  const started = Date.now()
  const note = await work()
  const seconds = ((Date.now() - started) / 1000).toFixed(1)
  console.error(`${script}: ${name}${note ? `: ${note}` : ''} (${seconds} s)`)
}

/** Runs a program to its end. Quiet: on failure its last lines become the error. */
export function run(file, args, {env = process.env, cwd = root, failure, exitCode} = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(file, args, {cwd, env, stdio: ['ignore', 'pipe', 'pipe']})
    let output = ''
    const keep = (chunk) => {
      output = (output + chunk).slice(-100_000)
    }
    child.stdout.on('data', keep)
    child.stderr.on('data', keep)
    child.on('error', (error) => reject(new ScriptError(`${file} could not be started: ${error.message}`, exitCode)))
    child.on('close', (code, signal) => {
      if (code === 0) return resolve(output)
      const tail = output.trimEnd().split('\n').slice(-30).join('\n')
      const how = signal ? `was ended by ${signal}` : `failed with exit code ${code}`
      reject(new ScriptError(`${failure ?? [file, ...args].join(' ')} ${how}.\n${tail}`, exitCode))
    })
  })
}

/** Runs a program in the foreground, passes SIGINT and SIGTERM on to it and resolves to its exit code. */
export function runAttached(file, args, {env = process.env, cwd = root} = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(file, args, {cwd, env, stdio: 'inherit'})
    const pass = (signal) => child.kill(signal)
    process.on('SIGINT', pass)
    process.on('SIGTERM', pass)
    child.on('error', reject)
    child.on('close', (code, signal) => {
      process.off('SIGINT', pass)
      process.off('SIGTERM', pass)
      resolve(code ?? (signal === 'SIGINT' ? 130 : signal === 'SIGTERM' ? 143 : 1))
    })
  })
}

/** Whether a program is on PATH, or in the administrator's directories, which a user's PATH may lack. */
export function findProgram(name) {
  const folders = [...(process.env.PATH ?? '').split(delimiter), '/usr/local/sbin', '/usr/sbin', '/sbin']
  return folders
    .filter(Boolean)
    .map((folder) => join(folder, name))
    .find((file) => existsSync(file))
}

/** The environment in which programs of /usr/sbin and of node_modules are found. */
export function programEnv(extra = {}) {
  const path = [join(root, 'node_modules/.bin'), process.env.PATH, '/usr/local/sbin', '/usr/sbin', '/sbin']
  return {...process.env, PATH: path.filter(Boolean).join(delimiter), ...extra}
}

/** Runs a script's main function: its result is the exit code, a ScriptError a message without a stack. */
export async function main(work) {
  try {
    process.exitCode = (await work()) ?? 0
  } catch (error) {
    console.error(error instanceof ScriptError ? error.message : error)
    process.exitCode = error instanceof ScriptError ? error.exitCode : 1
  }
}
