import {mkdtemp, writeFile} from 'node:fs/promises'
import http from 'node:http'
import https from 'node:https'
import type {AddressInfo, Server} from 'node:net'
import {tmpdir} from 'node:os'
import path from 'node:path'
import {onTestFinished} from 'vitest'
import {loadCluster, type Cluster, type ClusterChoice} from '../../../src/kube/index.ts'

/** An answer of the fake API server: a status and a JSON body, or whatever a handler writes itself. */
export type Answer = {status?: number; headers?: Record<string, string>; body?: unknown} | 'handled'
export type Handler = (request: http.IncomingMessage, response: http.ServerResponse) => Answer | Promise<Answer>

export interface FakeApi {
  server: Server & http.Server
  url: string
  /** `METHOD path?query` of each request, in order. */
  requests: string[]
  close(): Promise<void>
}

/** An API server whose answers the test decides; TLS when a key and certificate are given. */
export async function fakeApi(handler: Handler, tls?: {key: string; cert: string}): Promise<FakeApi> {
  const requests: string[] = []
  const listener = (request: http.IncomingMessage, response: http.ServerResponse) => {
    requests.push(`${request.method} ${decodeURIComponent(request.url ?? '')}`)
    void Promise.resolve(handler(request, response)).then((answer) => {
      if (answer === 'handled') return
      response.writeHead(answer.status ?? 200, {'content-type': 'application/json', ...answer.headers})
      response.end(JSON.stringify(answer.body ?? {}))
    })
  }
  const server = tls ? https.createServer(tls, listener) : http.createServer(listener)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const {port} = server.address() as AddressInfo
  return {
    server,
    url: `${tls ? 'https' : 'http'}://127.0.0.1:${port}`,
    requests,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

/** A kubeconfig file for one server; `cluster` and `user` add to its entries. */
export async function kubeconfigFor(
  server: string,
  extra: {cluster?: Record<string, unknown>; user?: Record<string, unknown>; namespace?: string} = {},
): Promise<string> {
  const file = path.join(await mkdtemp(path.join(tmpdir(), 'kube-')), 'config')
  const config = {
    clusters: [{name: 'c', cluster: {server, ...extra.cluster}}],
    users: [{name: 'u', user: {token: 'token-of-the-test', ...extra.user}}],
    contexts: [{name: 'test', context: {cluster: 'c', user: 'u', namespace: extra.namespace}}],
    'current-context': 'test',
  }
  await writeFile(file, JSON.stringify(config))
  return file
}

/** A cluster over a fake API server, with retries that do not wait. */
export async function clusterFor(
  server: string,
  extra: Parameters<typeof kubeconfigFor>[1] = {},
  choice: ClusterChoice = {},
): Promise<Cluster> {
  const kubeconfig = await kubeconfigFor(server, extra)
  return loadCluster({kubeconfig, startup_retry: {min_ms: 1, max_ms: 2, max_retries: 2}, ...choice}, {})
}

/** A fake API server that ends with the test in which it is made. */
export async function testApi(...parameters: Parameters<typeof fakeApi>): Promise<FakeApi> {
  const api = await fakeApi(...parameters)
  onTestFinished(() => api.close())
  return api
}

/** A cluster whose connections end with the test in which it is made. */
export async function testCluster(...parameters: Parameters<typeof clusterFor>): Promise<Cluster> {
  const cluster = await clusterFor(...parameters)
  onTestFinished(() => cluster.client.close())
  return cluster
}
