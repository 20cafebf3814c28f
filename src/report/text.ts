import {LATENCY_BOUNDS_MS} from './format.ts'
import type {SessionReport} from './schema.ts'

/** Control characters, and those that turn the direction of text around them: a name must not rearrange the page. */
const invisible = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu

/** Text from outside with every invisible character spelled out, `\u202e`; line feeds and tabs stay. */
export function visible(text: string): string {
  return text.replace(invisible, (character) =>
    character === '\n' || character === '\t'
      ? character
      : `\\u${character.codePointAt(0)!.toString(16).padStart(4, '0')}`,
  )
}

/** A whole number with thin groups of three: `12 345`. */
export function formatCount(value: number): string {
  return String(value).replace(/\B(?=(\d{3})+$)/g, '\u202f')
}

/** Bytes in powers of 1000, as storage and networks count: `3.4 kB`. */
export function formatBytes(bytes: number): string {
  if (bytes < 1000) return `${bytes} B`
  const power = Math.min(4, Math.floor(Math.log10(bytes) / 3))
  const value = bytes / 1000 ** power
  const digits = value < 9.95 ? 1 : 0
  // 999.6 kB rounds to the next unit.
  if (value >= 999.5 && power < 4) return `1.0 ${['kB', 'MB', 'GB', 'TB'][power]}`
  return `${value.toFixed(digits)} ${['B', 'kB', 'MB', 'GB', 'TB'][power]}`
}

/** Milliseconds as people say them: `340 ms`, `4.2 s`, `3 min 05 s`, `2 h 10 min`. */
export function formatDuration(ms: number): string {
  if (ms < 999.5) return `${Math.round(ms)} ms`
  if (ms < 59_950) return `${(ms / 1000).toFixed(1)} s`
  const seconds = Math.round(ms / 1000)
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${String(seconds % 60).padStart(2, '0')} s`
  const minutes = Math.round(seconds / 60)
  return `${Math.floor(minutes / 60)} h ${String(minutes % 60).padStart(2, '0')} min`
}

/** An ISO moment as `2026-11-23 08:45:12 UTC`. */
export function formatMoment(iso: string): string {
  return `${new Date(iso).toISOString().slice(0, 19).replace('T', ' ')} UTC`
}

/** The latency below which the share `quantile` of the requests lies, in milliseconds; Infinity: beyond every bucket. */
export function quantileBound(latency: readonly number[], quantile: number): number | undefined {
  const total = latency.reduce((sum, value) => sum + value, 0)
  if (total === 0) return undefined
  let seen = 0
  const bucket = latency.findIndex((value) => (seen += value) >= total * quantile)
  return LATENCY_BOUNDS_MS[bucket] ?? Infinity
}

/** A bound of `quantileBound` in words: `≤ 20 ms`, `> 10 s`; a dash without requests. */
export function formatBound(bound: number | undefined): string {
  if (bound === undefined) return '–'
  const whole = (ms: number) => (ms < 1000 ? `${ms} ms` : `${ms / 1000} s`)
  return bound === Infinity ? `> ${whole(LATENCY_BOUNDS_MS.at(-1)!)}` : `≤ ${whole(bound)}`
}

/** Status codes with their numbers, most frequent first: `200 × 12, 503 × 1, no answer × 2`. */
export function formatStatuses(statuses: Readonly<Record<string, number>>): string {
  return Object.entries(statuses)
    .sort(([a, countA], [b, countB]) => countB - countA || (a < b ? -1 : 1))
    .map(([status, count]) => `${status === 'none' ? 'no answer' : status} × ${formatCount(count)}`)
    .join(', ')
}

/** How the program ended, in a few words; undefined when nobody saw it. */
export function formatExit(exit: SessionReport['exit']): string | undefined {
  if (exit?.signal) return `ended by ${exit.signal}`
  return exit?.code === undefined ? undefined : `exit status ${exit.code}`
}

/** "1 session", "2 sessions". */
export function plural(count: number, one: string, many = `${one}s`): string {
  return `${formatCount(count)} ${count === 1 ? one : many}`
}
