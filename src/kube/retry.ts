import type http from 'node:http'
import {MirrordError} from '../errors/mirrord-error.ts'
import {ApiError, isStatus} from './errors.ts'

/** How requests that failed for the moment are repeated (configuration section `startup_retry`). */
export interface RetryPolicy {
  min_ms: number
  max_ms: number
  max_retries: number
}

/** A server may ask for any pause; a CI job does not wait for longer than this. */
const MAX_ASKED_MS = 30_000
/** Failures of a connection that another one may not meet. Names and certificates are what they are. */
const passingCodes = ['CLUSTER_CUT', 'CLUSTER_TIMEOUT', 'CLUSTER_REFUSED']
const asked = new WeakMap<Error, number>()

/** Whether the same request may succeed a moment later: the server is overloaded or restarts, or the connection broke. */
export function isTransient(error: unknown): error is MirrordError {
  if (error instanceof ApiError) return isStatus(error, 429, 500, 502, 503, 504)
  return error instanceof MirrordError && passingCodes.includes(error.report.code)
}

/** Keeps the pause that the server asks for in `Retry-After`, in seconds or as a date, with its refusal. */
export function withRetryAfter<E extends Error>(error: E, {headers}: http.IncomingMessage): E {
  const text = headers['retry-after'] ?? ''
  const ms = /^\d+$/.test(text) ? Number(text) * 1000 : Date.parse(text) - Date.now()
  if (ms >= 0) asked.set(error, Math.min(ms, MAX_ASKED_MS))
  return error
}

/** The pause after so many failures in a row, in ms: doubled each time, with jitter, and no shorter than the server asks for. */
export function pauseAfter(
  error: unknown,
  failures: number,
  {min_ms, max_ms}: Omit<RetryPolicy, 'max_retries'>,
): number {
  const backOff = Math.min(max_ms, min_ms * 2 ** (failures - 1)) * (0.75 + Math.random() / 4)
  return Math.max(backOff, error instanceof Error ? (asked.get(error) ?? 0) : 0)
}

/** A repetition, as the log tells it. */
export function describeRetry({report}: MirrordError, pauseMs: number): string {
  const why = report.why === undefined ? '' : ` ${report.why.replace(/[.!]?$/, '.')}`
  return `${report.what}${why} Asking again in ${(pauseMs / 1000).toFixed(1)} s.`
}
