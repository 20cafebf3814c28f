/**
 * What starting the CLI costs: user and system time of each command, as a multiple of `node -e 0` of the same run (medians, in
 * turns). `node bench/cli.ts [rounds]`; one JSON line with --json. Needs the build.
 */
import {spawn} from 'node:child_process'
import {once} from 'node:events'
import {mkdirSync, mkdtempSync, rmSync, writeFileSync} from 'node:fs'
import {tmpdir} from 'node:os'
import path from 'node:path'
import {text} from 'node:stream/consumers'

const mirrord = path.join(import.meta.dirname, '../bin/run.js')
const rounds = Number(process.argv.slice(2).find((word) => /^\d+$/.test(word)) ?? 15)

/** What each command may cost (ruling R12). What no row says is as much. */
const LIMIT = 4
const bare = ['-e', '0']
const commands = {
  '--version': ['--version'],
  'ci stop, nothing to stop': ['ci', 'stop'],
  'ci status': ['ci', 'status'],
  help: ['help'],
  '--help': ['--help'],
  'help ci start': ['help', 'ci', 'start'],
  'ci start --help': ['ci', 'start', '--help'],
  'ls --help': ['ls', '--help'],
  'verify-config': ['verify-config', 'mirrord.json'],
  'config show': ['config', 'show', '-f', 'mirrord.json'],
  'ci start until its first request': ['ci', 'start', '-f', 'mirrord.json', '--', 'true'],
  'completion bash': ['completion', 'bash'],
}

const folder = mkdtempSync(path.join(tmpdir(), 'mirrord-bench-cli-'))
for (const name of ['home', 'tmp']) mkdirSync(path.join(folder, name))
const network = {incoming: {mode: 'steal', http_filter: {header_filter: '^x-run: 1$'}}, outgoing: true}
writeFileSync(path.join(folder, 'mirrord.json'), JSON.stringify({target: 'deployment/web', feature: {network}}))
// Nothing listens there: a start ends with its first request.
const kubeconfig = {
  clusters: [{name: 'c', cluster: {server: 'https://127.0.0.1:1'}}],
  users: [{name: 'u', user: {token: 't'}}],
  contexts: [{name: 'x', context: {cluster: 'c', user: 'u'}}],
  'current-context': 'x',
}
writeFileSync(path.join(folder, 'kubeconfig'), JSON.stringify(kubeconfig))
const env = {
  PATH: process.env.PATH,
  HOME: path.join(folder, 'home'),
  TMPDIR: path.join(folder, 'tmp'),
  SHELL: '/bin/bash',
  KUBECONFIG: path.join(folder, 'kubeconfig'),
  MIRRORD_CI_JOB: folder,
}

/** Milliseconds of processor time, as bash takes them of the program that it waited for. */
async function cost(args: readonly string[]): Promise<number> {
  const script = 'TIMEFORMAT="%3U %3S"; time "$@" >/dev/null 2>&1 </dev/null'
  const child = spawn('bash', ['-c', script, 'bash', process.execPath, ...args], {
    cwd: folder,
    env,
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  const [times] = await Promise.all([text(child.stderr), once(child, 'close')])
  const [user, system] = times.trim().split(' ').map(Number)
  return 1000 * (user! + system!)
}

const median = (values: readonly number[]) => values.toSorted((a, b) => a - b)[values.length >> 1]!

try {
  const rows = [
    {name: 'node -e 0', args: bare, costs: [] as number[]},
    ...Object.entries(commands).map(([name, words]) => ({name, args: [mirrord, ...words], costs: [] as number[]})),
  ]
  // The first runs fill the compile cache.
  for (const {args} of rows) for (let run = 0; run < 2; run++) await cost(args)
  for (let round = 0; round < rounds; round++) for (const {args, costs} of rows) costs.push(await cost(args))
  const unit = median(rows[0]!.costs)
  const figures = rows.map(({name, costs}) => ({name, ms: median(costs), ratio: median(costs) / unit}))
  console.log(`Processor time of a start, medians of ${rounds} (limit: ${LIMIT} x bare node)\n`)
  for (const {name, ms, ratio} of figures)
    console.log(`${name.padEnd(34)} ${ms.toFixed(0).padStart(4)} ms  ${ratio.toFixed(2).padStart(5)} x`)
  if (process.argv.includes('--json')) console.log(JSON.stringify({cli: figures}))
} finally {
  rmSync(folder, {recursive: true, force: true})
}
