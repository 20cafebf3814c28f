import {describe, expect, it} from 'vitest'
import {checkCluster} from '../../../src/kube/index.ts'
import {refusal} from '../../refusal.ts'
import {authority} from './certificates.ts'
import {fakeApi, testApi, testCluster} from './fake-api.ts'

const pods = {operation: {verb: 'list', api: 'v1', resource: 'pods', namespace: 'n'}} as const

describe('requests', () => {
  it('send the credentials and keep their connection', async () => {
    const ports = new Set<number | undefined>()
    const seen: (string | undefined)[] = []
    const api = await testApi(({socket, headers}) => {
      ports.add(socket.remotePort)
      seen.push(headers.authorization)
      return {body: {gitVersion: 'v1'}}
    })
    const cluster = await testCluster(api.url)
    await checkCluster(cluster)
    await checkCluster(cluster)
    expect(seen).toEqual(['Bearer token-of-the-test', 'Bearer token-of-the-test'])
    expect(ports.size).toBe(1)
  })

  it.each([429, 500, 503, 504])('are repeated after a %i', async (status) => {
    let count = 0
    const api = await testApi(() => (++count < 3 ? {status} : {body: {items: []}}))
    await (await testCluster(api.url)).client.json(pods)
    expect(count).toBe(3)
  })

  it('are repeated no more often than the configuration says, and not after other refusals', async () => {
    const busy = await testApi(() => ({status: 503, body: {message: 'busy'}}))
    expect(await refusal((await testCluster(busy.url)).client.json(pods))).toMatchObject({
      code: 'CLUSTER_ERROR',
      exit: 'clusterUnreachable',
      why: 'busy',
    })
    expect(busy.requests).toHaveLength(3)
    const gone = await testApi(() => ({status: 404, body: {message: 'gone'}}))
    expect((await refusal((await testCluster(gone.url)).client.json(pods))).code).toBe('NOT_FOUND')
    expect(gone.requests).toHaveLength(1)
  })

  it('are repeated when the server asks for it, and not where that is too late', async () => {
    let count = 0
    const api = await testApi(() => (++count % 2 === 1 ? {status: 429, headers: {'retry-after': '1'}} : {body: {}}))
    const cluster = await testCluster(api.url)
    const began = performance.now()
    await cluster.client.json(pods)
    expect(performance.now() - began).toBeGreaterThan(990)
    const report = await refusal(cluster.client.json({...pods, withinMs: 500}))
    expect(report).toMatchObject({code: 'CLUSTER_ERROR', what: expect.stringContaining('HTTP 429') as string})
    expect(count).toBe(3)
  })

  it('survive a kept connection that the server has closed', async () => {
    let first = true
    const api = await testApi(({socket}) => {
      if (first) setImmediate(() => socket.destroy())
      first = false
      return {body: {gitVersion: 'v1'}}
    })
    const cluster = await testCluster(api.url)
    await checkCluster(cluster)
    await checkCluster(cluster)
  })

  it('tell a refused token without showing it', async () => {
    const api = await testApi(() => ({status: 401, body: {message: 'Unauthorized'}}))
    const report = await refusal(checkCluster(await testCluster(api.url)))
    expect(report).toMatchObject({code: 'UNAUTHORIZED', exit: 'unauthorized'})
    expect(JSON.stringify(report)).not.toContain('token-of-the-test')
  })

  it('take an anonymous identity as missing credentials', async () => {
    const message = 'pods is forbidden: User "system:anonymous" cannot list resource "pods"'
    const api = await testApi(() => ({status: 403, body: {message}}))
    expect((await refusal((await testCluster(api.url)).client.json(pods))).exit).toBe('unauthorized')
  })

  it('name verb, resource and namespace of a missing permission', async () => {
    const api = await testApi(() => ({status: 403, body: {message: 'jobs.batch is forbidden'}}))
    const operation = {verb: 'create', api: 'batch/v1', resource: 'jobs', namespace: 'ci'} as const
    const report = await refusal((await testCluster(api.url)).client.json({operation, body: {}}))
    expect(report).toMatchObject({
      exit: 'forbidden',
      what: 'The credentials may not create jobs.batch in the namespace "ci".',
      why: 'jobs.batch is forbidden',
    })
    expect(report.next.join('\n')).toContain('kubectl auth can-i create jobs.batch -n ci')
  })

  it('take a page of a proxy for what it is', async () => {
    const api = await testApi((_request, response) => {
      response.writeHead(502, {'content-type': 'text/html'}).end('<html>bad gateway</html>')
      return 'handled'
    })
    expect(await refusal(checkCluster(await testCluster(api.url)))).toMatchObject({
      code: 'CLUSTER_ERROR',
      why: undefined,
    })
  })

  it('end with the caller’s signal', async () => {
    const api = await testApi(() => 'handled')
    const cluster = await testCluster(api.url)
    const controller = new AbortController()
    const request = checkCluster(cluster, {signal: controller.signal})
    controller.abort(new Error('stopped'))
    await expect(request).rejects.toThrow('stopped')
  })
})

