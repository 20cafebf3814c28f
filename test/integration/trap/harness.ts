import {execFileSync} from 'node:child_process'
import {createHash} from 'node:crypto'
import {
  closeSync,
  constants,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
} from 'node:fs'
import {createServer, type AddressInfo, Socket} from 'node:net'
import {tmpdir} from 'node:os'
import {basename, dirname, join} from 'node:path'
import {fileURLToPath} from 'node:url'
import {startTrap} from '../../../src/trap/trap.ts'
import type {ConnectAnswer, ConnectRequest, Listener, Trap, TrapHandlers, TrapOptions} from '../../../src/trap/types.ts'

const root = join(dirname(fileURLToPath(import.meta.url)), '../../..')
/** MIRRORD_TRAP_VARIANT=sanitized: the trap with AddressSanitizer and UBSan. */
const target = `build/mirrord-trap${process.env.MIRRORD_TRAP_VARIANT ? `-${process.env.MIRRORD_TRAP_VARIANT}` : ''}`
/** The trap under test, built by `buildTrap`. */
export const trapPath = join(root, 'native/trap', target)

let trapUsed = trapPath
/** From here on `run` starts this instead (a script of conditions.ts); undefined for the trap itself. */
export function useTrap(path: string | undefined): void {
  trapUsed = path ?? trapPath
}

/** Builds the trap (a no-op when it is current). */
export function buildTrap(): void {
  makeTrap(target)
}
/** Builds any target of the trap's Makefile and returns its path. */
export function makeTrap(what: string): string {
  execFileSync('make', ['-s', '-C', join(root, 'native/trap'), what], {stdio: 'inherit'})
  return join(root, 'native/trap', what)
}

/** Where the sanitizers write what they found; the supervisor's own output goes nowhere. */
const sanitizerLog = join(tmpdir(), `mirrord-sanitizer-${process.pid}`)
const sanitizerEnv: Record<string, string> = process.env.MIRRORD_TRAP_VARIANT
  ? {ASAN_OPTIONS: `log_path=${sanitizerLog}`, UBSAN_OPTIONS: `log_path=${sanitizerLog}:print_stacktrace=1`}
  : {}
function sanitizerReports(): string {
  const name = basename(sanitizerLog)
  const files = readdirSync(tmpdir()).filter((file) => file.startsWith(`${name}.`))
  return files.map((file) => `\n${readFileSync(join(tmpdir(), file), 'utf8')}`).join('')
}

/** Compiles test/apps/trap/NAME.c statically; cached by content, safe when several workers do it at once. */
export function compile(name: string): string {
  const source = join(root, 'test/apps/trap', `${name}.c`)
  const hash = createHash('sha256').update(readFileSync(source)).digest('hex').slice(0, 16)
  const directory = join(tmpdir(), `mirrord-test-apps-${process.getuid?.() ?? 0}`, hash)
  const target = join(directory, name)
  if (existsSync(target)) return target
  mkdirSync(directory, {recursive: true})
  const own = `${target}.${process.pid}`
  execFileSync('gcc', ['-std=gnu11', '-O2', '-Wall', '-Wextra', '-Werror', '-static', '-pthread', '-o', own, source], {
    stdio: 'inherit',
  })
  renameSync(own, target)
  return target
}

/** Builds a Go file of test/apps/trap statically; undefined where Go is missing. */
export function compileGo(name: string): string | undefined {
  const go = which('go') ?? (existsSync('/usr/local/go/bin/go') ? '/usr/local/go/bin/go' : undefined)
  if (!go) return undefined
  const source = join(root, 'test/apps/trap', `${name}.go`)
  const hash = createHash('sha256').update(readFileSync(source)).digest('hex').slice(0, 16)
  const target = join(tmpdir(), `mirrord-test-apps-${process.getuid?.() ?? 0}`, hash, name)
  if (existsSync(target)) return target
  mkdirSync(dirname(target), {recursive: true})
  const own = `${target}.${process.pid}`
  const env = {...process.env, CGO_ENABLED: '0', GO111MODULE: 'off', GOFLAGS: ''}
  execFileSync(go, ['build', '-o', own, source], {stdio: 'inherit', env})
  renameSync(own, target)
  return target
}

