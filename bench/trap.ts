/**
 * Cost of the trap: a connect, calls about files and a getpeername, each trapped and untrapped, as the ratio of medians of one run.
 * `node bench/trap.ts [rounds]`; needs gcc and make.
 */
import {execFileSync} from 'node:child_process'
import {closeSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync} from 'node:fs'
import {createServer, type AddressInfo} from 'node:net'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {compilePatterns} from '../src/patterns/index.ts'
import {pathClasses, startTrap} from '../src/trap/trap.ts'

const root = join(import.meta.dirname, '..')
const rounds = process.argv[2] ?? '20000'
const directory = mkdtempSync(join(tmpdir(), 'mirrord-bench-trap-'))
const program = join(directory, 'calls')
execFileSync('make', ['-s', '-C', join(root, 'native/trap')])
execFileSync('gcc', ['-O2', '-static', '-o', program, join(root, 'test/apps/trap/bench.c')])
writeFileSync(join(directory, 'resolv.conf'), 'nameserver 10.96.0.10\n')

const copies = join(directory, 'files')
mkdirSync(join(copies, 'remote'), {recursive: true})
const copy = join(copies, 'remote/file')
writeFileSync(copy, 'remote')
const rules = compilePatterns([
  ...['^/etc(/|$)', '^/usr(/|$)', '^/tmp(/|$)', '.+\\.js$', '/node_modules'].map((pattern) => ({
    pattern,
    label: pathClasses.local,
  })),
  {pattern: '.', label: pathClasses.modeReadOnly},
])

const server = createServer((socket) => socket.on('error', () => {}).resume())
await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', 4096, resolve))
const port = (server.address() as AddressInfo).port
const relay = {address: '127.0.0.1', port}

/** `name median p99` lines, microseconds. */
type Figures = Map<string, [number, number]>
const parse = (text: string): Figures =>
  new Map(
    text
      .trim()
      .split('\n')
      .map((line) => {
        const [name = '', median, p99] = line.split(' ')
        return [name, [Number(median), Number(p99)]]
      }),
  )

async function measure(to: string, trapped: boolean): Promise<Figures> {
  const path = join(directory, 'out')
  const out = openSync(path, 'w')
  const argv = [program, to, String(port), rounds]
  if (trapped) {
    const trap = await startTrap(
      {
        trapPath: join(root, 'native/trap/build/mirrord-trap'),
        program,
        argv,
        cwd: '/',
        env: {},
        stdio: {stdin: 'ignore', stdout: out, stderr: out},
        newSession: true,
        intercept: true,
        incoming: true,
        outgoing: {tcp: true, udp: true},
        overlays: [{path: '/etc/resolv.conf', source: join(directory, 'resolv.conf')}],
        local: [{cidr: '127.0.0.1', port}],
        files: {directory: copies, rules, writable: false},
      },
      {
        connect: async () => ({relay}),
        listen: async () => ({}),
        listenerClosed() {},
        file: async () => ({source: copy, mode: 0o100644, validMs: 1000}),
        warning: (text) => console.error(text),
      },
    )
    await trap.ended
  } else {
    const {execFile} = await import('node:child_process')
    writeFileSync(path, await new Promise<string>((done) => execFile(program, argv.slice(1), (_, text) => done(text))))
  }
  closeSync(out)
  return parse(readFileSync(path, 'utf8'))
}

const plain = await measure('127.0.0.1', false)
const local = await measure('127.0.0.1', true)
const relayed = await measure('10.1.2.3', true)
server.close()
rmSync(directory, {recursive: true})

const row = (name: string, figures: Figures, key: string) => {
  const [median = 0, p99 = 0] = figures.get(key) ?? []
  const [base = 0] = plain.get(key) ?? []
  const ratio = base ? `x ${(median / base).toFixed(1)}` : ''
  console.log(
    `${name.padEnd(34)} ${base.toFixed(2).padStart(8)} ${median.toFixed(2).padStart(9)} ${p99.toFixed(1).padStart(9)} ${ratio}`,
  )
}
console.log(`${'call, microseconds'.padEnd(34)} untrapped   trapped       p99 ratio`)
row('connect, local table', local, 'connect')
row('connect, asked of the session', relayed, 'connect')
row('fstatfs, nothing to decide', local, 'fstatfs')
row('stat, another path', local, 'stat')
row('open, another path', local, 'open')
row('stat, relative path', local, 'relative')
row('stat, remote, answer kept', local, 'remote_stat')
row('open, remote, answer kept', local, 'remote_open')
row('open, overlay', local, 'overlay')
row('getpeername', local, 'getpeername')
row('getpeername, relayed', relayed, 'getpeername')
row('socket, UDP', local, 'udp')
row('getppid, not trapped', local, 'getppid')
