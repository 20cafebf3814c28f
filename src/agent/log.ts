const levels = ['off', 'error', 'warn', 'info', 'debug', 'trace'] as const

/** Severity of a log line. */
export type LogLevel = Exclude<(typeof levels)[number], 'off'>

/** Writes one line of the agent's log; cheap when the level is filtered out. */
export type Log = (level: LogLevel, text: string) => void

/**
 * Makes a logger for stdout-like sinks.
 * @param filter the `RUST_LOG` filter: `level` or `module=level`, separated by commas. Modules are those of the upstream
 *   agent, so only directives without a module and those that begin with `mirrord` count.
 * @param write receives one finished line without its newline
 */
export function makeLog(filter: string, json: boolean, role: string, write: (line: string) => void): Log {
  const threshold = parseFilter(filter)
  return (level, text) => {
    if (levels.indexOf(level) > threshold) return
    const time = new Date().toISOString()
    write(
      json
        ? JSON.stringify({timestamp: time, level: level.toUpperCase(), target: `mirrord_agent::${role}`, message: text})
        : `${time} ${level.toUpperCase().padStart(5)} ${role}: ${text}`,
    )
  }
}

function parseFilter(filter: string): number {
  let general: number | undefined
  let ours: number | undefined
  for (const directive of filter.split(',')) {
    const [left = '', right] = directive.trim().split('=')
    const level = levels.indexOf((right ?? left).toLowerCase() as (typeof levels)[number])
    if (level < 0) continue
    if (right === undefined) general = level
    else if (left.startsWith('mirrord')) ours = level
  }
  return ours ?? general ?? levels.indexOf('error')
}
