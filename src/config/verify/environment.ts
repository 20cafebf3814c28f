import type {Checks} from './context.ts'

const mebibyte = 1024 * 1024

/** Variables, files and the start-up (E14, E21, E22, and files without effect of 4.3). */
export function checkEnvironment({config, named, refuse, warn}: Checks): void {
  const {env, fs} = config.feature
  // E14. `feature.env: false` is an exclude too.
  if (env.include !== undefined && env.exclude !== undefined) {
    refuse('feature.env.include', `cannot be set together with ${named('feature.env.exclude')}`)
  }
  // E21. W8, that more than 1 MiB slows reading down, is not so here: the warning of a key without effect says why.
  if (fs.readonly_file_buffer > 15 * mebibyte) {
    refuse('feature.fs.readonly_file_buffer', 'must be at most 15 MiB (15728640)')
  }
  // E22
  const {min_ms: min, max_ms: max} = config.startup_retry
  if (min > max) refuse('startup_retry.min_ms', `must not be above ${named('startup_retry.max_ms')}`)
  // 4.3: names and patterns that nothing looks at.
  if (!config.skip_build_tools && config.skip_extra_build_tools !== undefined) {
    warn('skip_extra_build_tools', `it has no effect: ${named('skip_build_tools')} is false`)
  }
  if (fs.mode === 'local') {
    for (const key of ['read_write', 'read_only', 'local', 'not_found', 'mapping'] as const) {
      if (fs[key] !== undefined) warn(`feature.fs.${key}`, 'it has no effect: with the mode "local" no file is remote')
    }
  }
}