/** Builds a Rust file of test/apps/trap; undefined where rustc is missing. */
export function compileRust(name: string): string | undefined {
  const rustc = which('rustc')
  if (!rustc) return undefined
  const source = join(root, 'test/apps/trap', `${name}.rs`)
  const hash = createHash('sha256').update(readFileSync(source)).digest('hex').slice(0, 16)
  const target = join(tmpdir(), `mirrord-test-apps-${process.getuid?.() ?? 0}`, hash, name)
  if (existsSync(target)) return target
  mkdirSync(dirname(target), {recursive: true})
  const own = `${target}.${process.pid}`
  execFileSync(rustc, ['-O', '-o', own, source], {stdio: 'inherit'})
  renameSync(own, target)
  return target
}

/** First match on PATH, symbolic links and shims resolved by the program itself; undefined when there is none. */
export function which(name: string): string | undefined {
  for (const directory of (process.env.PATH ?? '').split(':'))
    if (directory && existsSync(join(directory, name))) return join(directory, name)
  return undefined
}

/** The real Python (not a pyenv shim, which is a shell script), one that every user may run if there is; undefined when missing. */
export const python: string | undefined = (() => {
  try {
    const name = existsSync('/usr/bin/python3') ? '/usr/bin/python3' : 'python3'
    return execFileSync(name, ['-c', 'import sys; print(sys.executable)'], {encoding: 'utf8'}).trim()
  } catch {
    return undefined
  }
})()

/** A program below a trap, with its output as lines. */
export interface Run {
  trap: Trap
  connects: ConnectRequest[]
  listeners: Listener[]
  closed: number[]
  warnings: string[]
  /** Everything printed so far. */
  output(): string
  /** Resolves with the first output line that matches, past or future; rejects when the output ends before. */
  line(pattern: RegExp): Promise<RegExpMatchArray>
  /** Resolves when `check` holds, looked at after every handler call and every piece of output. */
  until(check: () => boolean): Promise<void>
  /** Writes to the program's standard input. */
  input(text: string): void
  /** Waits for the tree's end and returns the whole output. */
  finish(): Promise<string>
}

/** What a test may set; everything else has a default that suits a short program. */
export interface RunOptions extends Partial<Omit<TrapOptions, 'stdio'>> {
  program: string
  arguments?: readonly string[]
  connect?: TrapHandlers['connect']
  listen?: TrapHandlers['listen']
  file?: TrapHandlers['file']
  fileClosed?: TrapHandlers['fileClosed']
  connectUnix?: TrapHandlers['connectUnix']
}

const defaultEnv = {PATH: process.env.PATH ?? '', HOME: '/tmp', PYTHONUNBUFFERED: '1'}
const running = new Set<Trap>()

