import http from 'node:http'
import https from 'node:https'
import {isIP} from 'node:net'
import {isLoopback, type HttpProbe} from '../../config/index.ts'
import type {Address} from '../../trap/trap.ts'
import {describeError, tryEndpoints} from './endpoints.ts'
import type {Listeners} from './listeners.ts'
import type {Probe} from './probe.ts'
import {repeat, type Attempt} from './repeat.ts'

/** One attempt, in milliseconds, until the answer's head is there. */
const ATTEMPT_MS = 5000
/** The answer's body may take this long, so that no server meets a reset; endless ones are cut off then. */
const BODY_MS = 1000

/** A URL answers with an expected status. Redirects are answers of their own. */
export function httpProbe({url, status}: HttpProbe, listeners: Listeners): Probe {
  const target = new URL(url)
  const label = `GET ${shown(target)}`
  const host = target.hostname.replace(/^\[|\]$/g, '')
  const port = Number(target.port || (target.protocol === 'https:' ? 443 : 80))
  return {
    label,
    hints: ['Ask the same URL by hand; --ready-http URL=STATUS names another status, for example =401 or =4xx.'],
    wait: (signal, tell) =>
      repeat(
        () =>
          tryEndpoints(host, port, listeners, async (endpoint) => {
            const answer = await get(target, host, endpoint, signal)
            if (typeof answer === 'string') return {failure: answer} satisfies Attempt
            return status.some(([from, to]) => answer >= from && answer <= to)
              ? {ready: `${label} answered ${answer}`}
              : {failure: `it answered ${answer}, expected ${describe(status)}`}
          }),
        listeners,
        signal,
        tell,
      ),
  }
}

/** The status of one answer, or in words why there is none. */
function get(target: URL, host: string, endpoint: Address, signal: AbortSignal): Promise<number | string> {
  return new Promise((resolve) => {
    const limit = AbortSignal.timeout(ATTEMPT_MS)
    const request = (target.protocol === 'https:' ? https : http).request({
      host: endpoint.address,
      port: endpoint.port,
      path: `${target.pathname}${target.search}`,
      headers: {Host: target.host, 'User-Agent': 'mirrord-ready', Accept: '*/*', Connection: 'close'},
      auth: target.username
        ? `${decodeURIComponent(target.username)}:${decodeURIComponent(target.password)}`
        : undefined,
      agent: false,
      servername: isIP(host) ? '' : host,
      // Services under test carry certificates of their own making; nothing secret of ours is sent to this machine's own.
      rejectUnauthorized: !isLoopback(host),
      signal: AbortSignal.any([signal, limit]),
    })
    request.on('error', (error) =>
      resolve(limit.aborted ? `no answer within ${ATTEMPT_MS / 1000} s` : describeError(error, endpoint)),
    )
    request.once('response', (response) => {
      const cut = setTimeout(() => request.destroy(), BODY_MS)
      response.on('error', () => {}) // cut off, or the server's own end
      response.once('close', () => clearTimeout(cut))
      response.resume()
      resolve(response.statusCode ?? 0)
    })
    request.end()
  })
}

/** Without credentials and query: either may hold a secret, and the label goes to logs. */
function shown({protocol, host, pathname, search}: URL): string {
  return `${protocol}//${host}${pathname}${search ? '?…' : ''}`
}

function describe(status: HttpProbe['status']): string {
  return status
    .map(([from, to]) => (from === to ? `${from}` : to - from === 99 ? `${from / 100}xx` : `${from}-${to}`))
    .join(' or ')
}
