import {once} from 'node:events'
import {readFileSync} from 'node:fs'
import {request, type RequestOptions} from 'node:https'
import type {IncomingMessage} from 'node:http'
import net from 'node:net'
import {setTimeout as pause} from 'node:timers/promises'

import {afterAll, afterEach, beforeAll, describe, expect, test} from 'vitest'

import type {Fault} from '../../../sandbox/api/faults.ts'
import type {Obj} from '../../../sandbox/api/types.ts'
import {Client, cluster, credentials} from './cluster.ts'

const MAPS = '/api/v1/namespaces/default/configmaps'
const match = {resource: 'configmaps'}

describe.skipIf(process.getuid?.() !== 0)('faults of the sandbox (root)', () => {
  let client: Client
  beforeAll(async () => {
    client = await cluster({tokens: [{name: 'dev', groups: [], token: 'good'}]})
  })
  afterAll(() => client?.sandbox.stop())
  afterEach(() => client.sandbox.faults.set([]))

  const set = (...faults: Fault[]) => client.sandbox.faults.set(faults)
  const codes = async (count: number, path = MAPS) => {
    const seen: number[] = []
    for (let i = 0; i < count; i++) seen.push((await client.call('GET', path)).code)
    return seen
  }
  /** A request whose answer has begun; `body` resolves with what came of it and how it ended. */
  const begin = async (path: string, options: RequestOptions = {}) => {
    const {server, tls} = credentials(client.kubeconfig)
    const outgoing = request(server + path, {...tls, agent: false, ...options})
    outgoing.end()
    const [response] = (await once(outgoing, 'response')) as [IncomingMessage]
    outgoing.on('error', () => {}) // the response tells
    let text = ''
    const body = new Promise<{text: string; error?: string}>((resolve) => {
      response.on('data', (chunk: Buffer) => (text += chunk.toString()))
      response.on('end', () => resolve({text}))
      response.on('error', (error: NodeJS.ErrnoException) => resolve({text, error: error.code}))
    })
    return {outgoing, response, body, text: () => text}
  }

  test('hit the first requests, each so manieth, none but those that match', async () => {
    set({match, effect: {answer: 503, retryAfter: 7}, after: 1, times: 2, every: 3})
    expect(await codes(9)).toEqual([200, 503, 503, 200, 200, 503, 200, 200, 503])
    expect(await codes(1, '/api/v1/namespaces/default/secrets')).toEqual([200])
    expect(client.sandbox.faults.list[0]!.hits).toBe(4)
    set({match: {user: 'dev'}, effect: {answer: 401}}, {match: {verb: 'list'}, effect: {answer: 429, retryAfter: 7}})
    const {response, body} = await begin(MAPS)
    expect([response.statusCode, response.headers['retry-after']]).toEqual([429, '7'])
    expect(JSON.parse((await body).text)).toMatchObject({kind: 'Status', reason: 'TooManyRequests', code: 429})
    const dev = new Client(client.sandbox, await client.sandbox.kubeconfigFor({name: 'dev', token: 'good'}))
    expect((await dev.call('GET', '/version')).code).toBe(401)
  })

  test('count each verb and resource on its own', async () => {
    set({effect: {answer: 500}, times: 1})
    expect(await codes(2)).toEqual([500, 200])
    expect(await codes(2, '/api/v1/namespaces/default/secrets')).toEqual([500, 200])
    expect(await codes(2, '/version')).toEqual([500, 200])
  })

  test('make an answer late, slow, or another one', async () => {
    set({match, effect: {delay: 150}})
    const began = performance.now()
    expect(await codes(1)).toEqual([200])
    expect(performance.now() - began).toBeGreaterThan(140)
    set({match, effect: {delay: 150, at: 'body'}})
    const late = await begin(MAPS)
    expect(late.text()).toBe('')
    expect(JSON.parse((await late.body).text)).toMatchObject({kind: 'ConfigMapList'})
    set({match, effect: {trickle: 1}})
    expect(JSON.parse((await (await begin(MAPS)).body).text)).toMatchObject({kind: 'ConfigMapList'})
    set({match: {path: '/version'}, effect: {answer: 200, body: {gitVersion: 'v1.5.0'}}})
    expect((await client.call<Obj>('GET', '/version')).body).toEqual({gitVersion: 'v1.5.0'})
  })

  test('cut before, after and within', async () => {
    const create = (name: string) => client.call('POST', MAPS, {metadata: {name}})
    set({match, effect: {cut: 'before'}})
    await expect(create('a')).rejects.toMatchObject({code: 'ECONNRESET'})
    set({match, effect: {cut: 'after'}})
    await expect(create('b')).rejects.toMatchObject({code: 'ECONNRESET'})
    set()
    const {body} = await client.call<Obj & {items: Obj[]}>('GET', MAPS)
    const names = body.items.map(({metadata}) => metadata.name)
    expect(names).toContain('b')
    expect(names).not.toContain('a')
    set({match, effect: {cut: 20}})
    const cut = await (await begin(MAPS)).body
    expect([cut.text.length, cut.error]).toEqual([20, 'ECONNRESET'])
  })

  test('freeze a request, and what is open', async () => {
    set({match, effect: {freeze: 'before'}})
    const {server, tls} = credentials(client.kubeconfig)
    const asked = request(server + MAPS, {...tls, agent: false})
    asked.end()
    const answered = once(asked, 'response').then(
      () => 'answered',
      () => 'ended',
    )
    expect(await Promise.race([answered, pause(200, 'silent')])).toBe('silent')
    asked.destroy()
    set()
    const watch = await begin(`${MAPS}?watch=true`)
    await client.call('POST', MAPS, {metadata: {name: 'seen'}})
    while (!watch.text().includes('"seen"')) await once(watch.response, 'data')
    set({match: {verb: 'watch'}, effect: {freeze: 0}, open: true})
    expect(client.sandbox.faults.list[0]!.hits).toBe(1)
    await client.call('POST', MAPS, {metadata: {name: 'unseen'}})
    expect(await Promise.race([watch.body, pause(200, 'silent')])).toBe('silent')
    expect(watch.text()).not.toContain('unseen')
    watch.outgoing.destroy()
    const other = await begin(`${MAPS}?watch=true`)
    set({match: {verb: 'watch'}, effect: {cut: 0}, open: true})
    expect(await other.body).toMatchObject({error: 'ECONNRESET'})
  })

  test('are set through the API by the administrator alone', async () => {
    const faults: Fault[] = [{match, effect: {answer: 500}, times: 1}]
    expect((await client.call('PUT', '/sandbox/faults', faults)).body).toEqual([{...faults[0], hits: 0}])
    expect(await codes(2)).toEqual([500, 200])
    expect((await client.call('GET', '/sandbox/faults')).body).toEqual([{...faults[0], hits: 1}])
    expect((await client.call('PUT', '/sandbox/faults', [{match}])).code).toBe(400)
    const dev = new Client(client.sandbox, await client.sandbox.kubeconfigFor({name: 'dev', token: 'good'}))
    expect((await dev.call('PUT', '/sandbox/faults', [])).code).toBe(403)
  })

  test('doors: what is wrong before a request can be made', async () => {
    const {tls} = credentials(client.kubeconfig)
    const code = async (kind: Parameters<typeof client.sandbox.door>[0]) => {
      const asked = request(`${await client.sandbox.door(kind)}/version`, {...tls, agent: false})
      asked.end()
      const [error] = (await once(asked, 'error')) as [NodeJS.ErrnoException]
      return error.code
    }
    expect(await code('expired')).toBe('CERT_HAS_EXPIRED')
    expect(await code('other-name')).toBe('ERR_TLS_CERT_ALTNAME_INVALID')
    expect(await code('unknown-authority')).toMatch(/UNABLE_TO_VERIFY|SELF_SIGNED|UNABLE_TO_GET_ISSUER|CERT_SIGNATURE/)
    expect(await code('plain')).toMatch(/EPROTO|ERR_SSL/)
    const {port} = new URL(await client.sandbox.door('silent'))
    const socket = net.connect(Number(port), '127.0.0.1')
    await once(socket, 'connect')
    socket.write('hello')
    expect(await Promise.race([once(socket, 'data'), pause(100, 'silent')])).toBe('silent')
    socket.destroy()
    expect(readFileSync(client.kubeconfig, 'utf8')).toContain(client.sandbox.server)
  })
})
