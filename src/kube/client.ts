import http from 'node:http'
import https from 'node:https'
import {delay} from '../util/time.ts'
import type {ConnectionOptions, Credentials} from './credentials.ts'
import {apiError, DeadlineError, isStatus, notKubernetes, transportError, type ClusterName} from './errors.ts'
import type {Status} from './objects.ts'
import {pathOf, type Operation} from './operation.ts'
import {describeRetry, isTransient, pauseAfter, withRetryAfter, type RetryPolicy} from './retry.ts'

/** One request. */
export interface Request {
  operation: Operation
  /** Path and query in place of those of the operation. */
  path?: string
  query?: Readonly<Record<string, string | number | boolean | undefined>>
  body?: unknown
  accept?: string
  /** Milliseconds until the answer must begin, and between two parts of it (streams: see `idleMs`). 15 s by default. */
  timeoutMs?: number
  /** Milliseconds after which it is not repeated any more, whatever pause the server asks for. */
  withinMs?: number
  /** Of a stream: milliseconds of silence after which it ends, because its connection may be dead. */
  idleMs?: number
  /** Of a stream: called when it begins. */
  began?: () => void
  signal?: AbortSignal
}

/**
 * A small HTTPS client for the few endpoints that are needed. The library's own API classes are not used because
 * version 2 makes a new connection agent, hence a TLS handshake, for every request, and its watch and log readers have
 * no back-pressure. The library still reads kubeconfigs and supplies every kind of credentials (see credentials.ts).
 */
export interface KubeClient {
  /**
   * Sends a request and reads its JSON. What fails for the moment is repeated, whatever the verb: objects that are created
   * have names of their own. Throws an ApiError or a MirrordError of exit clusterUnreachable.
   */
  json<T>(request: Request): Promise<T>
  /** Opens a stream of text lines (watch, followed log); ends with the server or `idleMs`, throws when the connection breaks. */
  lines(request: Request): AsyncGenerator<string, void, undefined>
  /** The server's clock at its answer, in ms since the epoch, to the second; undefined when it does not tell. */
  clock(): Promise<number | undefined>
  /** Closes idle connections. */
  close(): void
}

const methods = {get: 'GET', list: 'GET', watch: 'GET', create: 'POST', update: 'PUT', delete: 'DELETE'} as const
const defaultTimeoutMs = 15_000
/** An answer that comes in small parts must be whole within this many times its limit. */
const maxParts = 4
const maxErrorBody = 65_536

