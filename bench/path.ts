// `npm run bench`: what the stolen path costs against a request to the pod itself, measured in turns during one session, and
// how long a start takes. Prints a table, and one JSON line with --json.
import {Job} from '../test/e2e/support/mirrord.ts'
import {openEnvironment} from '../test/e2e/support/environment.ts'
import {request} from '../test/e2e/support/http.ts'
import {node} from '../test/e2e/support/programs.ts'
import {until} from '../test/e2e/support/until.ts'
import {freshConnections, latency, percentile, throughput, type Samples} from './load.ts'

const STARTS = 3
const ROUNDS = 3
const ROUND_MS = 2000

/** The same program in the pod and here. In the pod it listens on a second port too, which is never stolen. */
const program = `
const [who, ...ports] = process.argv.slice(1)
const server = () => require('http').createServer((request, response) => response.end(who))
for (const port of ports) server().listen(Number(port))
process.on('SIGTERM', () => process.exit(0))
`
const manifests = [
  {
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
              args: ['-e', program, 'deployed', '8080', '8081'],
              ports: [{containerPort: 8080}, {containerPort: 8081}],
              readinessProbe: {tcpSocket: {port: 8081}, periodSeconds: 1},
            },
          ],
        },
      },
    },
  },
  ...[
    {name: 'stolen', port: 8080},
    {name: 'direct', port: 8081},
  ].map(({name, port}) => ({
    apiVersion: 'v1',
    kind: 'Service',
    metadata: {name},
    spec: {selector: {app: 'bench'}, ports: [{port: 80, targetPort: port}]},
  })),
]

const median = (values: number[]) =>
  percentile(
    [...values].sort((a, b) => a - b),
    0.5,
  )

interface Times {
  firstAnswer: number
  startReturned: number
  stopped: number
}

const environment = await openEnvironment(manifests.map((one) => JSON.stringify(one)).join('\n---\n'), ['bench'])
const job = new Job({kubeconfig: environment.kubeconfig, agentImage: environment.agentImage})
try {
  const {cluster, namespace} = environment
  const stolen = await cluster.serviceUrl(namespace, 'stolen')
  const direct = await cluster.serviceUrl(namespace, 'direct')

  /** One session; `work` runs while the local program answers. */
  const session = async (work: () => Promise<void>): Promise<Times> => {
    const began = Date.now()
    const running = job.spawn([
      'ci',
      'start',
      '--target',
      'deployment/bench',
      '--',
      node,
      '-e',
      program,
      'local',
      '8080',
    ])
    const answered = until(
      'an answer of the local program',
      async () => (await request(stolen.url, {timeout: 1000})).body === 'local' && Date.now() - began,
      {interval: 5, timeout: 90_000},
    )
    const started = await running.result
    if (started.code !== 0) {
      answered.catch(() => undefined)
      throw new Error(`ci start ended with exit code ${started.code}:\n${started.output}`)
    }
    const firstAnswer = await answered
    await work()
    const stopped = await job.stop()
    if (stopped.code !== 0) throw new Error(`ci stop ended with exit code ${stopped.code}:\n${stopped.output}`)
    return {firstAnswer, startReturned: started.ms, stopped: stopped.ms}
  }

  const one: Record<'direct' | 'stolen', Samples> = {direct: [], stolen: []}
  const fresh: Record<'direct' | 'stolen', Samples> = {direct: [], stolen: []}
  const rates = {direct: [] as number[], stolen: [] as number[]}
  const measure = async () => {
    for (const [name, {url}] of [
      ['direct', direct],
      ['stolen', stolen],
    ] as const) {
      await throughput(url, 16, 500) // warm: both programs and both paths
      const {body} = await request(url)
      if (body !== (name === 'stolen' ? 'local' : 'deployed'))
        throw new Error(`The ${name} path is answered by ${body}`)
    }
    // In turns of one request each, so that whatever else the machine does meets both alike.
    await latency([direct.url, stolen.url], ROUND_MS * 2, (index, ms) =>
      one[index === 0 ? 'direct' : 'stolen'].push(ms),
    )
    await freshConnections([direct.url, stolen.url], ROUND_MS, (index, ms) =>
      fresh[index === 0 ? 'direct' : 'stolen'].push(ms),
    )
    for (let round = 0; round < ROUNDS; round++) {
      rates.direct.push(await throughput(direct.url, 64, ROUND_MS))
      rates.stolen.push(await throughput(stolen.url, 64, ROUND_MS))
    }
  }

  const times: Times[] = []
  for (let start = 0; start < STARTS; start++)
    times.push(await session(start === STARTS - 1 ? measure : async () => {}))

  const row = (name: string, a: number, b: number, unit: string, digits: number) => ({
    name,
    direct: a,
    stolen: b,
    ratio: b / a,
    text: `${name.padEnd(34)} ${a.toFixed(digits).padStart(9)} ${b.toFixed(digits).padStart(9)} ${unit.padEnd(6)} ${(b / a).toFixed(2).padStart(6)}`,
  })
  const sorted = (samples: Samples) => [...samples].sort((a, b) => a - b)
  const rows = [
    row(
      'latency p50, kept connection',
      percentile(sorted(one.direct), 0.5),
      percentile(sorted(one.stolen), 0.5),
      'ms',
      2,
    ),
    row(
      'latency p99, kept connection',
      percentile(sorted(one.direct), 0.99),
      percentile(sorted(one.stolen), 0.99),
      'ms',
      2,
    ),
    row(
      'latency p50, new connection',
      percentile(sorted(fresh.direct), 0.5),
      percentile(sorted(fresh.stolen), 0.5),
      'ms',
      2,
    ),
    row(
      'latency p99, new connection',
      percentile(sorted(fresh.direct), 0.99),
      percentile(sorted(fresh.stolen), 0.99),
      'ms',
      2,
    ),
    row('throughput, 64 connections', median(rates.direct), median(rates.stolen), 'req/s', 0),
  ]
  const summary = {
    firstAnswer: median(times.map((time) => time.firstAnswer)),
    startReturned: median(times.map((time) => time.startReturned)),
    stopped: median(times.map((time) => time.stopped)),
  }
  console.log(`\nOn ${environment.kind === 'sandbox' ? 'the sandbox' : `the cluster ${cluster.server}`}:\n`)
  console.log(`${''.padEnd(34)} ${'direct'.padStart(9)} ${'stolen'.padStart(9)} ${''.padEnd(6)} ${'ratio'.padStart(6)}`)
  for (const {text} of rows) console.log(text)
  console.log(`\nci start until the first stolen answer   ${summary.firstAnswer} ms (median of ${STARTS})`)
  console.log(`ci start until it returns                ${summary.startReturned} ms`)
  console.log(`ci stop                                  ${summary.stopped} ms`)
  if (process.argv.includes('--json')) {
    console.log(
      JSON.stringify({...summary, rows: rows.map(({name, direct, stolen, ratio}) => ({name, direct, stolen, ratio}))}),
    )
  }
  stolen.close()
  direct.close()
} finally {
  if (job.processes().length > 0) await job.stop('--grace', '0')
  job.dispose()
  await environment.close()
}
process.exit(process.exitCode ?? 0)
