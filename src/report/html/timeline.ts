import {formatDuration, plural, visible} from '../text.ts'
import type {SessionReport} from '../schema.ts'
import {lifeOf, outcomeOf} from '../totals.ts'
import {markup, type Markup} from './markup.ts'

const WIDTH = 1040
const LABEL = 170
const ROW = 26
const AXIS = 24
/** Where bars end, so that the last tick's text fits. */
const RIGHT = WIDTH - 74

/** Text that fits `length` characters; the end of a name tells more than its middle, so the cut is at its end. */
export function shorten(text: string, length: number): string {
  const characters = [...visible(text)]
  return characters.length <= length ? characters.join('') : `${characters.slice(0, length - 1).join('')}…`
}

/** Round steps of an axis of `spanMs`: at most six. */
function ticks(spanMs: number): number[] {
  const steps = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 15_000, 30_000, 60_000, 120_000, 300_000]
  const hours = [600_000, 1_800_000, 3_600_000, 7_200_000, 21_600_000, 86_400_000]
  const step = [...steps, ...hours].find((candidate) => spanMs / candidate <= 6) ?? spanMs
  return Array.from({length: Math.floor(spanMs / step) + 1}, (_, index) => index * step)
}

const tickLabel = (ms: number) =>
  ms === 0
    ? '0'
    : formatDuration(ms)
        .replace(/\.0 s$/, ' s')
        .replace(' 00 s', '')

interface Row {
  label: string
  /** Beside the bar. */
  value: string
  /** Bars with their class, in milliseconds. */
  bars: readonly {kind: string; fromMs: number; toMs: number}[]
}

/** A chart of bars over time. `title` and `description` are what a screen reader gets. */
function chart(id: string, title: string, description: string, rows: readonly Row[]): Markup {
  const spanMs = Math.max(1, ...rows.flatMap(({bars}) => bars.map(({toMs}) => toMs)))
  const x = (ms: number) => Math.round((LABEL + (ms / spanMs) * (RIGHT - LABEL)) * 10) / 10
  const height = rows.length * ROW + AXIS
  return markup`<div class="scroll chart" role="group" aria-label="${title}" tabindex="0">
<svg role="img" aria-labelledby="${id}-title ${id}-text" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}">
<title id="${id}-title">${title}</title><desc id="${id}-text">${description}</desc>
${ticks(spanMs).map(
  (ms) =>
    markup`<line class="grid" x1="${x(ms)}" x2="${x(ms)}" y1="0" y2="${height - AXIS + 4}"/><text class="tick" x="${x(ms)}" y="${height - 6}" text-anchor="middle">${tickLabel(ms)}</text>`,
)}
${rows.map(({label, value, bars}, index) => {
  const y = index * ROW
  const end = Math.max(...bars.map(({toMs}) => toMs))
  return markup`<text class="label" x="0" y="${y + 17}">${shorten(label, 22)}</text>${bars.map(
    ({kind, fromMs, toMs}) =>
      markup`<rect class="${kind}" x="${x(fromMs)}" y="${y + 6}" width="${Math.max(2, Math.round((x(toMs) - x(fromMs)) * 10) / 10)}" height="14" rx="2"/>`,
  )}<text class="value" x="${x(end) + 6}" y="${y + 17}">${value}</text>\n`
})}</svg></div>
`
}

/** The life of every session of the job: the start until it was ready, the run, and its end. */
export function jobTimeline(sessions: readonly SessionReport[]): Markup {
  const first = Math.min(...sessions.map(({session}) => Date.parse(session.startedAt)))
  const rows = sessions.map((report): Row => {
    const from = Date.parse(report.session.startedAt) - first
    const {readyMs, endedMs} = lifeOf(report)
    const known =
      endedMs ?? Math.max(readyMs ?? 0, ...report.phases.map(({startMs, durationMs}) => startMs + durationMs))
    const run = outcomeOf(report).failed ? 'failed' : 'run'
    const ready = Math.min(readyMs ?? known, known)
    return {
      label: report.session.name,
      value: formatDuration(known),
      bars: [
        {kind: 'start', fromMs: from, toMs: from + ready},
        ...(readyMs === undefined && run === 'run' ? [] : [{kind: run, fromMs: from + ready, toMs: from + known}]),
      ],
    }
  })
  const text = sessions.map((report) => {
    const {readyMs, endedMs} = lifeOf(report)
    return `${report.session.name}: ${readyMs === undefined ? 'never ready' : `ready after ${formatDuration(readyMs)}`}, ${endedMs === undefined ? 'end not recorded' : `ended after ${formatDuration(endedMs)}`}.`
  })
  return markup`<figure>${chart('life', 'Sessions over time', `The table of sessions has the same times. ${text.join(' ')}`, rows)}
<figcaption><span class="key start"></span> start <span class="key run"></span> run <span class="key failed"></span> run that failed</figcaption></figure>
`
}

/** The phases of one session's start. */
export function phaseTimeline({phases}: SessionReport, prefix: string): Markup | undefined {
  if (phases.length === 0) return undefined
  const text = phases.map(
    ({name, startMs, durationMs}) => `${name}: from ${formatDuration(startMs)}, ${formatDuration(durationMs)}.`,
  )
  return chart(
    `${prefix}-start`,
    'Phases of the start over time',
    `${plural(phases.length, 'phase')}; the table "Phases of the start" has the same numbers. ${text.join(' ')}`,
    phases.map(({name, startMs, durationMs}) => ({
      label: name,
      value: formatDuration(durationMs),
      bars: [{kind: 'start', fromMs: startMs, toMs: startMs + durationMs}],
    })),
  )
}
