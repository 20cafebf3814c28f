import {readFileSync, statSync, writeFileSync} from 'node:fs'
import http from 'node:http'
import net from 'node:net'
import path from 'node:path'
import {afterAll, beforeAll, describe, expect, onTestFinished, test} from 'vitest'
import {sessionReportSchema, type SessionReport} from '../../src/report/schema.ts'
import type {ServiceAddress} from './support/cluster.ts'
import {filesManifests, PodFiles, remoteFolder as remote} from './support/files.ts'
import {expectExit, Harness} from './support/harness.ts'
import type {Job} from './support/mirrord.ts'
import {node} from './support/programs.ts'
import {until} from './support/until.ts'

/** In everything that must not be in a report. */
const SECRET = 'tops3cret'
const WRITTEN = 5000
/** Not that of files.test.ts: both may be in one cluster. */
const target = 'reported'

const program = `
const fs = require('fs'), http = require('http'), net = require('net')
const dial = (options) => new Promise((resolve) => net.connect(options).on('connect', function () { this.end('${SECRET}') }).on('error', resolve).on('close', resolve).resume())
http.createServer(async (request, response) => {
  if (request.url.startsWith('/crash')) process.exit(3)
  if (request.url.startsWith('/work')) {
    fs.writeFileSync('${remote}/written', fs.readFileSync('${remote}/read', 'utf8').padEnd(${WRITTEN}))
    const options = {method: 'POST', headers: {authorization: '${SECRET}'}, body: '${SECRET}'}
    await (await fetch('http://info/${SECRET}?${SECRET}=1', options)).text()
    await fetch('http://no-such-service/').catch(() => {})
    await dial({path: '${remote}/socket'})
    await dial({host: process.argv[1], port: 9})
  }
  response.statusCode = request.url === '/missing' ? 404 : 200
  response.setHeader('x-secret', '${SECRET}')
  response.end('${SECRET}')
}).listen(8080)
console.log('${SECRET} of ' + process.env.SECRET_OF_CI)
`

let harness: Harness
let address: ServiceAddress
let podIp: string
let pod: string

beforeAll(async () => {
  harness = await Harness.open()
  const {cluster, namespace} = harness
  await cluster.create(namespace, filesManifests(target))
  await cluster.waitAvailable(namespace, target)
  const {metadata, status} = await cluster.pod(namespace, target)
  pod = metadata!.name!
  podIp = status!.podIP!
  address = await cluster.serviceUrl(namespace, target)
  await new PodFiles(address.url).make(`${remote}/read`, SECRET)
})
afterAll(() => {
  address?.close()
  harness.close()
})

/** Requests of one kept connection, one after the other. */
async function ask(agent: http.Agent, method: string, target: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const headers = {authorization: `Bearer ${SECRET}`, cookie: `id=${SECRET}`}
    const request = http.request(`${address.url}${target}`, {agent, method, headers, timeout: 15_000}, (response) => {
      response.resume().on('end', () => resolve(response.statusCode ?? 0))
    })
    request.on('error', reject)
    request.end(method === 'GET' ? undefined : SECRET)
  })
}

const text = (folder: string) => readFileSync(path.join(folder, 'report.json'), 'utf8')
const read = (folder: string): SessionReport => sessionReportSchema.parse(JSON.parse(text(folder)))

