import {readFileSync} from 'node:fs'

/** Names that never leave the target: they describe its image, not its configuration (agent.md 4.3). */
const alwaysExcluded: ReadonlySet<string> = new Set(
  (
    'BUNDLER_ORIG_BUNDLER_ORIG_MANPATH BUNDLER_ORIG_BUNDLER_VERSION BUNDLER_ORIG_BUNDLE_BIN_PATH ' +
    'BUNDLER_ORIG_BUNDLE_GEMFILE BUNDLER_ORIG_GEM_HOME BUNDLER_ORIG_MANPATH BUNDLER_ORIG_PATH ' +
    'BUNDLER_ORIG_RB_USER_INSTALL BUNDLER_ORIG_RUBYLIB BUNDLER_ORIG_RUBYOPT BUNDLER_VERSION BUNDLE_APP_CONFIG ' +
    'BUNDLE_BIN_PATH BUNDLE_FORCE_RUBY_PLATFORM BUNDLE_GEMFILE BUNDLE_GEM_PATH BUNDLE_PATH BUNDLE_WITHOUT ' +
    'CATALINA_HOME CLASSPATH DOTNET_EnableDiagnostics DOTNET_STARTUP_HOOKS GEM_HOME GEM_PATH GOPATH GOMODCACHE HOME ' +
    'HOMEPATH JAVA_EXE JAVA_HOME JAVA_TOOL_OPTIONS PATH PWD PYTHONPATH RUBYLIB RUBYOPT MIRRORD_LOG RUST_LOG ' +
    '_JAVA_OPTIONS'
  ).split(' '),
)

/**
 * Reads the variables a process was started with. Later duplicates win; entries without `=` are dropped.
 * @param pid process number, or `self`
 * @throws Error when the file cannot be read or is not UTF-8
 */
export function readEnvironment(pid: number | 'self'): Map<string, string> {
  const text = new TextDecoder('utf-8', {fatal: true, ignoreBOM: true}).decode(readFileSync(`/proc/${pid}/environ`))
  const variables = new Map<string, string>()
  for (const entry of text.split('\0')) {
    const equals = entry.indexOf('=')
    if (equals > 0) variables.set(entry.slice(0, equals), entry.slice(equals + 1))
  }
  return variables
}

/**
 * Picks the variables a client asked for (protocol.md 3.4).
 * @param exclude wildcard patterns of names to leave out, on top of the built-in list
 * @param select wildcard patterns of names to take; empty means all
 */
export function selectEnvironment(
  variables: ReadonlyMap<string, string>,
  exclude: Iterable<string>,
  select: Iterable<string>,
): Map<string, string> {
  const out = [...exclude].map(toPattern)
  const into = [...select].map(toPattern)
  return new Map(
    [...variables].filter(
      ([name]) =>
        !alwaysExcluded.has(name) &&
        (into.length === 0 || into.some((pattern) => pattern(name))) &&
        !out.some((pattern) => pattern(name)),
    ),
  )
}

/** Case-sensitive wildcards: `*` is any run of characters, `?` exactly one. Linear: patterns come from outside. */
function toPattern(pattern: string): (name: string) => boolean {
  const wanted = [...pattern]
  return (name) => {
    const actual = [...name]
    let w = 0
    let a = 0
    let star = -1
    let retry = 0
    while (a < actual.length) {
      if (wanted[w] === '*') {
        star = w++
        retry = a
      } else if (w < wanted.length && (wanted[w] === '?' || wanted[w] === actual[a])) {
        w++
        a++
      } else if (star >= 0) {
        // Give the last star one character more and try again behind it.
        w = star + 1
        a = ++retry
      } else return false
    }
    while (wanted[w] === '*') w++
    return w === wanted.length
  }
}
