import {formatBound, formatBytes, formatCount, formatDuration, formatStatuses, quantileBound} from '../text.ts'
import type {SessionReport} from '../schema.ts'
import {requestsOf} from '../totals.ts'
import {markup, type Markup} from './markup.ts'

/** Rows of one table that the page shows; the JSON beside it has them all. */
export const MAX_ROWS = 4000

/** One cell: what is shown, and the number to sort by where the text does not sort by itself. */
interface Cell {
  text: string | Markup
  sort?: number
}

interface Column {
  title: string
  /** Numbers are aligned to the right and sort from the largest. */
  numeric?: boolean
}

interface Table {
  id: string
  caption: string
  columns: readonly Column[]
  rows: readonly (readonly Cell[])[]
}

const cell = (text: string | Markup): Cell => ({text})
const number = (value: number): Cell => ({text: formatCount(value), sort: value})
const bytes = (value: number): Cell => ({text: formatBytes(value), sort: value})
const bound = (latency: readonly number[], quantile: number): Cell => {
  const value = quantileBound(latency, quantile)
  return {text: formatBound(value), sort: value === undefined ? -1 : Math.min(value, 1e9)}
}

/** A table with its caption inside a region that scrolls by itself; the script adds the filter and the sorting. */
function table({id, caption, columns, rows}: Table): Markup {
  const shown = rows.slice(0, MAX_ROWS)
  const left = rows.length - shown.length
  const cells = (row: readonly Cell[]) =>
    row.map(({text, sort}, index) => {
      const key = sort === undefined ? undefined : markup` data-v="${sort}"`
      if (index === 0) return markup`<th scope="row"${key}>${text}</th>`
      return markup`<td${key}${columns[index]?.numeric && markup` class="n"`}>${text}</td>`
    })
  return markup`<div class="table" id="${id}">
<div class="scroll" role="group" aria-labelledby="${id}-caption" tabindex="0"><table>
<caption id="${id}-caption">${caption} <span class="count">${formatCount(rows.length)}</span></caption>
<thead><tr>${columns.map(({title, numeric}) => markup`<th scope="col"${numeric && markup` class="n"`}>${title}</th>`)}</tr></thead>
<tbody>
${shown.map((row) => markup`<tr>${cells(row)}</tr>\n`)}</tbody></table></div>
${left > 0 && markup`<p class="note">The first ${formatCount(shown.length)} rows; ${formatCount(left)} more are in mirrord-report.json.</p>`}
</div>
`
}

/** The tables of one session, empty ones left out. `prefix` makes the ids unique in the page. */
export function sessionTables(report: SessionReport, prefix: string): Markup[] {
  const {incoming, outgoing, dns, files, warnings, phases} = report
  const tables: Table[] = [
    {
      id: `${prefix}-warnings`,
      caption: 'Warnings',
      columns: [{title: 'Warning'}],
      rows: warnings.map((text) => [cell(text)]),
    },
    {
      id: `${prefix}-requests`,
      caption: 'Requests to the local program',
      columns: [
        {title: 'Path'},
        {title: 'Method'},
        {title: 'Port', numeric: true},
        {title: 'Requests', numeric: true},
        {title: 'Answers'},
        {title: 'Half within', numeric: true},
        {title: '95 % within', numeric: true},
        {title: 'Longest', numeric: true},
      ],
      rows: incoming.routes.map((route) => [
        cell(route.path),
        cell(route.method),
        {text: String(route.port), sort: route.port},
        number(requestsOf(route)),
        cell(formatStatuses(route.statuses)),
        bound(route.latency, 0.5),
        bound(route.latency, 0.95),
        {text: formatDuration(route.maxMs), sort: route.maxMs},
      ]),
    },
    {
      id: `${prefix}-ports`,
      caption: 'Ports',
      columns: [
        {title: 'Port'},
        {title: 'Connections', numeric: true},
        {title: 'To the local program', numeric: true},
        {title: 'Left to the deployed service', numeric: true},
        {title: 'Received', numeric: true},
        {title: 'Sent', numeric: true},
      ],
      rows: incoming.ports.map((port) => [
        {text: String(port.port), sort: port.port},
        number(port.connections),
        number(port.stolen),
        number(port.passed),
        bytes(port.bytesIn),
        bytes(port.bytesOut),
      ]),
    },
    {
      id: `${prefix}-destinations`,
      caption: 'Outgoing connections',
      columns: [
        {title: 'Destination'},
        {title: 'Names'},
        {title: 'Protocol'},
        {title: 'Connections', numeric: true},
        {title: 'Failed', numeric: true},
        {title: 'Received', numeric: true},
        {title: 'Sent', numeric: true},
      ],
      rows: outgoing.map((to) => [
        cell(to.address),
        cell(to.names.join(', ')),
        cell(to.protocol.toUpperCase()),
        number(to.connections),
        number(to.failed),
        bytes(to.bytesIn),
        bytes(to.bytesOut),
      ]),
    },
    {
      id: `${prefix}-names`,
      caption: 'Names resolved',
      columns: [{title: 'Name'}, {title: 'Queries', numeric: true}, {title: 'Failed', numeric: true}],
      rows: dns.map(({name, queries, failed}) => [cell(name), number(queries), number(failed)]),
    },
    {
      id: `${prefix}-files`,
      caption: 'Files of the target',
      columns: [{title: 'File'}, {title: 'Direction'}, {title: 'Size', numeric: true}],
      rows: [
        ...files.fetched.map((file) => [cell(file.path), cell('read'), bytes(file.bytes)]),
        ...files.written.map((file) => [cell(file.path), cell('written'), bytes(file.bytes)]),
      ],
    },
    {
      id: `${prefix}-phases`,
      caption: 'Phases of the start',
      columns: [
        {title: 'Phase'},
        {title: 'Began after', numeric: true},
        {title: 'Took', numeric: true},
        {title: 'What happened'},
      ],
      rows: phases.map((phase) => [
        cell(phase.name),
        {text: formatDuration(phase.startMs), sort: phase.startMs},
        {text: formatDuration(phase.durationMs), sort: phase.durationMs},
        cell(phase.text),
      ]),
    },
  ]
  return tables.filter(({rows}) => rows.length > 0).map((part) => table(part))
}
