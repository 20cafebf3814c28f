import type {LaunchObserver} from '../session/launch.ts'
import type {ReadySummary} from '../session/launch-protocol.ts'
import {colorFor} from '../util/color.ts'

/** Shows a start's progress on stderr, one line a phase with its duration. */
export function startObserver(): LaunchObserver {
  const color = colorFor(process.stderr)
  return {
    phase({text, ms}) {
      process.stderr.write(`${color.green('✓')} ${text} ${color.dim(`(${(ms / 1000).toFixed(2)} s)`)}\n`)
    },
    warning(text) {
      process.stderr.write(`${color.yellow('!')} ${text}\n`)
    },
    ready(summary) {
      process.stderr.write(`${incomingLine(summary)}\n`)
    },
  }
}

/** What a background start prints on stdout at its end. */
export function formatReady(summary: ReadySummary): string {
  const lines = [incomingLine(summary)]
  if (summary.outputDirectory) lines.push(`Output:   ${summary.outputDirectory}/{stdout,stderr}`)
  lines.push(`Program:  pid ${summary.programPid}`, 'Stop it:  mirrord ci stop')
  return lines.join('\n')
}

function incomingLine({incoming, ports, pod, container}: ReadySummary): string {
  const where = container ? `${pod}, container ${container}` : pod
  if (incoming === 'off') return `Incoming: off (${where} keeps its traffic)`
  if (ports.length === 0) return `Incoming: steal, no port yet (${where} keeps its traffic until the program listens)`
  const text = ports.length === 1 ? `port ${ports[0]}` : `ports ${ports.join(', ')}`
  return `Incoming: steal, all connections to ${text} of ${where} now go to the program`
}
