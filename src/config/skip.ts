import type {Config} from './schema/root.ts'

/** Compilers, linkers, debuggers and what drives them: they need the machine, not the target (config.md 5.8). */
const buildTools = [
  ...[
    'as',
    'cc',
    'ld',
    'go',
    'air',
    'asm',
    'cc1',
    'cgo',
    'dlv',
    'gcc',
    'git',
    'link',
    'math',
    'cargo',
    'hpack',
    'rustc',
  ],
  ...['compile', 'collect2', 'cargo-watch', 'debugserver', 'jspawnhelper', 'bazel-real', 'clang'],
  // "NAME WORD": a script of that name with that command; `yarn ` without one installs. What they run (tests, scripts) is judged anew.
  ...['npm install', 'npm i', 'npm ci', 'npm add', 'yarn ', 'yarn install', 'yarn add'],
  ...['pnpm install', 'pnpm i', 'pnpm add'],
]

/** Skipped whatever is configured: "*END" is the end of a name (config.md 5.8). */
const always = ['*JetBrains.Debugger.Worker']

/**
 * Names of programs that are not intercepted, for `TrapOptions.skip`: compared with the executable's and argv[0]'s last
 * part, in the forms of native/trap/processes/skip.c. What such a program starts is judged anew.
 */
export function skipNames(
  config: Pick<Config, 'skip_processes' | 'skip_build_tools' | 'skip_extra_build_tools'>,
): string[] {
  const names = [
    ...(config.skip_build_tools ? [...buildTools, ...(config.skip_extra_build_tools ?? [])] : []),
    ...(config.skip_processes ?? []),
    ...always,
  ]
  return [...new Set(names)].filter((name) => name !== '')
}
