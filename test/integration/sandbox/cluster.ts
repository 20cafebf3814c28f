import {execFile} from 'node:child_process'
import {request} from 'node:https'
import {readFileSync} from 'node:fs'
import {get as httpGet} from 'node:http'

import {WebSocket} from 'ws'
import {parse} from 'yaml'

import {startSandbox} from '../../../sandbox/sandbox.ts'
import type {Sandbox, SandboxOptions} from '../../../sandbox/sandbox.ts'
import type {Obj, Pod} from '../../../sandbox/api/types.ts'

export interface Answer<T = Obj> {
  code: number
  body: T
}

/** TLS parameters of a kubeconfig's only user. */
export function credentials(kubeconfig: string) {
  const config = parse(readFileSync(kubeconfig, 'utf8')) as {
    clusters: {cluster: {server: string; 'certificate-authority-data': string}}[]
    users: {user: {'client-certificate-data'?: string; 'client-key-data'?: string; token?: string}}[]
  }
  const {cluster} = config.clusters[0]!
  const {user} = config.users[0]!
  const pem = (text: string | undefined) => (text === undefined ? undefined : Buffer.from(text, 'base64'))
  return {
    server: cluster.server,
    token: user.token,
    tls: {
      ca: pem(cluster['certificate-authority-data']),
      cert: pem(user['client-certificate-data']),
      key: pem(user['client-key-data']),
    },
  }
}

/** A small client of one sandbox: plain requests, waiting on watches, port-forward. */
export class Client {
  readonly sandbox: Sandbox
  readonly kubeconfig: string

  constructor(sandbox: Sandbox, kubeconfig = sandbox.kubeconfig) {
    this.sandbox = sandbox
    this.kubeconfig = kubeconfig
  }

  /** One request; a string answer when the body is not JSON. */
  call<T = Obj>(
    method: string,
    path: string,
    body?: unknown,
    headers: Record<string, string> = {},
  ): Promise<Answer<T>> {
    const {server, tls, token} = credentials(this.kubeconfig)
    const text = body === undefined ? undefined : JSON.stringify(body)
    return new Promise((resolve, reject) => {
      const options = {
        method,
        ...tls,
        headers: {'content-type': 'application/json', ...(token && {authorization: `Bearer ${token}`}), ...headers},
      }
      const call = request(server + path, options, (response) => {
        let data = ''
        response.on('data', (chunk: Buffer) => (data += chunk.toString()))
        response.on('end', () => {
          const json = response.headers['content-type']?.includes('json')
          resolve({code: response.statusCode!, body: (json ? JSON.parse(data) : data) as T})
        })
      })
      call.on('error', reject)
      call.end(text)
    })
  }

  /** Creates an object; fails the test on anything but 201. */
  async create<T extends Obj>(path: string, object: object): Promise<T> {
    const {code, body} = await this.call<T>('POST', path, object)
    if (code !== 201) throw new Error(`POST ${path}: ${code} ${JSON.stringify(body)}`)
    return body
  }

  /** Resolves with the object once the test holds for it; `gone` is called with undefined after its removal. */
  until<T extends Obj>(
    collection: string,
    name: string,
    test: (object: T | undefined) => boolean,
    seconds = 30,
  ): Promise<T> {
    const {server, tls} = credentials(this.kubeconfig)
    return new Promise((resolve, reject) => {
      let last: T | undefined
      const call = request(
        `${server}${collection}?watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true&fieldSelector=metadata.name%3D${name}`,
        tls,
        (response) => {
          let text = ''
          response.on('data', (chunk: Buffer) => {
            text += chunk.toString()
            for (let at = text.indexOf('\n'); at >= 0; at = text.indexOf('\n')) {
              const event = JSON.parse(text.slice(0, at)) as {type: string; object: T}
              text = text.slice(at + 1)
              const over = event.type === 'BOOKMARK' || event.type === 'DELETED'
              if (event.type === 'BOOKMARK' && last) continue
              if (!over) last = event.object
              if (!test(over ? undefined : event.object)) continue
              clearTimeout(timer)
              call.destroy()
              return resolve(event.object)
            }
          })
          response.on('error', () => {})
        },
      )
      const timer = setTimeout(() => {
        call.destroy()
        reject(new Error(`${collection}/${name} did not get there; last: ${JSON.stringify(last?.status ?? last)}`))
      }, seconds * 1000)
      call.on('error', (error) => {
        clearTimeout(timer)
        reject(error)
      })
      call.end()
    })
  }

