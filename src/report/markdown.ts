import {
  formatBound,
  formatBytes,
  formatCount,
  formatDuration,
  formatExit,
  formatStatuses,
  plural,
  quantileBound,
  visible,
} from './text.ts'
import type {JobReport, SessionReport} from './schema.ts'
import {lifeOf, outcomeOf, requestsOf, totalsOf} from './totals.ts'

/** Rows of a table in the summary, which is read in a browser beside the job's log; fewer when the limit demands it. */
const ROWS = [50, 20, 5, 0] as const

/** Everything that Markdown, GitHub's flavour of it or HTML would take for more than a character. */
export function escapeMarkdown(text: string): string {
  return visible(text)
    .replace(/[&<>"'`*_{}[\]()#+!|~$@\\^=-]/g, (character) => `&#${character.charCodeAt(0)};`)
    .replace(/:\/\//g, '&#58;//')
    .replace(/\bwww\./gi, (www) => `${www.slice(0, 3)}&#46;`)
    .replace(/\s+/g, ' ')
}

const code = (text: string) => `<code>${escapeMarkdown(text)}</code>`

/**
 * The report as GitHub-flavoured Markdown, at most `maxBytes` long in UTF-8: longer tables are cut, then whole parts, and it
 * says so. `whole` names the file that has everything. Undefined: not even the headline fits.
 */
export function markdownReport(report: JobReport, options: {maxBytes: number; whole: string}): string | undefined {
  const whole = `Everything is in ${code(options.whole)}.`
  const fits = (text: string) => Buffer.byteLength(text) <= options.maxBytes
  for (const rows of ROWS) {
    const parts = report.sessions.map((session) => sessionPart(session, rows))
    const text = `${head(report)}\n${parts.join('\n')}\n${whole}\n`
    if (fits(text)) return text
  }
  const short = `${head(report)}\nThe details of the sessions do not fit here. ${whole}\n`
  if (fits(short)) return short
  const shortest = `## mirrord: ${headline(report)}\n\nThe sessions do not fit here. ${whole}\n`
  return fits(shortest) ? shortest : undefined
}

function headline({sessions}: JobReport): string {
  const failed = sessions.filter(({failure}) => failure).length
  if (failed === 0) return `${plural(sessions.length, 'session')}, no failure`
  return `${formatCount(failed)} of ${plural(sessions.length, 'session')} failed`
}

function head(report: JobReport): string {
  const rows = report.sessions.map((session) => {
    const {readyMs, endedMs} = lifeOf(session)
    const totals = totalsOf([session])
    return [
      escapeMarkdown(session.session.name),
      session.session.target === undefined ? 'none' : code(session.session.target),
      `${session.failure ? '❌ ' : ''}${escapeMarkdown(outcomeOf(session).text)}`,
      readyMs === undefined ? 'never' : formatDuration(readyMs),
      endedMs === undefined ? 'not recorded' : formatDuration(endedMs),
      formatCount(totals.stolen),
      `${formatCount(totals.outgoing)}${totals.failedOutgoing > 0 ? ` (${formatCount(totals.failedOutgoing)} failed)` : ''}`,
    ]
  })
  const columns = ['Session', 'Target', 'Result', 'Ready after:', 'Ended after:', 'Requests:', 'Connections out:']
  return `## mirrord: ${headline(report)}\n\n${table(columns, rows, rows.length)}`
}

/** A table of escaped cells; a title that ends in ":" is that of a column of numbers. */
function table(columns: readonly string[], rows: readonly (readonly string[])[], limit: number): string {
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |\n`
  const left = rows.length - Math.min(limit, rows.length)
  return [
    line(columns.map((title) => title.replace(/:$/, ''))),
    line(columns.map((title) => (title.endsWith(':') ? '---:' : '---'))),
    ...rows.slice(0, limit).map((row) => line(row)),
    left > 0 ? `\n… and ${plural(left, 'more row')}.\n` : '',
  ].join('')
}

function sessionPart(report: SessionReport, limit: number): string {
  const {session, incoming, outgoing, dns, files, warnings} = report
  const part = (title: string, columns: readonly string[], rows: readonly (readonly string[])[]) => {
    if (rows.length === 0) return ''
    if (limit === 0) return `**${title}**: ${plural(rows.length, 'row')}, not shown for lack of space.\n\n`
    return `**${title}**\n\n${table(columns, rows, limit)}\n`
  }
  const ended = formatExit(report.exit)
  const about = [
    session.pod && `pod ${code(session.pod)}`,
    session.namespace && `namespace ${code(session.namespace)}`,
    ended && `program ${escapeMarkdown(ended)}`,
    session.outputDirectory && `output in ${code(session.outputDirectory)}`,
  ].filter((item) => item)
  return [
    `### ${escapeMarkdown(session.name)}\n\n`,
    failurePart(report),
    about.length > 0 ? `${about.join(', ')}\n\n` : '',
    part(
      'Warnings',
      ['Warning'],
      warnings.map((text) => [escapeMarkdown(text)]),
    ),
    part(
      'Requests to the local program',
      ['Path', 'Method', 'Port:', 'Requests:', 'Answers', 'Half within:', '95 % within:'],
      incoming.routes.map((route) => [
        code(route.path),
        escapeMarkdown(route.method),
        String(route.port),
        formatCount(requestsOf(route)),
        escapeMarkdown(formatStatuses(route.statuses)),
        formatBound(quantileBound(route.latency, 0.5)),
        formatBound(quantileBound(route.latency, 0.95)),
      ]),
    ),
    part(
      'Outgoing connections',
      ['Destination', 'Names', 'Protocol', 'Connections:', 'Failed:', 'Received:', 'Sent:'],
      outgoing.map((to) => [
        code(to.address),
        escapeMarkdown(to.names.join(', ')),
        to.protocol,
        formatCount(to.connections),
        formatCount(to.failed),
        formatBytes(to.bytesIn),
        formatBytes(to.bytesOut),
      ]),
    ),
    part(
      'Names resolved',
      ['Name', 'Queries:', 'Failed:'],
      dns.map(({name, queries, failed}) => [code(name), formatCount(queries), formatCount(failed)]),
    ),
    part(
      'Files of the target',
      ['File', 'Direction', 'Size:'],
      [
        ...files.fetched.map((file) => [code(file.path), 'read', formatBytes(file.bytes)]),
        ...files.written.map((file) => [code(file.path), 'written', formatBytes(file.bytes)]),
      ],
    ),
  ].join('')
}

/** What failed, first. */
function failurePart({failure}: SessionReport): string {
  if (!failure) return ''
  const steps = failure.next.map((step) => `- ${escapeMarkdown(step)}\n`)
  return `❌ **${escapeMarkdown(failure.what)}** ${escapeMarkdown(failure.why ?? '')}\n\n${steps.join('')}- Code ${code(failure.code)}, exit ${failure.exit}\n\n`
}
