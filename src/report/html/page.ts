import {createHash} from 'node:crypto'
import {formatBytes, formatCount, formatDuration, formatExit, formatMoment, plural} from '../text.ts'
import type {JobReport, SessionReport} from '../schema.ts'
import {lifeOf, outcomeOf, totalsOf, type Totals} from '../totals.ts'
import {markup, Markup} from './markup.ts'
import {script} from './script.ts'
import {style} from './style.ts'
import {sessionTables} from './tables.ts'
import {jobTimeline, phaseTimeline} from './timeline.ts'
import {trafficMap} from './traffic-map.ts'

/** Source expression of an inline element for a Content-Security-Policy (CSP3, 2.3.1). */
const hash = (text: string) => `'sha256-${createHash('sha256').update(text).digest('base64')}'`

/** The whole page: one file that loads nothing, and whose policy forbids it to. */
export function htmlReport(report: JobReport): string {
  const {sessions} = report
  const failed = sessions.filter(({failure}) => failure)
  // frame-ancestors and the like have no effect in a meta element; base-uri and form-action do.
  const policy = `default-src 'none'; style-src ${hash(style)}; script-src ${hash(script)}; base-uri 'none'; form-action 'none'`
  const title = `mirrord report: ${headline(sessions.length, failed.length)}`
  return markup`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<title>${title}</title>
<style>${new Markup(style)}</style>
</head>
<body>
<a class="skip" href="#content">Skip to the content</a>
<header>
<p class="kicker">mirrord report</p>
<h1>${headline(sessions.length, failed.length)}</h1>
<ul class="facts">${facts(report)}</ul>
${sessions.length > 1 && navigation(sessions)}
</header>
<main id="content" tabindex="-1">
${failed.map((session) => failureCard(session))}
<section aria-labelledby="overview"><h2 id="overview">Overview</h2>
${figures(totalsOf(sessions))}
${sessions.length > 0 && jobTimeline(sessions)}
${sessions.length > 0 && sessionsTable(sessions)}
</section>
${sessions.map((session) => sessionSection(session))}
</main>
<footer><p>Made by mirrord ${report.version}. Headers, bodies, queries, values of variables and contents of files are never recorded.</p></footer>
<script>${new Markup(script)}</script>
</body>
</html>
`.text
}

function headline(sessions: number, failed: number): string {
  if (sessions === 0) return 'No session'
  if (failed === 0)
    return sessions === 1
      ? 'The session ran without failure'
      : `All ${formatCount(sessions)} sessions ran without failure`
  return sessions === 1 ? 'The session failed' : `${formatCount(failed)} of ${plural(sessions, 'session')} failed`
}

function facts({job, run, createdAt}: JobReport): Markup[] {
  const name = run.provider ?? 'CI run'
  const items = [
    run.url !== undefined && /^https?:\/\//i.test(run.url) && markup`<a href="${run.url}" rel="noreferrer">${name}</a>`,
    !run.url && run.provider,
    `Job ${run.job === undefined ? '' : `${run.job}, `}${job}`,
    markup`<time datetime="${createdAt}">${formatMoment(createdAt)}</time>`,
  ]
  return items.filter((item) => item !== false && item !== undefined).map((item) => markup`<li>${item}</li>`)
}

function navigation(sessions: readonly SessionReport[]): Markup {
  const links = sessions.map(({session}) => markup`<li><a href="#s-${session.id}">${session.name}</a></li>`)
  return markup`<nav aria-label="Sessions"><ul>${links}</ul></nav>`
}

/** What a reader has to see first: which session failed, why, and what to do. */
function failureCard({session, failure}: SessionReport): Markup {
  const {code, exit, what, why, next} = failure!
  const output = session.outputDirectory
  return markup`<section class="alert" aria-labelledby="f-${session.id}"><h2 id="f-${session.id}">${session.name}: ${what}</h2>
${why && markup`<p>${why}</p>`}
${next.length > 0 && markup`<ul>${next.map((step) => markup`<li>${step}</li>`)}</ul>`}
<p class="soft">Code ${code}, exit ${exit}</p>
${output && markup`<p>Its output: <code>${output}/{stdout,stderr}</code></p>`}
</section>
`
}