describe('streams', () => {
  it('give whole lines whatever the chunks are', async () => {
    const api = await testApi((_request, response) => {
      response.writeHead(200)
      for (const byte of Buffer.from('eins\nzwölf\n\nlast')) response.write(Buffer.from([byte]))
      response.end()
      return 'handled'
    })
    const lines: string[] = []
    for await (const line of (await testCluster(api.url)).client.lines(pods)) lines.push(line)
    expect(lines).toEqual(['eins', 'zwölf', 'last'])
  })

  it('fail when the connection breaks', async () => {
    const api = await testApi((_request, response) => {
      response.writeHead(200)
      response.write('one\n', () => response.destroy())
      return 'handled'
    })
    const cluster = await testCluster(api.url)
    const read = async () => {
      for await (const _ of cluster.client.lines(pods));
    }
    expect(await refusal(read())).toMatchObject({code: 'CLUSTER_CUT', exit: 'clusterUnreachable'})
  })

  it('close their connection when the reader stops', async () => {
    const closed = Promise.withResolvers<void>()
    const api = await testApi((request, response) => {
      request.socket.on('close', () => closed.resolve())
      response.writeHead(200)
      response.write('one\n')
      return 'handled'
    })
    for await (const line of (await testCluster(api.url)).client.lines(pods)) {
      expect(line).toBe('one')
      break
    }
    await closed.promise
  })
})

describe('a cluster that cannot be reached', () => {
  const check = async (server: string, cluster: Record<string, unknown> = {}) =>
    refusal(checkCluster(await testCluster(server, {cluster}), {timeoutMs: 2000}))

  it('because its name is unknown', async () => {
    expect(await check('https://no-such-host.invalid')).toMatchObject({code: 'CLUSTER_DNS', exit: 'clusterUnreachable'})
  })

  it('because nothing listens', async () => {
    const api = await fakeApi(() => ({}))
    await api.close()
    expect(await check(api.url.replace('http:', 'https:'))).toMatchObject({code: 'CLUSTER_REFUSED'})
  })

  it('because it does not answer in time', async () => {
    const api = await testApi(() => 'handled')
    const cluster = await testCluster(api.url)
    expect(await refusal(checkCluster(cluster, {timeoutMs: 50}))).toMatchObject({code: 'CLUSTER_TIMEOUT'})
  })

  it('because it does not speak TLS', async () => {
    const api = await testApi(() => ({}))
    expect(await check(api.url.replace('http:', 'https:'))).toMatchObject({code: 'CLUSTER_NOT_TLS'})
  })

  it('because of its certificate: name, authority, time', async () => {
    const [trusted, other] = await Promise.all([authority(), authority()])
    const address = {type: 'ip', value: '127.0.0.1'} as const
    const dayMs = 24 * 60 * 60 * 1000
    const data = Buffer.from(trusted.ca).toString('base64')
    const withCertificate = async (certificate: {key: string; cert: string}, extra: Record<string, unknown> = {}) => {
      const api = await testApi(() => ({body: {gitVersion: 'v1'}}), certificate)
      return {url: api.url, cluster: {'certificate-authority-data': data, ...extra}}
    }
    const name = await withCertificate(await trusted.issue([{type: 'dns', value: 'other.example'}]))
    expect(await check(name.url, name.cluster)).toMatchObject({code: 'CLUSTER_TLS_NAME'})
    const wrong = await withCertificate(await other.issue([address]))
    expect(await check(wrong.url, wrong.cluster)).toMatchObject({code: 'CLUSTER_TLS_AUTHORITY'})
    const late = await withCertificate(await trusted.issue([address], {from: -2 * dayMs, to: -dayMs}))
    expect(await check(late.url, late.cluster)).toMatchObject({code: 'CLUSTER_TLS_TIME'})
    const good = await withCertificate(await trusted.issue([address]))
    await checkCluster(await testCluster(good.url, {cluster: good.cluster}))
    // The ways around: another name to verify, and no verification.
    const named = {...name.cluster, 'tls-server-name': 'other.example'}
    await checkCluster(await testCluster(name.url, {cluster: named}))
    await checkCluster(await testCluster(wrong.url, {cluster: wrong.cluster}, {accept_invalid_certificates: true}))
  })
})
