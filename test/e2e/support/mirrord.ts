import {spawn, type ChildProcess} from 'node:child_process'
import {existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync} from 'node:fs'
import path from 'node:path'
import {randomBytes} from 'node:crypto'
import {marked, type Process} from './processes.ts'

const root = path.join(import.meta.dirname, '../../..')
const node = path.join(root, 'node_modules/.bin/node')

/** How a command ended. */
export interface Result {
  /** The exit code; 128 and the signal's number are not added here: `signal` says it. */
  code: number | null
  signal: NodeJS.Signals | null
  stdout: string
  stderr: string
  /** Both streams in the order in which they came. */
  output: string
  ms: number
}

/** How a command is run. */
export interface SpawnOptions {
  cwd?: string
  env?: Record<string, string>
  /** A program that runs the command, with its first arguments. */
  below?: readonly string[]
  /** Gives it a standard input that the test writes to; else it is empty. */
  input?: boolean
  /** Makes it the leader of a session and process group of its own, as `setsid` does. */
  leader?: boolean
}

/** A command that is still running. */
export interface Running {
  child: ChildProcess
  /** What it printed so far. */
  output(): string
  result: Promise<Result>
}

/**
 * A CI job: its own identity, temporary folder and HOME, and a marker in the environment by which everything that it started
 * is found again.
 */
export class Job {
  readonly folder: string
  readonly marker: string
  readonly env: Record<string, string>

  constructor(options: {kubeconfig?: string; agentImage?: string; env?: Record<string, string>} = {}) {
    // Short: the control socket's path has 108 bytes.
    this.folder = mkdtempSync('/tmp/me2e-')
    for (const name of ['home', 'run', 'tmp']) mkdirSync(path.join(this.folder, name))
    const id = randomBytes(6).toString('hex')
    this.marker = `MIRRORD_TEST_JOB=${id}`
    this.env = {
      PATH: `${path.join(root, 'node_modules/.bin')}:${process.env.PATH}`,
      LANG: 'C.UTF-8',
      HOME: path.join(this.folder, 'home'),
      RUNNER_TEMP: path.join(this.folder, 'run'),
      TMPDIR: path.join(this.folder, 'tmp'),
      NODE_COMPILE_CACHE: path.join(root, '.setup-stamp/compile-cache'),
      MIRRORD_CI_JOB: id,
      MIRRORD_TEST_JOB: id,
      ...(process.env.GOCACHE || process.env.HOME
        ? {GOCACHE: process.env.GOCACHE ?? path.join(process.env.HOME!, '.cache/go-build')}
        : {}),
      ...(process.env.GOROOT ? {GOROOT: process.env.GOROOT} : {}),
      ...(options.kubeconfig ? {KUBECONFIG: options.kubeconfig} : {}),
      ...(options.agentImage ? {MIRRORD_AGENT_IMAGE: options.agentImage} : {}),
      ...options.env,
    }
  }

  /** Starts `mirrord <args>` as a CI step would. */
  spawn(
    args: readonly string[],
    {cwd = this.folder, env = {}, below = [], input = false, leader = false}: SpawnOptions = {},
  ): Running {
    const began = Date.now()
    const [program, ...words] = [...below, node, path.join(root, 'bin/run.js'), ...args]
    const child = spawn(program!, words, {
      cwd,
      env: {...this.env, ...env},
      stdio: [input ? 'pipe' : 'ignore', 'pipe', 'pipe'],
      detached: leader,
    })
    let stdout = ''
    let stderr = ''
    let output = ''
    child.stdout!.setEncoding('utf8').on('data', (chunk: string) => {
      stdout += chunk
      output += chunk
    })
    child.stderr!.setEncoding('utf8').on('data', (chunk: string) => {
      stderr += chunk
      output += chunk
    })
    const result = new Promise<Result>((resolve, reject) => {
      child.once('error', reject)
      // `exit`, not `close`: a background program that kept our pipe must show up as a failed test, not as a hanging one.
      child.once('exit', (code, signal) =>
        setImmediate(() => resolve({code, signal, stdout, stderr, output, ms: Date.now() - began})),
      )
    })
    return {child, output: () => output, result}
  }

  /** Runs `mirrord <args>` to its end. */
  run(args: readonly string[], options?: SpawnOptions): Promise<Result> {
    return this.spawn(args, options).result
  }

  start(...args: string[]): Promise<Result> {
    // Before the test's own limit, so that a start that hangs says what it waits for. A file may have a limit of its own.
    const limit = args.includes('--ready-timeout') || args.includes('-f') ? [] : ['--ready-timeout', '60']
    return this.run(['ci', 'start', ...limit, ...args])
  }

  stop(...args: string[]): Promise<Result> {
    return this.run(['ci', 'stop', ...args])
  }

  /** The processes that this job started and that are still there. */
  processes(): Process[] {
    return marked(this.marker)
  }

  /** The session's process. */
  session(): Process {
    return one(this.processes(), 'session', ({command}) => /mirrord-session|session\/main\.js/.test(command))
  }

  /** The trap's outermost process, the parent of the program's whole tree. */
  trap(): Process {
    const traps = this.processes().filter(({command}) => command.includes('mirrord-trap'))
    return one(traps, 'trap', ({parent}) => !traps.some(({pid}) => pid === parent))
  }

  /** The program's own process, recognised by its words. */
  program(words: string): Process {
    return one(
      this.processes(),
      words,
      ({command}) => command.includes(words) && !command.includes('mirrord-trap') && !command.includes('bin/run.js'),
    )
  }

  /**
   * What mirrord left: everything below RUNNER_TEMP, and what bears its name elsewhere, except the logs of the programs and the report. What
   * the programs themselves wrote is theirs.
   */
  files(): string[] {
    const found: string[] = []
    const walk = (folder: string) => {
      for (const name of readdirSync(folder)) {
        const file = path.join(folder, name)
        if (statSync(file, {throwIfNoEntry: false})?.isDirectory()) walk(file)
        else found.push(path.relative(this.folder, file))
      }
    }
    for (const name of ['home', 'run', 'tmp']) walk(path.join(this.folder, name))
    return found
      .filter((file) => file.startsWith('run/') || file.includes('mirrord'))
      .filter((file) => !/^tmp\/mirrord\/[^/]+\/(stdout|stderr|mirrord\.log|report\.json)(\.1)?$/.test(file))
      .filter(
        (file) => !/^tmp\/mirrord\/report-[\da-f]{8}\/(mirrord-report\.\w+|sessions\/[\da-f]{8}\.json)$/.test(file),
      )
  }

  /** The folders that `ci start` made for its programs' output, oldest first. */
  outputFolders(): string[] {
    const base = path.join(this.folder, 'tmp/mirrord')
    if (!existsSync(base)) return []
    return readdirSync(base)
      .filter((name) => !/^report-[\da-f]{8}$/.test(name))
      .map((name) => path.join(base, name))
      .sort((a, b) => statSync(a).mtimeMs - statSync(b).mtimeMs)
  }

  /** Ends whatever a failed test left and removes the job's folder. */
  dispose(): void {
    for (const {pid} of this.processes()) {
      try {
        process.kill(pid, 'SIGKILL')
      } catch {
        continue // it ended by itself
      }
    }
    rmSync(this.folder, {recursive: true, force: true})
  }
}

function one(candidates: Process[], what: string, test: (process: Process) => boolean): Process {
  const found = candidates.filter((process) => test(process))
  if (found.length === 1) return found[0]!
  const list = candidates.map(({pid, command}) => `${pid} ${command}`).join('\n')
  throw new Error(`${found.length} processes are "${what}" among:\n${list}`)
}