function figures(totals: Totals): Markup {
  const item = (name: string, value: string, bad = false) =>
    markup`<div${bad && markup` class="bad"`}><dt>${name}</dt><dd>${value}</dd></div>`
  return markup`<dl class="figures">${[
    item('requests to the program', formatCount(totals.stolen)),
    totals.passed > 0 && item('left to the deployed service', formatCount(totals.passed)),
    totals.serverErrors > 0 && item('answers of 500 or more', formatCount(totals.serverErrors), true),
    totals.unanswered > 0 && item('requests without an answer', formatCount(totals.unanswered), true),
    item('outgoing connections', formatCount(totals.outgoing)),
    totals.failedOutgoing > 0 && item('failed to connect', formatCount(totals.failedOutgoing), true),
    item('received', formatBytes(totals.bytesIn)),
    item('sent', formatBytes(totals.bytesOut)),
  ]}</dl>`
}

function result(report: SessionReport): Markup {
  const {failed, text} = outcomeOf(report)
  return markup`<span class="result ${failed ? 'bad' : report.session.endedAt ? 'good' : 'open'}">${text}</span>`
}

/** The timeline in words and numbers. */
function sessionsTable(sessions: readonly SessionReport[]): Markup {
  const time = (ms: number | undefined, otherwise: string) => (ms === undefined ? otherwise : formatDuration(ms))
  const rows = sessions.map((report) => {
    const {readyMs, endedMs} = lifeOf(report)
    const {session} = report
    return markup`<tr><th scope="row"><a href="#s-${session.id}">${session.name}</a></th><td>${session.target ?? 'none'}</td><td>${result(report)}</td><td class="n">${formatMoment(session.startedAt)}</td><td class="n">${time(readyMs, 'never')}</td><td class="n">${time(endedMs, 'not recorded')}</td></tr>\n`
  })
  return markup`<div class="table" id="sessions"><div class="scroll" role="group" aria-labelledby="sessions-caption" tabindex="0"><table>
<caption id="sessions-caption">Sessions <span class="count">${formatCount(sessions.length)}</span></caption>
<thead><tr><th scope="col">Name</th><th scope="col">Target</th><th scope="col">Result</th><th scope="col" class="n">Started</th><th scope="col" class="n">Ready after</th><th scope="col" class="n">Ended after</th></tr></thead>
<tbody>
${rows}</tbody></table></div></div>
`
}

function sessionSection(report: SessionReport): Markup {
  const {session, incoming} = report
  const id = `s-${session.id}`
  const mode = {
    steal: 'stolen: requests go to the local program',
    mirror: 'mirrored: the local program gets a copy',
    off: 'off: the pod keeps its traffic',
  }[incoming.mode]
  const about: [string, string | undefined][] = [
    ['Program', session.program === session.name ? undefined : session.program],
    ['Target', session.target ?? 'none'],
    ['Pod', session.pod && `${session.pod}${session.container ? `, container ${session.container}` : ''}`],
    ['Namespace', session.namespace],
    ['Incoming traffic', mode],
    ['Agent', session.agent && `${session.agent.pod} (${session.agent.image})`],
    ['Program ended', formatExit(report.exit)],
    ['Output', session.outputDirectory],
    ['Session', session.id],
  ]
  const start = phaseTimeline(report, id)
  const map = trafficMap(report, id)
  return markup`<section class="session" aria-labelledby="${id}"><h2 id="${id}" tabindex="-1">${session.name}</h2>
<p>${result(report)}</p>
<dl class="about">${about.map(([name, value]) => value !== undefined && markup`<dt>${name}</dt><dd>${value}</dd>`)}</dl>
${figures(totalsOf([report]))}
<div class="parts">
${map && markup`<h3>Traffic</h3>${map}`}
${start && markup`<h3>Start</h3><figure>${start}</figure>`}
<h3>Details</h3>
${sessionTables(report, id)}</div>
</section>
`
}