/** Starts a program below the trap. Its stdout and stderr come together. */
export async function run(options: RunOptions): Promise<Run> {
  const directory = mkdtempSync(join(tmpdir(), 'mirrord-trap-'))
  const fifo = (name: string) => {
    const path = join(directory, name)
    execFileSync('mkfifo', [path])
    return path
  }
  const outPath = fifo('out')
  const inPath = fifo('in')
  const output = new Socket({fd: openSync(outPath, constants.O_RDONLY | constants.O_NONBLOCK), readable: true})
  const out = openSync(outPath, constants.O_WRONLY)
  const stdin = openSync(inPath, constants.O_RDONLY | constants.O_NONBLOCK)
  const stdinWriter = openSync(inPath, constants.O_WRONLY)
  const blockingIn = openSync(inPath, constants.O_RDONLY)
  closeSync(stdin)
  rmSync(directory, {recursive: true})

  let text = ''
  let ended = false
  const checks = new Set<() => void>()
  const changed = () => checks.forEach((check) => check())
  output.setEncoding('utf8')
  output.on('data', (chunk: string) => {
    text += chunk
    changed()
  })
  const outputEnd = new Promise<void>((resolve) =>
    output.on('close', () => {
      ended = true
      changed()
      resolve()
    }),
  )
  const until = (check: () => boolean, impossible: () => string | undefined = () => undefined) =>
    new Promise<void>((resolve, reject) => {
      const look = () => {
        const why = impossible()
        if (check()) resolve()
        else if (why) reject(new Error(why))
        else return
        checks.delete(look)
      }
      checks.add(look)
      look()
    })

  const connects: ConnectRequest[] = []
  const listeners: Listener[] = []
  const closed: number[] = []
  const warnings: string[] = []
  const {program, arguments: args = [], connect, listen, file, fileClosed, connectUnix, ...rest} = options
  try {
    const trap = await startTrap(
      {
        trapPath: trapUsed,
        program,
        argv: [basename(program), ...args],
        cwd: '/',
        env: defaultEnv,
        newSession: true,
        intercept: true,
        incoming: true,
        outgoing: {tcp: true, udp: true},
        overlays: [],
        local: [],
        ...rest,
        ...(process.env.MIRRORD_TRAP_VARIANT && {env: {...defaultEnv, ...rest.env, ...sanitizerEnv}}),
        stdio: {stdin: blockingIn, stdout: out, stderr: out},
      },
      {
        async connect(request) {
          connects.push(request)
          changed()
          return connect ? connect(request) : {errno: 111}
        },
        async listen(listener) {
          listeners.push(listener)
          changed()
          return listen ? listen(listener) : {}
        },
        async file(request) {
          const answer = file ? file(request) : {errno: 5}
          changed()
          return answer
        },
        async connectUnix(request) {
          if (!connectUnix) throw new Error('this test expects no unix socket')
          const answer = connectUnix(request)
          changed()
          return answer
        },
        fileClosed(object, opens) {
          fileClosed?.(object, opens)
          changed()
        },
        listenerClosed(id) {
          closed.push(id)
          changed()
        },
        warning(warning) {
          warnings.push(warning)
          changed()
        },
      },
    )
    running.add(trap)
    void trap.ended.then(() => running.delete(trap))
    return {
      trap,
      connects,
      listeners,
      closed,
      warnings,
      output: () => text,
      async line(pattern) {
        const find = () =>
          text
            .split('\n')
            .slice(0, -1)
            .map((line) => pattern.exec(line))
            .find(Boolean)
        await until(
          () => Boolean(find()),
          () => (ended ? `the program ended without ${pattern.source}; it printed:\n${text}` : undefined),
        )
        const match = find()
        if (!match) throw new Error('unreachable')
        return match
      },
      until: (check) => until(check),
      input: (line) => execFileSync('tee', [], {input: line, stdio: ['pipe', stdinWriter, 'ignore']}),
      async finish() {
        const end = await trap.ended
        if (!end.clean) throw new Error(`not clean: ${end.reason}${sanitizerReports()}`)
        await outputEnd
        return text
      },
    }
  } finally {
    closeSync(out)
    closeSync(blockingIn)
    inputs.push(stdinWriter)
  }
}

const inputs: number[] = []

/** Ends whatever a failed test left running; for afterEach. */
export async function cleanUp(): Promise<void> {
  for (const trap of running) trap.killTree()
  await Promise.all([...running].map((trap) => trap.ended))
  for (const fd of inputs.splice(0)) closeSync(fd)
}

/** A relay as the session has one: every connection gets `greeting` and is ended; sources are remembered. */
export async function startRelay(greeting = 'hello', host = '127.0.0.1') {
  const sources: string[] = []
  const server = createServer((socket) => {
    sources.push(`${socket.remoteAddress?.replace('::ffff:', '')}:${socket.remotePort}`)
    socket.on('error', () => {})
    socket.end(greeting)
  })
  await new Promise<void>((resolve) => server.listen(0, host, resolve))
  const relay = {address: host, port: (server.address() as AddressInfo).port}
  const answer: ConnectAnswer = {relay, local: {address: '10.244.0.7', port: 45678}}
  return {server, sources, relay, answer, [Symbol.dispose]: () => void server.close()}
}

/** A port that was free a moment ago. */
export async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const {port} = server.address() as AddressInfo
  await new Promise((resolve) => server.close(resolve))
  return port
}
