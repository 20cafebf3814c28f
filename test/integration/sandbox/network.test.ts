import {once} from 'node:events'
import {createHash} from 'node:crypto'

import {afterAll, beforeAll, describe, expect, test} from 'vitest'

import type {Deployment, Obj, Pod, Service} from '../../../sandbox/api/types.ts'
import {DEPLOYMENTS, PODS, SERVICES, cluster, fetchOnce, fetchText, webServer} from './cluster.ts'
import type {Client} from './cluster.ts'

const root = process.getuid?.() === 0
const available = (count: number) => (d: Deployment | undefined) =>
  d?.status?.availableReplicas === count &&
  d.status.updatedReplicas === count &&
  d.status.replicas === count &&
  d.status.observedGeneration === d.metadata.generation

describe.skipIf(!root)('network of the sandbox (root)', () => {
  let client: Client
  let service: Service
  beforeAll(async () => {
    client = await cluster()
    const {deployment, service: port} = webServer('web', 2)
    await client.create(DEPLOYMENTS, deployment)
    service = await client.create<Service>(SERVICES, port)
    await client.until<Deployment>(DEPLOYMENTS, 'web', available(2))
  })
  afterAll(() => client?.sandbox.stop())

  const url = () => `http://${service.spec.clusterIP}/`

  test('a service answers on this machine, from all ready pods, with the caller’s address kept', async () => {
    const seen = new Set<string>()
    for (let i = 0; i < 40 && seen.size < 2; i++) seen.add(await fetchText(url()))
    expect(seen.size).toBe(2)
    expect([...seen].every((text) => text.includes(client.sandbox.addresses.host))).toBe(true)
  })

  test('a service answers in a pod by its DNS names', async () => {
    const names = ['web', 'web.default', 'web.default.svc.cluster.local']
    const script = `Promise.all(${JSON.stringify(names)}.map((n) => fetch('http://' + n).then((r) => r.text()))).then((all) => console.log(all.join('\\n')))`
    await client.pod('caller', {image: 'localhost/node:1', args: ['-e', script]})
    const output = await client.output('caller')
    expect(output.match(/^hello web-/gm)).toHaveLength(3)
  })

  test('a pod reaches itself through its own service', async () => {
    const {deployment, service: port} = webServer('loop', 1)
    await client.create(DEPLOYMENTS, deployment)
    await client.create(SERVICES, port)
    await client.until<Deployment>(DEPLOYMENTS, 'loop', available(1))
    const {body} = await client.call<{items: Pod[]}>('GET', `${PODS}?labelSelector=app%3Dloop`)
    const pod = body.items[0]!
    const path = `${PODS}/${pod.metadata.name}/ephemeralcontainers`
    const probe = {
      name: 'probe',
      image: 'localhost/node:1',
      args: ['-e', "fetch('http://loop').then((r) => r.text()).then(console.log)"],
    }
    await client.call(
      'PATCH',
      path,
      {spec: {ephemeralContainers: [probe]}},
      {'content-type': 'application/strategic-merge-patch+json'},
    )
    await client.until<Pod>(
      PODS,
      pod.metadata.name,
      (p) => p?.status.ephemeralContainerStatuses?.[0]?.state.terminated !== undefined,
    )
    expect((await client.call<string>('GET', `${PODS}/${pod.metadata.name}/log?container=probe`)).body).toMatch(
      /^hello loop-/,
    )
  })

  test('DNS: pod names, headless services, SRV, names that do not exist', async () => {
    await client.create(SERVICES, {
      metadata: {name: 'bare'},
      spec: {clusterIP: 'None', selector: {app: 'web'}, ports: [{name: 'http', port: 80, targetPort: 'http'}]},
    })
    await client.until<Obj>('/api/v1/namespaces/default/endpoints', 'bare', (e) =>
      Boolean((e?.subsets as unknown[] | undefined)?.length),
    )
    const script = `
      const dns = require('dns').promises
      const code = (p) => p.then((x) => x, (e) => e.code)
      Promise.all([
        code(dns.resolve4('bare.default.svc.cluster.local')),
        code(dns.resolveSrv('_http._tcp.bare.default.svc.cluster.local')),
        code(dns.resolve4('nothing.default.svc.cluster.local')),
        code(dns.resolve6('web.default.svc.cluster.local')),
        code(dns.resolve4(process.env.IP.replaceAll('.', '-') + '.default.pod.cluster.local')),
      ]).then((all) => console.log(JSON.stringify(all)))`
    await client.pod('resolver', {
      image: 'localhost/node:1',
      args: ['-e', script],
      env: [{name: 'IP', valueFrom: {fieldRef: {fieldPath: 'status.podIP'}}}],
    })
    const [bare, srv, nothing, six, pod] = JSON.parse(await client.output('resolver')) as [
      string[],
      {port: number}[],
      string,
      string,
      string[],
    ]
    expect(bare).toHaveLength(2)
    expect(srv.map(({port}) => port)).toEqual([8080, 8080])
    expect(nothing).toBe('ENOTFOUND')
    expect(six).toBe('ENODATA')
    expect(pod[0]).toMatch(/^10\.211\./)
  })

  test('a rolling update never leaves the service without an answer, and scaling works', async () => {
    let running = true
    const answers: string[] = []
    const load = (async () => {
      while (running) answers.push(await fetchText(url()))
    })()
    const change = {spec: {template: webServer('web', 2, 'changed').deployment.spec.template}}
    await client.call('PATCH', `${DEPLOYMENTS}/web`, change, {'content-type': 'application/strategic-merge-patch+json'})
    await client.until<Deployment>(DEPLOYMENTS, 'web', available(2))
    running = false
    await load
    expect(answers.length).toBeGreaterThan(0)
    // Rules follow the endpoints a few milliseconds later, as kube-proxy's do.
    await expect.poll(() => fetchText(url()), {timeout: 5000}).toMatch(/^changed /)
    await client.call(
      'PATCH',
      `${DEPLOYMENTS}/web/scale`,
      {spec: {replicas: 1}},
      {'content-type': 'application/merge-patch+json'},
    )
    await client.until<Deployment>(DEPLOYMENTS, 'web', available(1))
  })

  test('a service without ready pods refuses', async () => {
    const empty = await client.create<Service>(SERVICES, {
      metadata: {name: 'empty'},
      spec: {selector: {app: 'none'}, ports: [{port: 80}]},
    })
    await expect(fetchOnce(`http://${empty.spec.clusterIP}/`)).rejects.toThrow(/ECONNREFUSED|EHOSTUNREACH/)
  })

  test('port-forward: two ports in one WebSocket, a dead port, what the server says first', async () => {
    const script =
      "require('net').createServer((s) => { s.write('welcome '); s.on('data', (d) => s.end('echo ' + d)) }).listen(7000, '127.0.0.1', () => console.log('up'))"
    await client.pod('echo', {
      image: 'localhost/node:1',
      args: ['-e', script],
      readinessProbe: {exec: {command: ['/bin/sh', '-c', 'grep -q 1B58 /proc/net/tcp']}},
    })
    await client.until<Pod>(PODS, 'echo', (pod) => pod?.status.containerStatuses?.[0]?.ready === true)
    const ws = client.forward('echo', [7000, 7001])
    const data = ['', '', '', '']
    ws.on('message', (message: Buffer) => (data[message[0]!] += message.subarray(1).toString('latin1')))
    await once(ws, 'open')
    expect(ws.protocol).toBe('v4.channel.k8s.io')
    ws.send(Buffer.concat([Buffer.from([0]), Buffer.from('me')]))
    const [code] = (await once(ws, 'close')) as [number]
    expect(code).toBe(1000)
    expect(data[0]).toBe('\x58\x1bwelcome echo me')
    expect(data[1]).toBe('\x58\x1b')
    expect(data[2]).toBe('\x59\x1b')
    expect(data[3]).toContain('connection refused')
  })

  test('port-forward: only v4 is spoken; wrong ports and pods are refused before the upgrade', async () => {
    const refused = async (pod: string, ports: number[], protocols?: string[]) => {
      const ws = client.forward(pod, ports, protocols)
      const [error] = (await once(ws, 'error')) as [Error]
      return error.message
    }
    expect(await refused('echo', [1], ['v5.channel.k8s.io'])).toContain('403')
    expect(await refused('echo', [])).toContain('400')
    expect(await refused('nobody', [1])).toContain('404')
  })

  test('port-forward: a reader that stops, stops the pod; a pod that stops reading, stops the client', async () => {
    const size = 48 * 1024 * 1024
    const script = `
      let sent = 0
      const net = require('net')
      net.createServer((s) => {
        const chunk = Buffer.alloc(65536, 7)
        const go = () => { while (sent < ${size}) { sent += chunk.length; if (!s.write(chunk)) return s.once('drain', go) } s.end() }
        go()
      }).listen(7000)
      net.createServer((s) => s.pause()).listen(7002)
      // The probe cuts its connection: that is no reason to end.
      process.on('uncaughtException', () => {})
      net.createServer((s) => s.end(String(sent))).listen(7001, () => console.log('up'))`
    await client.pod('flood', {
      image: 'localhost/node:1',
      args: ['-e', script],
      readinessProbe: {tcpSocket: {port: 7001}},
    })
    const pod = await client.until<Pod>(PODS, 'flood', (p) => p?.status.containerStatuses?.[0]?.ready === true)
    const progress = () =>
      new Promise<number>((resolve, reject) => {
        void import('node:net').then(({connect}) => {
          const socket = connect(7001, pod.status.podIP)
          socket.on('data', (text) => resolve(Number(text.toString())))
          socket.on('error', reject)
        })
      })
    /** Asks until two answers are the same: the sender has come to a halt. */
    const halted = async () => {
      for (let last = -1; ;) {
        await new Promise((resolve) => setTimeout(resolve, 150))
        const now = await progress()
        if (now === last) return now
        last = now
      }
    }
    const ws = client.forward('flood', [7000])
    await once(ws, 'open')
    let received = 0
    const hash = createHash('sha256')
    ws.on('message', (message: Buffer) => {
      if (message[0] !== 0) return
      received += message.length - 1
      hash.update(message.subarray(1))
    })
    ws.pause()
    const sent = await halted()
    expect(sent).toBeLessThan(size / 2)
    ws.resume()
    await once(ws, 'close')
    expect(received).toBe(size + 2)

    const push = client.forward('flood', [7002])
    await once(push, 'open')
    const chunk = Buffer.concat([Buffer.from([0]), Buffer.alloc(65_536, 9)])
    let given = 0
    while (push.bufferedAmount < 8 * 1024 * 1024 && given < size) {
      push.send(chunk)
      given += chunk.length
      await new Promise((resolve) => setImmediate(resolve))
    }
    expect(given).toBeLessThan(size)
    push.terminate()
  })
})
