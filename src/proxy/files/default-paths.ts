/** What the default rules are built from: values of the session, absolute paths. */
export interface PathContext {
  /** HOME; absent when it is not set. */
  home?: string
  /** Working directory of the program. The trap adds that of each process. */
  cwd: string
  /** Directory of temporary files (TMPDIR, else /tmp). */
  temporary: string
  /** The program's executable. The trap adds that of each process. */
  executable: string
  /** RUNNER_TOOL_CACHE, where CI runners keep the languages that a job installs. */
  toolCache?: string
  /** What the user has put there from this machine: directories and files that a container's run line mounts. */
  mounts?: readonly string[]
}

/** A text as a pattern that matches just that text. */
export const escapePattern = (text: string) => text.replace(/[\\.+*?()|[\]{}^$#&~-]/g, '\\$&')

/** What is not found wherever it is: credentials of this machine that would be used for the cluster's (config.md 5.2). */
export function notFoundPaths({home}: PathContext): string[] {
  if (home === undefined || home === '') return []
  const pattern = homePattern(home)
  return ['gcloud', 'kube', 'azure'].map((name) => {
    const directory = name === 'gcloud' ? '/.config/gcloud' : `/.${name}`
    return `${pattern}${escapePattern(directory)}`
  })
}

/** What a run line mounts is meant to be read there, whatever the target has at its place. */
export const mountPaths = ({mounts = []}: PathContext): string[] =>
  mounts.filter((mount) => mount !== '/').map((mount) => `^${escapePattern(mount)}(/|$)`)

/** A container's user without a passwd entry has the home `/`: what follows brings its own slash. */
const homePattern = (home: string) => `^${escapePattern(home.replace(/\/+$/, ''))}`

/** What is read from the target although it lies in a local directory (config.md 5.2): names and certificates. */
export const remotePaths = ['^/etc/resolv.conf$', '^/etc/hosts$', '^/etc/hostname$', '^/etc/ssl/certs(/|$)']

const endings = ['so', 'sh', 'rb', 'd', 'pyc', 'py', 'jar', 'class', 'js', 'pth', 'plist'].map((name) => `.\\.${name}$`)
const directories = [
  ...['proc', 'sys', 'lib', 'etc', 'usr', 'home', 'bin', 'sbin', 'dev', 'opt', 'tmp', 'var/tmp'],
  ...['var/db/timezone/zoneinfo', 'snap', 'run', 'selinux', 'nix', 'home/iojs', 'home/runner'],
].map((name) => `^/${name}(/|$)`)
const names = [
  'venv\\.cfg$',
  '.+\\.asdf/.+',
  'clr-.*-pipe-',
  '\\.pdb$',
  '\\.dll$',
  '.*(^|/)jvm\\.cfg$',
  '/package\\.json$',
  '/\\.yarnrc$',
  '/\\.yarnrc.yml$',
  '/\\.yarnrc.json$',
  '/node_modules',
  '.*/\\.tool-versions$',
  '^/Program Files',
  '^/$',
]

/**
 * What is local by default (config.md 5.2): the program, its language's files and the machine's own directories. The tool
 * cache is our addition: without it a runner that keeps Node or Python in /__t would look for their files in the target.
 * The trap adds what belongs to each process: its working directory, executable, language and script.
 */
export function localPaths({home, cwd, temporary, executable, toolCache}: PathContext): string[] {
  return [
    ...endings,
    ...directories,
    ...names,
    `^${escapePattern(temporary)}`,
    ...(cwd === '/' ? [] : [`^${escapePattern(cwd)}(/|$)`]),
    `${escapePattern(executable)}$`,
    ...(home === undefined || home === '' ? [] : [`${homePattern(home)}/\\.`]),
    ...(toolCache === undefined || toolCache === '' || toolCache === '/' ? [] : [`^${escapePattern(toolCache)}(/|$)`]),
  ]
}