/** Makes a client over the given credentials; `note` is told of every repetition, in one sentence. */
export function createClient(
  cluster: ClusterName,
  credentials: Credentials,
  retry: RetryPolicy,
  note: (text: string) => void = () => {},
): KubeClient {
  /** What a refused request was sent with. */
  const sentWith = new WeakMap<object, ConnectionOptions>()

  /** Runs a request until it succeeds or shall not be repeated. */
  async function persist<T>(request: Request, once: () => Promise<T>): Promise<T> {
    const began = performance.now()
    const {signal, timeoutMs = defaultTimeoutMs, withinMs = Infinity} = request
    let renewed = false
    for (let failures = 0; ;) {
      try {
        return await once()
      } catch (error) {
        signal?.throwIfAborted()
        // A token may have just expired: one new one, then the refusal counts.
        if (isStatus(error, 401) && !renewed && credentials.renew(sentWith.get(error))) {
          renewed = true
          continue
        }
        // Who has waited in vain is not left to wait much longer: one repetition after a silence, more after quick failures.
        const spent = performance.now() - began
        const late = spent > 1.5 * timeoutMs && !isStatus(error, 429, 503)
        if (late || failures >= retry.max_retries || !isTransient(error)) throw error
        const pauseMs = pauseAfter(error, ++failures, retry)
        if (spent + pauseMs > withinMs) throw error
        note(describeRetry(error, pauseMs))
        await delay(pauseMs, signal)
        signal?.throwIfAborted()
      }
    }
  }

  async function send(request: Request): Promise<http.IncomingMessage> {
    const {operation, body, signal} = request
    const options = await credentials.options()
    const url = new URL(cluster.server + (request.path ?? pathOf(operation)))
    for (const [key, value] of Object.entries(request.query ?? {})) {
      if (value !== undefined) url.searchParams.set(key, String(value))
    }
    const payload = body === undefined ? undefined : JSON.stringify(body)
    const deadline = new AbortController()
    const timer = setTimeout(
      () => deadline.abort(new DeadlineError('no answer')),
      request.timeoutMs ?? defaultTimeoutMs,
    )
    try {
      const response = await new Promise<http.IncomingMessage>((resolve, reject) => {
        const headers = {
          accept: request.accept ?? 'application/json',
          ...options.headers,
          ...(payload === undefined
            ? {}
            : {'content-type': 'application/json', 'content-length': Buffer.byteLength(payload)}),
        }
        const outgoing = (url.protocol === 'http:' ? http : https).request(
          url,
          {...options, headers, method: methods[operation.verb], signal: anySignal(deadline.signal, signal)},
          resolve,
        )
        outgoing.on('error', (error) => {
          // A kept connection that the server has closed meanwhile says nothing about the cluster: try a new one.
          const stale = outgoing.reusedSocket && (error as NodeJS.ErrnoException).code === 'ECONNRESET'
          reject(stale ? new StaleConnection() : error)
        })
        outgoing.end(payload)
      })
      const status = response.statusCode ?? 0
      if (status >= 200 && status < 300) return response
      const refusal = apiError(cluster, operation, status, await readStatus(response))
      sentWith.set(refusal, options)
      throw withRetryAfter(refusal, response)
    } catch (error) {
      if (error instanceof StaleConnection) return await send(request)
      signal?.throwIfAborted()
      throw transportError(cluster, deadline.signal.aborted ? deadline.signal.reason : error, operation)
    } finally {
      clearTimeout(timer)
    }
  }

  async function readJson<T>(request: Request): Promise<T> {
    const {operation, timeoutMs = defaultTimeoutMs} = request
    const response = await send(request)
    const whole = setTimeout(() => response.destroy(new DeadlineError('no end')), maxParts * timeoutMs)
    const silence = watchSilence(response, timeoutMs)
    try {
      const text = await readAll(response, Infinity, silence.heard)
      const value = parse(text) as T | undefined
      if (value === undefined) throw notKubernetes(cluster, operation, response.headers['content-type'], text)
      return value
    } catch (error) {
      request.signal?.throwIfAborted()
      throw transportError(cluster, error, operation)
    } finally {
      clearTimeout(whole)
      silence.end()
    }
  }

  return {
    json: (request) => persist(request, () => readJson(request)),

    async *lines(request: Request) {
      const response = await persist(request, () => send(request))
      request.began?.()
      response.setEncoding('utf8')
      const silence = watchSilence(response, request.idleMs)
      let rest = ''
      try {
        for await (const chunk of response as AsyncIterable<string>) {
          silence.heard()
          const parts = (rest + chunk).split('\n')
          rest = parts.pop()!
          for (const line of parts) if (line !== '') yield line
        }
        if (rest !== '') yield rest
      } catch (error) {
        request.signal?.throwIfAborted()
        if (!(error instanceof DeadlineError)) throw transportError(cluster, error, request.operation)
      } finally {
        silence.end()
        response.destroy()
      }
    },

    async clock() {
      const request: Request = {operation: {verb: 'get', api: 'v1', resource: 'version'}, path: '/version'}
      const answer = await persist(request, () => send(request))
      answer.resume()
      const time = Date.parse(answer.headers.date ?? '')
      return Number.isNaN(time) ? undefined : time
    },

    close: () => credentials.close(),
  }
}

class StaleConnection extends Error {}

/** AbortSignal.any keeps its sources alive for as long as they live; without a second source it is not needed. */
function anySignal(first: AbortSignal, second: AbortSignal | undefined): AbortSignal {
  return second ? AbortSignal.any([first, second]) : first
}

/** Fails a response of which nothing is heard for `ms` milliseconds; without a limit never. */
function watchSilence(response: http.IncomingMessage, ms: number | undefined): {heard(): void; end(): void} {
  const timer = ms === undefined ? undefined : setTimeout(() => response.destroy(new DeadlineError('silence')), ms)
  return {heard: () => void timer?.refresh(), end: () => clearTimeout(timer)}
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

async function readAll(response: http.IncomingMessage, limit: number, heard = () => {}): Promise<string> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of response as AsyncIterable<Buffer>) {
    heard()
    chunks.push(chunk)
    size += chunk.length
    if (size > limit) break
  }
  return Buffer.concat(chunks).toString('utf8')
}

/** The body of a refusal: a Status object, or any text (a proxy's page), of which the first line must do. */
export async function readStatus(response: http.IncomingMessage): Promise<Status> {
  const text = await readAll(response, maxErrorBody)
  try {
    return JSON.parse(text) as Status
  } catch {
    const [line = ''] = text.trim().split('\n')
    return {message: line.startsWith('<') ? undefined : line.slice(0, 300) || undefined}
  }
}
