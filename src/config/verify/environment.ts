import type {Checks} from './context.ts'

const mebibyte = 1024 * 1024

/** Variables, files and the start-up (E14, E21, E22, W8, and files without effect of 4.3). */
export function checkEnvironment({config, given, named, refuse, warn}: Checks): void {
  const {env, fs} = config.feature
  // E14. Without a source of its own, exclude is the short form `feature.env: false`.
  if (env.include !== undefined && env.exclude !== undefined) {
    const places = ['include', 'exclude'].map((key) => {
      const path = `feature.env.${key}`
      return given(path) ? named(path) : `${path} (feature.env: false)`
    })
    refuse('feature.env', `include and exclude cannot both be set: ${places.join(', ')}`)
  }
  // E21, W8
  const buffer = fs.readonly_file_buffer
  if (buffer > 15 * mebibyte) refuse('feature.fs.readonly_file_buffer', 'must be at most 15 MiB (15728640)')
  else if (buffer > mebibyte) warn('feature.fs.readonly_file_buffer', 'more than 1 MiB (1048576) slows reading down')
  // E22
  const {min_ms: min, max_ms: max} = config.startup_retry
  if (min > max) refuse('startup_retry.min_ms', `must not be above ${named('startup_retry.max_ms')}`)
  // 4.3: patterns that nothing looks at.
  if (fs.mode === 'local') {
    for (const key of ['read_write', 'read_only', 'local', 'not_found', 'mapping'] as const) {
      if (fs[key] !== undefined) warn(`feature.fs.${key}`, 'it has no effect: with the mode "local" no file is remote')
    }
  }
}
