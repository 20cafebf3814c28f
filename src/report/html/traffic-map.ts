import {formatBytes, formatCount, plural} from '../text.ts'
import type {SessionReport} from '../schema.ts'
import {markup, type Markup} from './markup.ts'
import {shorten} from './timeline.ts'

/** Ends of lines that a side of the map shows; the tables have them all. */
const MAX_ENDS = 12
const WIDTH = 1040
const ROW = 44
const BOX = {x: 432, width: 176}
const LEFT = 250
const RIGHT = 730

/** One line of the map, from or to the program. */
interface Line {
  name: string
  detail: string
  weight: number
  kind: 'in' | 'out' | 'lost' | 'rest'
}

/** Thicker lines carried more; the scale is logarithmic, from 1.5 to 8. */
function stroke(weight: number, most: number): number {
  const share = most > 1 ? Math.log(weight + 1) / Math.log(most + 1) : 1
  return Math.round((1.5 + 6.5 * share) * 10) / 10
}

function byWeight(lines: readonly Line[], what: string): Line[] {
  const sorted = [...lines].sort((a, b) => b.weight - a.weight)
  if (sorted.length <= MAX_ENDS) return sorted
  const rest = sorted.slice(MAX_ENDS - 1)
  return [
    ...sorted.slice(0, MAX_ENDS - 1),
    {name: `${formatCount(rest.length)} more ${what}`, detail: 'see the table', weight: 0, kind: 'rest'},
  ]
}

function incomingLines({incoming}: SessionReport): Line[] {
  return incoming.ports.map(({port, stolen, connections, bytesIn, bytesOut}) => ({
    name: `port ${port}`,
    detail: `${stolen > 0 ? plural(stolen, 'request') : plural(connections, 'connection')}, ${formatBytes(bytesIn + bytesOut)}`,
    weight: Math.max(stolen, connections),
    kind: 'in',
  }))
}

function outgoingLines({outgoing}: SessionReport): Line[] {
  return outgoing.map(({address, names, connections, failed, bytesIn, bytesOut}) => ({
    name: names[0] === undefined ? address : `${names[0]}${/:\d+$/.exec(address)?.[0] ?? ''}`,
    detail: `${plural(connections, 'connection')}${failed > 0 ? `, ${formatCount(failed)} failed` : ''}, ${formatBytes(bytesIn + bytesOut)}`,
    weight: connections,
    kind: failed > 0 ? 'lost' : 'out',
  }))
}

/** The program in the middle, the ports of the pod on the left, what it connected to on the right. */
export function trafficMap(report: SessionReport, prefix: string): Markup | undefined {
  const left = byWeight(incomingLines(report), 'ports')
  const right = byWeight(outgoingLines(report), 'destinations')
  if (left.length + right.length === 0) return undefined
  const rows = Math.max(left.length, right.length, 2)
  const height = rows * ROW + 8
  const middle = height / 2
  const most = Math.max(...[...left, ...right].map(({weight}) => weight))
  const y = (lines: readonly Line[], index: number) => middle + (index - (lines.length - 1) / 2) * ROW
  const spread = (lines: readonly Line[], index: number) => middle + (index - (lines.length - 1) / 2) * 5
  const line = (from: [number, number], to: [number, number], {weight, kind}: Line) => {
    const bend = (from[0] + to[0]) / 2
    return markup`<path class="${kind}" stroke-width="${stroke(weight, most)}" d="M${from[0]} ${from[1]}C${bend} ${from[1]} ${bend} ${to[1]} ${to[0]} ${to[1]}"/>`
  }
  const label = ({name, detail}: Line, at: [number, number], anchor: string) =>
    markup`<text class="label" x="${at[0]}" y="${at[1] - 2}" text-anchor="${anchor}">${shorten(name, 40)}</text><text class="value" x="${at[0]}" y="${at[1] + 14}" text-anchor="${anchor}">${detail}</text>\n`
  const title = 'Traffic map'
  const description = `${plural(report.incoming.ports.length, 'port')} of the pod on the left, ${plural(report.outgoing.length, 'destination')} on the right; the tables "Ports" and "Outgoing connections" have the same numbers.`
  return markup`<figure><div class="scroll chart" role="group" aria-label="${title}" tabindex="0">
<svg role="img" aria-labelledby="${prefix}-map-title ${prefix}-map-text" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}">
<title id="${prefix}-map-title">${title}</title><desc id="${prefix}-map-text">${description}</desc>
<g class="lines">${left.map((end, index) => line([LEFT, y(left, index)], [BOX.x, spread(left, index)], end))}${right.map((end, index) => line([BOX.x + BOX.width, spread(right, index)], [RIGHT, y(right, index)], end))}</g>
<rect class="program" x="${BOX.x}" y="${middle - Math.max(24, (Math.max(left.length, right.length) * 5) / 2 + 8)}" width="${BOX.width}" height="${Math.max(48, Math.max(left.length, right.length) * 5 + 16)}" rx="6"/>
<text class="name" x="${BOX.x + BOX.width / 2}" y="${middle + 5}" text-anchor="middle">${shorten(report.session.name, 20)}</text>
${left.map((end, index) => label(end, [LEFT - 8, y(left, index)], 'end'))}${right.map((end, index) => label(end, [RIGHT + 8, y(right, index)], 'start'))}</svg></div>
<figcaption><span class="key in"></span> to the program <span class="key out"></span> from the program <span class="key lost"></span> with failed connections</figcaption></figure>
`
}
