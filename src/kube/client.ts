import http from 'node:http'
import https from 'node:https'
import {setTimeout as pause} from 'node:timers/promises'
import type {Credentials} from './credentials.ts'
import {apiError, DeadlineError, isStatus, transportError, type ClusterName} from './errors.ts'
import type {Status} from './objects.ts'
import {pathOf, type Operation} from './operation.ts'

/** How requests that met an overloaded server are repeated (configuration section `startup_retry`). */
export interface RetryPolicy {
  min_ms: number
  max_ms: number
  max_retries: number
}

/** One request. */
export interface Request {
  operation: Operation
  /** Path and query in place of those of the operation. */
  path?: string
  query?: Readonly<Record<string, string | number | boolean | undefined>>
  body?: unknown
  accept?: string
  /** Milliseconds until the answer must be complete (streams: until it begins). 15 s by default. */
  timeoutMs?: number
  signal?: AbortSignal
}

/**
 * A small HTTPS client for the few endpoints that are needed. The library's own API classes are not used because
 * version 2 makes a new connection agent, hence a TLS handshake, for every request, and its watch and log readers have
 * no back-pressure. The library still reads kubeconfigs and supplies every kind of credentials (see credentials.ts).
 */
export interface KubeClient {
  /** Sends a request and reads its JSON. Throws an ApiError or a MirrordError of exit clusterUnreachable. */
  json<T>(request: Request): Promise<T>
  /** Opens a stream of text lines (watch, followed log); ends with the server, throws when the connection breaks. */
  lines(request: Request): AsyncGenerator<string, void, undefined>
  /** Closes idle connections. */
  close(): void
}

const methods = {get: 'GET', list: 'GET', watch: 'GET', create: 'POST', delete: 'DELETE'} as const
const defaultTimeoutMs = 15_000
const maxErrorBody = 65_536

/** Makes a client over the given credentials. */
export function createClient(cluster: ClusterName, credentials: Credentials, retry: RetryPolicy): KubeClient {
  async function open(request: Request): Promise<http.IncomingMessage> {
    for (let attempt = 0; ; attempt++) {
      try {
        return await send(request)
      } catch (error) {
        // The credential program's token may have just expired: one new one, then the refusal counts.
        if (isStatus(error, 401) && attempt === 0 && credentials.renew()) continue
        const wait = retryDelay(error, attempt, retry)
        if (wait === undefined) throw error
        await pause(wait, undefined, {signal: request.signal})
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
      throw withRetryAfter(apiError(cluster, operation, status, await readStatus(response)), response)
    } catch (error) {
      if (error instanceof StaleConnection) return await send(request)
      signal?.throwIfAborted()
      throw transportError(cluster, deadline.signal.aborted ? deadline.signal.reason : error)
    } finally {
      clearTimeout(timer)
    }
  }

  return {
    async json<T>(request: Request): Promise<T> {
      const response = await open(request)
      const timer = setTimeout(
        () => response.destroy(new DeadlineError('no end')),
        request.timeoutMs ?? defaultTimeoutMs,
      )
      try {
        return JSON.parse(await readAll(response)) as T
      } catch (error) {
        request.signal?.throwIfAborted()
        throw transportError(cluster, error)
      } finally {
        clearTimeout(timer)
      }
    },

    async *lines(request: Request) {
      const response = await open(request)
      response.setEncoding('utf8')
      let rest = ''
      try {
        for await (const chunk of response as AsyncIterable<string>) {
          const parts = (rest + chunk).split('\n')
          rest = parts.pop()!
          for (const line of parts) if (line !== '') yield line
        }
        if (rest !== '') yield rest
      } catch (error) {
        request.signal?.throwIfAborted()
        throw transportError(cluster, error)
      } finally {
        response.destroy()
      }
    },

    close: () => credentials.close(),
  }
}

class StaleConnection extends Error {}

/** AbortSignal.any keeps its sources alive for as long as they live; without a second source it is not needed. */
function anySignal(first: AbortSignal, second: AbortSignal | undefined): AbortSignal {
  return second ? AbortSignal.any([first, second]) : first
}

const retryAfter = new WeakMap<Error, number>()

function withRetryAfter<E extends Error>(error: E, response: http.IncomingMessage): E {
  const seconds = Number(response.headers['retry-after'])
  if (Number.isInteger(seconds) && seconds >= 0) retryAfter.set(error, Math.min(seconds, 30) * 1000)
  return error
}

/** The pause before another attempt, with jitter; undefined when there shall be none. */
function retryDelay(error: unknown, attempt: number, policy: RetryPolicy): number | undefined {
  if (attempt >= policy.max_retries || !isStatus(error, 429, 500, 502, 503, 504)) return undefined
  const backOff = Math.min(policy.max_ms, policy.min_ms * 2 ** attempt) * (0.75 + Math.random() / 4)
  return Math.max(backOff, retryAfter.get(error) ?? 0)
}

async function readAll(response: http.IncomingMessage, limit = Infinity): Promise<string> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of response as AsyncIterable<Buffer>) {
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
