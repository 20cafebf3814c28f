/** How a start's progress is shown. */
export type ProgressMode = 'standard' | 'simple' | 'json' | 'off'

const modes: Readonly<Record<string, ProgressMode>> = {
  std: 'standard',
  standard: 'standard',
  dumb: 'simple',
  simple: 'simple',
  json: 'json',
  off: 'off',
}

/** What MIRRORD_PROGRESS_MODE says (spec config.md 1.9). An unknown word means the default, with a warning. */
export function progressMode(env: Readonly<Record<string, string | undefined>>): {
  mode: ProgressMode
  warning?: string
} {
  const word = env.MIRRORD_PROGRESS_MODE
  if (!word) return {mode: 'standard'}
  if (Object.hasOwn(modes, word)) return {mode: modes[word]!}
  const known = Object.keys(modes).join(', ')
  return {
    mode: 'standard',
    warning: `MIRRORD_PROGRESS_MODE has no mode "${word}" (${known}): progress is shown as by default.`,
  }
}
