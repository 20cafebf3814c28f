/**
 * `npm run bench`, second part: what interception costs. Programs that stay local, with and without the trap in turns; one
 * trapped call; and, in a session on the cluster, what remote connections and files cost as multiples of the tunnel's own
 * round trip. Every figure is compared with one of the same run. One JSON line with --json; parts by name (programs, calls, remote).
 */
import {execFileSync, spawn} from 'node:child_process'
import {closeSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync} from 'node:fs'
import {createServer, connect, type AddressInfo} from 'node:net'
import path from 'node:path'
import {fileRules} from '../src/proxy/files/rules.ts'
import {startTrap} from '../src/trap/trap.ts'
import {skipNames} from '../src/config/index.ts'
import {openEnvironment} from '../test/e2e/support/environment.ts'
import {Job} from '../test/e2e/support/mirrord.ts'
import {node} from '../test/e2e/support/programs.ts'
import {until} from '../test/e2e/support/until.ts'

const root = path.join(import.meta.dirname, '..')
const TURNS = 5
const FILES = 3000
const REMOTE_FILES = 200
const DOWNLOAD = 64 * 1024 * 1024

/** One line of the result: a figure, what it is compared with, their quotient (or difference), and the limit of issue 4. */
interface Row {
  name: string
  base: number
  value: number
  unit: string
  result: number
  limit: number
  goal: string
}
const rows: Row[] = []
const ratio = (name: string, base: number, value: number, unit: string, limit: number) =>
  rows.push({name, base, value, unit, result: value / base, limit, goal: `<= ${limit} x`})

