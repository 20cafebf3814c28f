import {randomBytes} from 'node:crypto'
import {readFileSync, writeFileSync} from 'node:fs'
import net from 'node:net'
import path from 'node:path'
import {afterAll, describe, expect, inject, test} from 'vitest'
import {harness, job} from './support/each-test.ts'
import {expectExit} from './support/harness.ts'
import {request} from './support/http.ts'
import {programs} from './support/programs.ts'
import {until} from './support/until.ts'

const built = programs()
afterAll(() => built.dispose())
const [program] = built.all
const long = process.env.MIRRORD_LONG !== undefined

/** The agent's guard and the child that it guards, as processes of this machine. */
function agent(): {guard: number; child: number} {
  const found = harness.agentProcesses()
  const guard = found[0]
  const child = found.findLast(({pid}) => !found.some(({parent}) => parent === pid))
  if (!guard || !child || guard.pid === child.pid) {
    throw new Error(
      `No agent with a child: ${JSON.stringify(found.map(({pid, parent, command}) => [pid, parent, command]))}`,
    )
  }
  return {guard: guard.pid, child: child.pid}
}

/** SIGKILL for the first, and for those of the others that do not end together with it: a guard takes its child along. */
function kill([first, ...others]: number[]): void {
  process.kill(first!, 'SIGKILL')
  for (const pid of others) {
    try {
      process.kill(pid, 'SIGKILL')
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
    }
  }
}

const log = () => readFileSync(path.join(job.outputFolders().at(-1)!, 'mirrord.log'), 'utf8')
const taken = (times = 1) => (log().match(/has taken over/g)?.length ?? 0) >= times
const status = async () =>
  (JSON.parse((await job.run(['ci', 'status', '--json'])).stdout) as Record<string, unknown>[])[0]!

const onAnyCluster = [
  {
    victim: "the agent's pod, by its deletion,",
    kill: async () => {
      const {cluster, namespace} = harness
      const {items} = await cluster.batch.listNamespacedJob({namespace, labelSelector: 'app=mirrord'})
      for (const {metadata} of items)
        await cluster.batch.deleteNamespacedJob({name: metadata!.name!, namespace, propagationPolicy: 'Background'})
    },
  },
]
const whereAgentsAreLocal = [
  {victim: "the agent's child", kill: () => kill([agent().child])},
  {victim: 'the whole agent', kill: () => kill(Object.values(agent()))},
]

async function check({kill}: {kill: () => void | Promise<void>}): Promise<void> {
  expectExit(await job.start('--target', 'deployment/echo', '--', ...program!.words(8080, 'local')), 'success')
  expect((await harness.who()).who).toBe('local')

  await kill()

  await until('another agent', () => taken(), {timeout: 30_000})
  await until('stolen traffic', async () => (await harness.who()).who === 'local')
  expect(await harness.ask('info')).toMatchObject({who: 'local', answer: expect.any(String) as string})
  expect(await status()).toMatchObject({state: 'ready', reconnectingSince: null})
  expect(log()).toContain('warning: the agent is lost')
  expectExit(await job.stop(), 'success')
  await harness.deployedAgain()
  await harness.nothingLeft(job)
}

describe('another agent takes over after the SIGKILL of', () => {
  test.each(onAnyCluster)('[LIF-24] $victim', check)
  // An agent on another machine cannot be killed from here.
  test.skipIf(inject('clusterKind') === 'remote').each(whereAgentsAreLocal)('[LIF-24] $victim', check)
})

/** Between the CLI and the API server; `freeze` lets what is connected hang, without an end, as a lost network does. */
async function gateway(server: string) {
  const {hostname, port} = new URL(server)
  const sockets = new Set<net.Socket>()
  const listener = net.createServer((client) => {
    const upstream = net.connect(Number(port), hostname)
    for (const socket of [client, upstream]) {
      sockets.add(socket)
      socket.on('error', () => socket.destroy())
      socket.on('close', () => sockets.delete(socket))
    }
    client.pipe(upstream).pipe(client)
    client.on('close', () => upstream.destroy())
  })
  await new Promise<void>((resolve) => listener.listen(0, '127.0.0.1', resolve))
  const frozen: net.Socket[] = []
  return {
    port: (listener.address() as net.AddressInfo).port,
    freeze() {
      for (const socket of sockets) {
        socket.unpipe()
        socket.pause()
        frozen.push(socket)
      }
    },
    close() {
      listener.close()
      for (const socket of [...sockets, ...frozen]) socket.destroy()
    },
  }
}