  /** Creates a pod of one container `c` and returns its name. */
  async pod(name: string, container: object, spec: object = {}): Promise<Pod> {
    const containers = [{name: 'c', image: 'localhost/host:1', ...container}]
    const body = {
      metadata: {name, labels: {app: name}},
      spec: {terminationGracePeriodSeconds: 0, restartPolicy: 'Never', containers, ...spec},
    }
    return this.create<Pod>(PODS, body)
  }

  /** The log of a container that has ended. */
  async output(pod: string, query = ''): Promise<string> {
    await this.until<Pod>(PODS, pod, (p) => ['Succeeded', 'Failed'].includes(p?.status.phase ?? ''))
    return (await this.call<string>('GET', `${PODS}/${pod}/log${query}`)).body
  }

  /** Opens a port-forward. */
  forward(pod: string, ports: number[], protocols = ['v5.channel.k8s.io', 'v4.channel.k8s.io']): WebSocket {
    const {server, tls} = credentials(this.kubeconfig)
    const query = ports.map((port) => `ports=${port}`).join('&')
    const url = `${server.replace('https', 'wss')}${PODS}/${pod}/portforward?${query}`
    return new WebSocket(url, protocols, {...tls, perMessageDeflate: false})
  }
}

export const PODS = '/api/v1/namespaces/default/pods'
export const SERVICES = '/api/v1/namespaces/default/services'
export const DEPLOYMENTS = '/apis/apps/v1/namespaces/default/deployments'
export const JOBS = '/apis/batch/v1/namespaces/default/jobs'

/** Starts a sandbox and a client of it. */
export async function cluster(options?: SandboxOptions): Promise<Client> {
  return new Client(await startSandbox(options))
}

/** GET over plain HTTP from this machine; a refused connection is tried again for 5 s, as rules follow readiness. */
export async function fetchText(url: string): Promise<string> {
  for (const end = Date.now() + 5000; ;) {
    try {
      return await fetchOnce(url)
    } catch (error) {
      if (Date.now() > end || !/ECONNREFUSED/.test((error as Error).message)) throw error
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
  }
}

/** GET over plain HTTP from this machine. */
export function fetchOnce(url: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const call = httpGet(url, {agent: false, timeout: 5000}, (response) => {
      let text = ''
      response.on('data', (chunk: Buffer) => (text += chunk.toString()))
      response.on('end', () => resolve(text))
    })
    call.on('timeout', () => call.destroy(new Error('timeout')))
    call.on('error', reject)
  })
}

/** Runs a program; rejects with its error output. */
export function command(file: string, args: string[], env: Record<string, string> = {}): Promise<string> {
  return new Promise((resolve, reject) => {
    execFile(file, args, {env: {...process.env, ...env}}, (error, stdout, stderr) => {
      if (error) reject(new Error(`${file} ${args.join(' ')}: ${stderr || error.message}`))
      else resolve(stdout)
    })
  })
}

/** Deployment and Service of a small HTTP server that answers `<text> <host name>`. */
export const webServer = (name: string, replicas: number, text = 'hello') => ({
  deployment: {
    metadata: {name, labels: {app: name}},
    spec: {
      replicas,
      selector: {matchLabels: {app: name}},
      template: {
        metadata: {labels: {app: name}},
        spec: {
          terminationGracePeriodSeconds: 1,
          containers: [
            {
              name: 'web',
              image: 'localhost/node:1',
              args: [
                '-e',
                `require('http').createServer((q, s) => s.end('${text} ' + require('os').hostname() + ' ' + q.socket.remoteAddress)).listen(8080, () => console.log('listening'))`,
              ],
              ports: [{name: 'http', containerPort: 8080}],
              readinessProbe: {httpGet: {path: '/', port: 'http'}},
            },
          ],
        },
      },
    },
  },
  service: {metadata: {name}, spec: {selector: {app: name}, ports: [{port: 80, targetPort: 'http'}]}},
})