const folder = mkdtempSync('/tmp/me2e-interception-')
const trapPath = path.join(root, 'lib/trap/mirrord-trap')
const build = (source: string) => {
  const file = path.join(folder, path.basename(source, '.c'))
  execFileSync('gcc', ['-O2', '-static', '-o', file, path.join(root, source)])
  return file
}
const median = (values: readonly number[]) =>
  [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN

/** Runs `words` in `cwd`; its output. Trapped: below a trap with the default rules of a session whose target has no file. */
async function output(words: readonly string[], cwd: string, trapped: boolean, to?: {port: number}): Promise<string> {
  const file = path.join(folder, 'out')
  const out = openSync(file, 'w')
  const env = {
    PATH: `${path.dirname(node)}:${process.env.PATH}`,
    HOME: process.env.HOME ?? '/root',
    NO_COLOR: '1',
    ...(process.env.GOROOT ? {GOROOT: process.env.GOROOT} : {}),
  }
  try {
    if (trapped) {
      const rules = fileRules({mode: 'read'}, {home: env.HOME, cwd, temporary: '/nowhere', executable: words[0]!})!
      const directory = path.join(folder, 'copies')
      mkdirSync(directory, {recursive: true})
      const trap = await startTrap(
        {
          trapPath,
          program: words[0]!,
          argv: words,
          cwd,
          env,
          stdio: {stdin: 'ignore', stdout: out, stderr: 2},
          newSession: true,
          intercept: true,
          incoming: true,
          outgoing: {tcp: true, udp: true},
          overlays: [{path: '/etc/resolv.conf', source: '/etc/resolv.conf'}],
          local: to ? [{cidr: '127.0.0.1', port: to.port}] : [],
          files: {directory, rules: rules.rules, writable: rules.writable},
          skip: skipNames({skip_build_tools: true}),
        },
        {
          connect: async () => ({direct: true}),
          listen: async () => ({}),
          listenerClosed() {},
          file: async () => ({errno: 2, validMs: 1000}),
          warning: (text) => console.error(`interception: ${text}`),
        },
      )
      await trap.ended
    } else {
      await new Promise<void>((resolve, reject) => {
        const child = spawn(words[0]!, words.slice(1), {cwd, env, stdio: ['ignore', out, 2]})
        child.once('error', reject)
        child.once('exit', () => resolve())
      })
    }
    return readFileSync(file, 'utf8')
  } finally {
    closeSync(out)
  }
}

const timed = build('bench/programs/timed.c')
/** Median milliseconds of a program, in turns without and with the trap. */
async function inTurns(name: string, words: readonly string[], cwd: string, limit: number): Promise<void> {
  const times = {plain: [] as number[], trapped: [] as number[]}
  for (let turn = 0; turn <= TURNS; turn++) {
    for (const kind of ['plain', 'trapped'] as const) {
      const text = await output([timed, '1', ...words], cwd, kind === 'trapped')
      const ms = Number(text)
      if (!(ms > 0)) throw new Error(`${name}, ${kind}: ${text}`)
      if (turn > 0) times[kind].push(ms) // the first turn warms the caches
    }
  }
  ratio(name, median(times.plain), median(times.trapped), 'ms', limit)
}

/** A project with 300 installed packages. */
function project(): string {
  const names = Array.from({length: 300}, (_, index) => `package-${index}`)
  const directory = path.join(folder, 'project')
  const dependencies = Object.fromEntries(names.map((name) => [name, '1.0.0']))
  for (const name of names) {
    mkdirSync(path.join(directory, 'node_modules', name), {recursive: true})
    writeFileSync(path.join(directory, 'node_modules', name, 'package.json'), JSON.stringify({name, version: '1.0.0'}))
  }
  writeFileSync(path.join(directory, 'package.json'), JSON.stringify({name: 'project', version: '1.0.0', dependencies}))
  return directory
}

async function programs(): Promise<void> {
  const many = path.join(folder, 'many')
  mkdirSync(many)
  for (let i = 0; i < FILES; i++) writeFileSync(path.join(many, `${i}.txt`), 'x')
  const read = `const fs = require('fs'); for (let i = 0; i < ${FILES}; i++) fs.readFileSync(i + '.txt')`
  writeFileSync(path.join(many, 'read.cjs'), read)
  await inTurns(`node, ${FILES} local opens`, [node, 'read.cjs'], many, 1.4)

  const npm = path.join(path.dirname(process.execPath), 'npm')
  const found = [npm, '/usr/bin/npm', '/usr/local/bin/npm'].find((file) => {
    try {
      return execFileSync(file, ['--version']).length > 0
    } catch {
      return false
    }
  })
  if (found) await inTurns('npm ls', [found, 'ls', '--all'], project(), 1.4)
  else console.log('npm ls: left out, npm is missing')

  const go = ['/usr/local/go/bin/go', '/usr/bin/go', '/usr/lib/go/bin/go'].find((file) => {
    try {
      return execFileSync(file, ['version']).length > 0
    } catch {
      return false
    }
  })
  if (!go) return void console.log('go build: left out, go is missing')
  const module = path.join(folder, 'module')
  mkdirSync(module)
  writeFileSync(path.join(module, 'go.mod'), 'module bench\n\ngo 1.19\n')
  writeFileSync(path.join(module, 'main.go'), 'package main\n\nimport "fmt"\n\nfunc main() { fmt.Println("built") }\n')
  await inTurns('go build -a of the module', [go, 'build', '-a', '-o', '/dev/null', '.'], module, 1.1)
}

/** `name median p99` lines. */
const figures = (text: string) =>
  new Map(
    text
      .trim()
      .split('\n')
      .map((line) => line.split(' '))
      .map(([name = '', middle]) => [name, Number(middle)] as const),
  )

async function calls(): Promise<void> {
  const program = build('test/apps/trap/bench.c')
  const server = createServer((socket) => socket.on('error', () => {}).resume())
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', 4096, resolve))
  const {port} = server.address() as AddressInfo
  const words = [program, '127.0.0.1', String(port), '20000']
  const plain = figures(await output(words, folder, false))
  const trapped = figures(await output(words, folder, true, {port}))
  server.close()
  const of = (name: string) => trapped.get(name) ?? Number.NaN
  // A call that the kernel goes on with costs what it costs untrapped as well.
  for (const name of ['stat', 'open'])
    ratio(
      `${name} decided in C, of a notification`,
      of('notification') + (plain.get(name) ?? Number.NaN),
      of(name),
      'us',
      1.3,
    )
  const local = {base: plain.get('connect') ?? Number.NaN, value: of('connect')}
  const more = local.value - local.base
  rows.push({name: 'connect that stays local', ...local, unit: 'us', result: more, limit: 30, goal: '<= 30 us more'})
}

const target = `
const net = require('net'), fs = require('fs')
fs.mkdirSync('/srv/bench', {recursive: true})
for (let i = 0; i < ${REMOTE_FILES}; i++) fs.writeFileSync('/srv/bench/f' + i, Buffer.alloc(4096, i))
net.createServer((socket) => socket.setNoDelay().on('error', () => {}).pipe(socket)).listen(9001, '::')
const block = Buffer.alloc(65536)
net.createServer((socket) => {
  let left = ${DOWNLOAD}
  const more = () => { while (left > 0) { left -= block.length; if (!socket.write(block)) return } socket.end() }
  socket.on('error', () => {}).on('drain', more)
  more()
}).listen(9002, '::')
process.on('SIGTERM', () => process.exit(0))
`
const manifest = {
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  metadata: {name: 'bench'},
  spec: {
    selector: {matchLabels: {app: 'bench'}},
    template: {
      metadata: {labels: {app: 'bench'}},
      spec: {
        containers: [
          {
            name: 'main',
            image: 'localhost/node:1',
            imagePullPolicy: 'IfNotPresent',
            args: ['-e', target],
            readinessProbe: {tcpSocket: {port: 9002}, periodSeconds: 1},
          },
        ],
      },
    },
  },
}

/** Downloads everything from HOST:PORT four times, one after the other; prints MiB/s of the first and the median of the rest. */
const downloader = `
const rates = []
const next = () => {
  let bytes = 0
  const began = process.hrtime.bigint()
  require('net').connect({host: process.argv[1], port: Number(process.argv[2])})
    .on('data', (chunk) => { bytes += chunk.length })
    .on('end', () => {
      rates.push(bytes / 1048576 / (Number(process.hrtime.bigint() - began) / 1e9))
      if (rates.length < 4) return next()
      const [first, ...rest] = rates
      console.log('first ' + first + '\\ndownload ' + rest.sort((a, b) => a - b)[1])
    })
}
next()
`

async function remote(): Promise<void> {
  const environment = await openEnvironment(JSON.stringify(manifest), ['bench'])
  const job = new Job({kubeconfig: environment.kubeconfig, agentImage: environment.agentImage})
  try {
    const config = path.join(folder, 'mirrord.json')
    writeFileSync(config, JSON.stringify({feature: {network: {incoming: 'off'}}}))
    const session = async (...words: string[]) => {
      const result = await job.run([
        ...['ci', 'start', '--foreground', '--target', 'deployment/bench', '-f', config, '--'],
        ...words,
      ])
      if (result.code !== 0) throw new Error(`${words.join(' ')}: exit code ${result.code}:\n${result.output}`)
      return result.stdout
    }
    const measured = figures(
      await session(build('bench/programs/remote.c'), '127.0.0.1', '9001', String(REMOTE_FILES), '/srv/bench'),
    )
    const of = (name: string) => measured.get(name) ?? Number.NaN
    const trip = of('round-trip')
    const beside = of('trip-beside')
    const connected = {base: beside, value: of('connect')}
    const more = (connected.value - beside) / 1000
    rows.push({name: 'connect, relayed', ...connected, unit: 'us', result: more, limit: 0.4, goal: '<= 0.4 ms more'})
    ratio('open+read of a remote 4 KiB file', trip, of('first-open'), 'us', 2.3)
    rows.push({
      ...{name: 'the same again within a second', base: trip, value: of('second-open'), unit: 'us'},
      ...{result: of('second-open'), limit: 60, goal: '<= 60 us'},
    })
    ratio('the same again later', trip, of('later-open'), 'us', 1.2)

    // The plain way: a proxy on loopback, made of net.pipe, in front of the pod.
    const pod = (await environment.cluster.pod(environment.namespace, 'bench')).status!.podIP!
    const proxy = createServer((socket) => {
      const there = connect({host: pod, port: 9002})
      for (const end of [socket, there]) end.on('error', () => {})
      socket.pipe(there).pipe(socket)
    })
    await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve))
    const {port} = proxy.address() as AddressInfo
    const plain: Map<string, number>[] = []
    const relayed: Map<string, number>[] = []
    for (let turn = 0; turn < 3; turn++) {
      plain.push(figures(await output([node, '-e', downloader, '127.0.0.1', String(port)], folder, false)))
      relayed.push(figures(await session(node, '-e', downloader, '127.0.0.1', '9002')))
    }
    proxy.close()
    const rates = (runs: Map<string, number>[], name: string) => median(runs.map((run) => run.get(name) ?? Number.NaN))
    for (const [what, name] of [
      ['download', 'download, of a net.pipe proxy'],
      ['first', 'the first one of a session'],
    ] as const) {
      const [base, value] = [rates(plain, what), rates(relayed, what)]
      const goal = what === 'download' ? '>= 0.7 x' : 'none: starts cold'
      rows.push({name, base, value, unit: 'MiB/s', result: value / base, limit: what === 'download' ? 0.7 : 0, goal})
    }
  } finally {
    if (job.processes().length > 0) await job.stop('--grace', '0')
    await until('the end of the job', () => job.processes().length === 0).catch(() => undefined)
    job.dispose()
    await environment.close()
  }
}

try {
  const parts = {programs, calls, remote}
  const asked = process.argv.slice(2).filter((word) => !word.startsWith('--'))
  const unknown = asked.find((word) => !Object.hasOwn(parts, word))
  if (unknown) throw new Error(`no such part: ${unknown} (there are ${Object.keys(parts).join(', ')})`)
  for (const [name, part] of Object.entries(parts)) if (asked.length === 0 || asked.includes(name)) await part()
  const number = (value: number) => value.toFixed(value < 10 ? 2 : value < 100 ? 1 : 0).padStart(9)
  console.log(
    `\n${''.padEnd(42)} ${'compared'.padStart(9)} ${'measured'.padStart(9)} ${''.padEnd(6)} ${'result'.padStart(9)}  limit`,
  )
  for (const {name, base, value, unit, result, goal} of rows)
    console.log(`${name.padEnd(42)} ${number(base)} ${number(value)} ${unit.padEnd(6)} ${number(result)}  ${goal}`)
  if (process.argv.includes('--json')) console.log(JSON.stringify({interception: rows}))
} finally {
  rmSync(folder, {recursive: true, force: true})
}
process.exit(process.exitCode ?? 0)
