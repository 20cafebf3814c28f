import {Chalk, type ChalkInstance} from 'chalk'

/** Colours for one stream. */
export type Color = ChalkInstance

/**
 * Colours by our own rule, because chalk does not honour NO_COLOR (no-color.org): NO_COLOR wins, then FORCE_COLOR, then
 * whether the stream is a terminal. This is the only module that imports chalk.
 */
export function colorFor(stream: NodeJS.WriteStream, env: NodeJS.ProcessEnv = process.env): ChalkInstance {
  return new Chalk({level: level(stream, env)})
}

function level(stream: NodeJS.WriteStream, env: NodeJS.ProcessEnv): 0 | 1 {
  if (env.NO_COLOR) return 0
  if (env.FORCE_COLOR !== undefined) return env.FORCE_COLOR === '0' || env.FORCE_COLOR === 'false' ? 0 : 1
  if (env.TERM === 'dumb') return 0
  return stream.isTTY || env.GITHUB_ACTIONS || env.GITLAB_CI ? 1 : 0
}