describe('the report of a session', () => {
  let job: Job
  let folder: string
  let early: SessionReport
  let report: SessionReport
  const agent = new http.Agent({keepAlive: true, maxSockets: 1})

  beforeAll(async () => {
    job = harness.job({SECRET_OF_CI: SECRET})
    const file = path.join(job.folder, 'mirrord.json')
    const outgoing = {unix_streams: [`^${remote}/socket$`]}
    writeFileSync(file, JSON.stringify({feature: {fs: 'write', network: {outgoing}}}))
    const words = [node, '-e', program, podIp]
    expectExit(await job.start('--target', `deployment/${target}`, '-f', file, '--', ...words), 'success')
    folder = job.outputFolders()[0]!
    early = read(folder)
    const statuses = [
      await ask(agent, 'POST', `/work?${SECRET}=1`),
      await ask(agent, 'GET', `/users/${SECRET}42/posts?token=${SECRET}`),
      await ask(agent, 'GET', '/users/7/posts'),
      await ask(agent, 'GET', '/missing'),
    ]
    expect(statuses).toEqual([200, 200, 200, 404])
    // Ended before the session: what it still waited for would count as not answered.
    agent.destroy()
    expectExit(await job.stop(), 'success')
    report = read(folder)
  })
  afterAll(() => harness.finish(job))

  test('is there when the session is ready, for its user only, and outlives the stop', () => {
    expect(early).toMatchObject({session: {readyAt: expect.any(String) as string}, incoming: {routes: []}})
    expect(early.session.endedAt).toBeUndefined()
    expect(statSync(path.join(folder, 'report.json')).mode & 0o777).toBe(0o600)
  })

  test('says what ran, where and how long each step took', () => {
    const {session, phases, exit, failure} = report
    expect(session).toMatchObject({
      program: node,
      target: `deployment/${target}`,
      namespace: harness.namespace,
      pod,
      container: 'main',
      agent: {
        pod: expect.stringMatching(/^mirrord-agent-/) as string,
        image: expect.stringContaining('agent') as string,
      },
      outputDirectory: folder,
    })
    const [started, ready, ended] = [session.startedAt, session.readyAt!, session.endedAt!].map((at) => Date.parse(at))
    expect(started! < ready! && ready! < ended!).toBe(true)
    expect(phases.map(({name}) => name)).toEqual(['target', 'agent', 'environment', 'program', 'ready'])
    expect(phases.map(({startMs}) => startMs)).toEqual(phases.map(({startMs}) => startMs).sort((a, b) => a - b))
    expect(exit).toEqual({signal: 'SIGTERM'})
    expect(failure).toBeUndefined()
  })

  test('counts requests by port, path, status and latency', () => {
    const {mode, ports, routes} = report.incoming
    expect(mode).toBe('steal')
    expect(ports).toEqual([expect.objectContaining({port: 8080, stolen: 4, passed: 0})])
    expect(ports[0]!.bytesIn).toBeGreaterThan(200)
    expect(ports[0]!.bytesOut).toBeGreaterThan(200)
    const counted = routes.map(({method, path, statuses, latency}) => ({
      route: `${method} ${path}`,
      statuses,
      answered: latency.reduce((a, b) => a + b),
    }))
    expect(counted).toEqual([
      {route: 'POST /work', statuses: {200: 1}, answered: 1},
      {route: 'GET /users/:id/posts', statuses: {200: 2}, answered: 2},
      {route: 'GET /missing', statuses: {404: 1}, answered: 1},
    ])
  })

  test('counts connections and bytes by destination, with the names that were asked for', async () => {
    const {spec} = await harness.cluster.core.readNamespacedService({name: 'info', namespace: harness.namespace})
    const name = `info.${harness.namespace}.svc.cluster.local`
    const to = (address: string) => report.outgoing.find((row) => row.address === address)
    expect(to(`${spec!.clusterIP}:80`)).toMatchObject({protocol: 'tcp', names: [name], connections: 1, failed: 0})
    expect(to(`${spec!.clusterIP}:80`)!.bytesIn).toBeGreaterThan('info of the cluster'.length)
    expect(to(`${podIp}:9`)).toMatchObject({protocol: 'tcp', connections: 0, failed: 1, bytesIn: 0, bytesOut: 0})
    expect(to(`${remote}/socket`)).toMatchObject({
      protocol: 'unix',
      connections: 1,
      bytesIn: 'pod: '.length + SECRET.length,
      bytesOut: SECRET.length,
    })
    const asked = (start: string) => report.dns.filter((row) => row.name.startsWith(start))
    expect(asked(name)).toEqual([expect.objectContaining({name, failed: 0})])
    const missing = asked('no-such-service.')
    expect(missing.length).toBeGreaterThan(0)
    for (const {queries, failed} of missing) expect(failed).toBe(queries)
  })

  test('names the files of the target that were read and written', () => {
    const {fetched, written} = report.files
    expect(fetched).toContainEqual({path: `${remote}/read`, bytes: SECRET.length})
    expect(written).toContainEqual({path: `${remote}/written`, bytes: WRITTEN})
  })

  test('has nothing of heads, bodies, queries, variables, output and files', () => {
    expect(readFileSync(path.join(folder, 'stdout'), 'utf8')).toBe(`${SECRET} of ${SECRET}\n`)
    expect(text(folder)).not.toContain(SECRET)
  })
})

test('a service that dies during the run is reported with its status, without its output', async () => {
  const job = harness.job()
  try {
    expectExit(await job.start('--target', `deployment/${target}`, '--', node, '-e', program, podIp), 'success')
    const [folder] = job.outputFolders()
    // Its caller never ends its side: the end of the program is all that the session gets to see.
    const {hostname, port} = new URL(address.url)
    const caller = net.connect({host: hostname, port: Number(port) || 80, allowHalfOpen: true})
    onTestFinished(() => void caller.destroy())
    caller.write(`GET /crash?${SECRET} HTTP/1.1\r\nHost: files\r\n\r\n`)
    await until('the last word of the report', () => Promise.resolve(read(folder!).session.endedAt !== undefined))
    const {exit, failure, incoming} = read(folder!)
    expect(exit).toEqual({code: 3})
    expect(failure).toMatchObject({code: 'PROGRAM_CRASHED', exit: 74})
    expect(incoming.routes).toMatchObject([{path: '/crash', statuses: {none: 1}}])
    expect(text(folder!)).not.toContain(SECRET)
    expectExit(await job.stop(), 'programCrashed')
    await harness.nothingLeft(job)
  } finally {
    await harness.finish(job)
  }
})
