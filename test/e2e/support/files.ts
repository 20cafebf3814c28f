import {request} from './http.ts'

/** What files.test.ts deploys: `files`, which shows and makes files of its own file system on demand. */

/** Where the tests' remote files are; nobody has it on this machine. */
export const remoteFolder = '/srv/mirrord-files'

const program = `
const fs = require('fs'), http = require('http'), net = require('net'), path = require('path'), crypto = require('crypto')
const root = '${remoteFolder}'
fs.mkdirSync(root, {recursive: true})
net.createServer((socket) => {
  socket.on('error', () => {})
  socket.once('data', (data) => socket.end('pod: ' + data))
}).listen(root + '/socket')
const show = (file) => {
  const {mode, size, mtimeMs} = fs.lstatSync(file)
  const regular = (mode & 0o170000) === 0o100000
  const data = regular ? fs.readFileSync(file) : ''
  return {
    regular, mode: (mode & 0o7777).toString(8), size, modified: mtimeMs / 1000,
    text: size < 65536 ? String(data) : '', sha256: crypto.createHash('sha256').update(data).digest('hex'),
  }
}
const write = (file, query, body) => {
  fs.mkdirSync(path.dirname(file), {recursive: true})
  const size = Number(query.get('size') || 0)
  fs.writeFileSync(file, size ? crypto.createHash('shake256', {outputLength: size}).update(file).digest() : Buffer.from(body, 'base64'))
  fs.chmodSync(file, parseInt(query.get('mode') || '644', 8))
}
http.createServer((request, response) => {
  const {pathname, searchParams} = new URL(request.url, 'http://pod')
  let body = ''
  request.setEncoding('latin1').on('data', (chunk) => { body += chunk })
  request.on('end', () => {
    try {
      if (request.method === 'POST') write(pathname, searchParams, body)
      response.end(JSON.stringify(show(pathname)))
    } catch (error) {
      response.statusCode = error.code === 'ENOENT' ? 404 : 500
      response.end(error.stack)
    }
  })
}).listen(8080, '::')
process.on('SIGTERM', () => process.exit(0))
`

/** The manifests of a Deployment and its Service as YAML documents (JSON is YAML). The files of a worker share a namespace: each has a name of its own. */
export function filesManifests(name: string): string {
  const labels = {app: name}
  const container = {
    name: 'main',
    image: 'localhost/node:1',
    imagePullPolicy: 'IfNotPresent',
    args: ['-e', program],
    readinessProbe: {tcpSocket: {port: 8080}, periodSeconds: 1},
  }
  const template = {metadata: {labels}, spec: {terminationGracePeriodSeconds: 2, containers: [container]}}
  const metadata = {name}
  return [
    {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata,
      spec: {replicas: 1, selector: {matchLabels: labels}, template},
    },
    {apiVersion: 'v1', kind: 'Service', metadata, spec: {selector: labels, ports: [{port: 80, targetPort: 8080}]}},
  ]
    .map((object) => JSON.stringify(object))
    .join('\n---\n')
}

/** A file as the pod sees it. */
export interface Seen {
  regular: boolean
  /** Permission bits, octal. */
  mode: string
  size: number
  /** Seconds since 1970. */
  modified: number
  /** Its content, if it is short. */
  text: string
  sha256: string
}

/** The file system of the target pod. */
export class PodFiles {
  readonly #url: string
  constructor(url: string) {
    this.#url = url
  }

  /** What the pod sees at a path; undefined where nothing is. */
  async see(path: string): Promise<Seen | undefined> {
    const {status, body} = await request(`${this.#url}${path}`, {timeout: 30_000})
    if (status === 404) return undefined
    if (status !== 200) throw new Error(`${path} in the pod: ${body}`)
    return JSON.parse(body) as Seen
  }

  /** Makes a file with its directories; with `size` in bytes instead of content, one of random ones. */
  async make(path: string, content: string | Buffer, options: {mode?: string; size?: number} = {}): Promise<Seen> {
    const query = Object.entries(options)
      .map(([name, value]) => `${name}=${value}`)
      .join('&')
    const data = Buffer.from(content).toString('base64')
    const {status, body} = await request(`${this.#url}${path}?${query}`, {body: data, timeout: 60_000})
    if (status !== 200) throw new Error(`${path} in the pod: ${body}`)
    return JSON.parse(body) as Seen
  }
}