test('[CLN-08] a connection that hangs is found and replaced, without the old agent knowing', async () => {
  const kubeconfig = JSON.parse(readFileSync(harness.kubeconfig, 'utf8')) as {
    clusters: {cluster: {server: string; 'tls-server-name'?: string}}[]
  }
  const [{cluster}] = kubeconfig.clusters as [(typeof kubeconfig.clusters)[0]]
  const way = await gateway(cluster.server)
  try {
    cluster['tls-server-name'] = new URL(cluster.server).hostname
    cluster.server = `https://127.0.0.1:${way.port}`
    const file = path.join(job.folder, 'kubeconfig')
    writeFileSync(file, JSON.stringify(kubeconfig))
    // By default it takes 7 to 14 s to find out.
    const config = path.join(job.folder, 'mirrord.json')
    writeFileSync(config, long ? '{}' : '{"internal_proxy": {"ping_interval": 1}}')
    const words = ['--target', 'deployment/echo', '--kubeconfig', file, '-f', config]
    expectExit(await job.start(...words, '--', ...program!.words(8080, 'local')), 'success')
    expect((await harness.who()).who).toBe('local')
    way.freeze()
    await until('another agent', () => taken(), {timeout: 60_000})
    expect(log()).toMatch(/PING_TIMEOUT/)
    await until('stolen traffic', async () => (await harness.who()).who === 'local')
    expectExit(await job.stop(), 'success')
    await harness.deployedAgain()
    await harness.nothingLeft(job)
  } finally {
    way.close()
  }
})

/** A server that ends as a good one does: it still answers while the service forgets it. */
const deployed = `const server = require('http').createServer((q, r) => r.end('deployed')).listen(8080)
process.on('SIGTERM', () => setTimeout(() => process.exit(0), 5000))`
const local = `require('http').createServer((q, r) => r.end('local')).listen(8080)`

const namespace = `recovery-${randomBytes(3).toString('hex')}`
const labels = {app: 'web'}
const web = {
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  metadata: {name: 'web'},
  spec: {
    replicas: 1,
    selector: {matchLabels: labels},
    strategy: {type: 'RollingUpdate', rollingUpdate: {maxUnavailable: 0, maxSurge: 1}},
    template: {
      metadata: {labels},
      spec: {
        terminationGracePeriodSeconds: 10,
        containers: [
          {
            name: 'main',
            image: 'localhost/node:1',
            imagePullPolicy: 'IfNotPresent',
            args: ['-e', deployed],
            readinessProbe: {tcpSocket: {port: 8080}, periodSeconds: 1},
          },
        ],
      },
    },
  },
}
const service = {
  apiVersion: 'v1',
  kind: 'Service',
  metadata: {name: 'web'},
  spec: {selector: labels, ports: [{port: 80, targetPort: 8080}]},
}

describe('a roll-out', () => {
  const deploy = async () => {
    const {cluster} = harness
    await cluster.createNamespace(namespace)
    await cluster.create(namespace, [web, service].map((object) => JSON.stringify(object)).join('\n---\n'))
    await cluster.waitAvailable(namespace, 'web')
    return cluster.serviceUrl(namespace, 'web')
  }
  afterAll(() => harness.cluster.deleteNamespace(namespace))

  test('fails no request, and the pod that follows is stolen from; scaled to zero, the session ends: [EXIT-53]', async () => {
    const {url, close} = await deploy()
    const config = path.join(job.folder, 'mirrord.json')
    writeFileSync(config, '{"agent": {"startup_timeout": 5}}')
    const words = ['-t', 'deployment/web', '-n', namespace, '-f', config, '--', process.execPath, '-e', local]
    expectExit(await job.run(['ci', 'start', ...words]), 'success')
    const body = async () => (await request(`${url}/`)).body
    expect(await body()).toBe('local')
    const {pod: before} = await status()

    let running = true
    const failed: string[] = []
    const answers: string[] = []
    const load = (async () => {
      while (running)
        await body().then(
          (text) => answers.push(text),
          (error: Error) => failed.push(`${new Date().toISOString()} ${error.message}`),
        )
    })()
    await restart()
    const after = await until('the new pod', async () => {
      const [pod, ...others] = await harness.cluster.pods(namespace, 'web')
      const name = pod?.metadata?.name
      return others.length === 0 && name !== before && pod?.status?.containerStatuses?.[0]?.ready ? name : undefined
    })
    await until('the agent on it', () => taken(), {timeout: 5000})
    expect(await status()).toMatchObject({pod: after, reconnectingSince: null})
    // Of the pod that goes nothing is left, and its agent has ended.
    await until('the end of the old pod', async () => {
      const {items} = await harness.cluster.core.listNamespacedPod({namespace, labelSelector: 'app=web'})
      return items.length === 1
    })
    await until('the end of its agent', async () => (await harness.cluster.agents(harness.namespace)).length <= 2)
    answers.length = 0
    await until('answers of the new pod', () => answers.length > 20)
    expect(new Set(answers)).toEqual(new Set(['local']))
    running = false
    await load
    expect(failed, log()).toEqual([])
    expect(log()).not.toContain('the agent is lost')

    await scale(0)
    await until('the end of everything that the job started', () => job.processes().length === 0, {timeout: 60_000})
    const stopped = await job.stop()
    expectExit(stopped, 'agentLost')
    expect(stopped.stderr).toMatch(/deployment\/web/)
    await until('the end of every agent', async () => (await harness.cluster.agents(harness.namespace)).length === 0)
    close()
  })

  const patch = (body: object[]) => harness.cluster.apps.patchNamespacedDeployment({name: 'web', namespace, body})
  const restart = () =>
    patch([{op: 'add', path: '/spec/template/metadata/annotations', value: {restarted: new Date().toISOString()}}])
  const scale = (replicas: number) => patch([{op: 'replace', path: '/spec/replicas', value: replicas}])
})
