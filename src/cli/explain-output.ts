import {explain, type ResolvedConfig} from '../config/index.ts'
import {columns} from './columns.ts'

const HEAD = ['KEY', 'VALUE', 'ORIGIN']
/** Longer values are cut: a table is for people, and `config show --json` has everything. */
const MAX_VALUE = 60

/** The configuration key by key with where each value came from; keys that nobody sets and that have no default are left out. */
export function explainTable(resolved: ResolvedConfig): string {
  const rows = explain(resolved)
    .filter(({value, origin}) => value !== '' || origin !== 'default')
    .map(({key, value, origin}) => [key, cut(value), origin])
  return columns([HEAD, ...rows])
}

function cut(value: string): string {
  // Control characters would break the lines, or do worse to a terminal.
  const line = value.replaceAll(/\p{Cc}+/gu, ' ')
  return line.length > MAX_VALUE ? `${line.slice(0, MAX_VALUE - 1)}…` : line
}
