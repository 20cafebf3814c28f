import {readFileSync} from 'node:fs'
import path from 'node:path'
import {Config, Errors, handle, run as runCommand, settings, type Interfaces} from '@oclif/core'
import {guardOutput, outputStatus} from './cli/pipe.ts'
import {exitCodes} from './errors/exit-codes.ts'

/** Runs the CLI on the words after its name; sets the exit code. `root` is the folder that holds package.json. */
export async function run(argv: readonly string[], options: {root: string; development?: boolean}): Promise<void> {
  // A packaged CLI must not look for TypeScript sources when the user's CI sets NODE_ENV=test (spec oclif.md 7.6).
  settings.enableAutoTranspile = options.development === true
  guardOutput()
  let words = argv
  try {
    const {root, development = false} = options
    const pjson = packageFor(argv, root, development)
    // The updater's background process would outlive the CI step (spec oclif.md 3.6). Not set for the commands that start
    // something, which would inherit it: they have no plugins.
    if (pjson.oclif.plugins?.length) process.env.MIRRORD_DISABLE_AUTOUPDATE ??= '1'
    // Plugins of the user are not ours: nothing is run that a file below the home directory names.
    const config = await Config.load({root, pjson, ignoreManifest: development, userPlugins: false})
    // The updater's hook looks whether to start an update in the background: no command wants that, and it takes 10 ms.
    for (const plugin of config.plugins.values()) if (plugin.name === UPDATE_PLUGIN) plugin.hooks = {}
    words = await prepare(argv, config)
    await runCommand([...words], config)
    if (versionWords.includes(argv[0]!) && argv.includes('--verbose')) await showUpstream()
    const unwritten = await outputStatus()
    process.exitCode ||= unwritten
  } catch (error) {
    await fail(error, argv, words)
  }
}

const versionWords = ['--version', '-V']

/** What `--version --verbose` says besides (ruling R18). */
async function showUpstream(): Promise<void> {
  const {UPSTREAM_VERSION} = await import('./util/upstream-version.ts')
  process.stdout.write(`goes by mirrord ${UPSTREAM_VERSION}: its agent image and protocol\n`)
}

/** `ci api-key` has two. */
const MAX_COMMAND_WORDS = 2

/** The words with which oclif's plugin for `update` has something to do: its own, and the overview and help that list it. */
const pluginWords = [undefined, 'help', 'update', '--help', '-h']
/** Only `completion` makes something of its plugin's commands. */
const completionWords = ['completion', 'autocomplete']
const COMPLETION_PLUGIN = '@oclif/plugin-autocomplete'
const UPDATE_PLUGIN = '@oclif/plugin-update'

const developmentSources = {
  commands: './src/commands',
  hooks: {prerun: './src/hooks/prerun.ts', command_not_found: './src/hooks/command-not-found.ts'},
  helpClass: './src/cli/help.ts',
}

/**
 * package.json as oclif reads it, without the plugins where the command line cannot need them: loading them takes longer
 * than everything else of a start (ruling R12).
 */
function packageFor(argv: readonly string[], root: string, development: boolean): Interfaces.PJSON {
  const pjson = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8')) as Interfaces.PJSON
  const oclif = {...pjson.oclif}
  if (pluginWords.includes(argv[0])) oclif.plugins = oclif.plugins?.filter((name) => name !== COMPLETION_PLUGIN)
  else if (!completionWords.includes(argv[0]!)) oclif.plugins = []
  // Sources instead of the build: Node itself strips their types.
  if (development) Object.assign(oclif, developmentSources)
  return {...pjson, oclif}
}

/** The command line as oclif gets it: that of one of our commands by our own rules, anything else as it is. */
async function prepare(argv: readonly string[], config: Config): Promise<string[]> {
  const words = [...argv]
  for (let length = 1; length <= MAX_COMMAND_WORDS; length++) {
    const command = config.findCommand(words.slice(0, length).join(':'))
    if (!command) continue
    // Without further words there is nothing to rewrite, and nothing is loaded for it.
    if (command.pluginName !== config.name || words.length === length) return words
    const [{normalizeArguments}, {holdBack}] = await Promise.all([
      import('./cli/arguments.ts'),
      import('./cli/program-words.ts'),
    ])
    const {flags, args, strict, passthrough = false} = command as typeof command & {passthrough?: boolean}
    const name = words.slice(0, length).join(' ')
    const most = strict === false ? Infinity : Object.keys(args).length
    const program = Object.values(args).some(({required}) => required)
    const own = normalizeArguments(words.slice(length), {name, flags, passthrough, program, most})
    return [...words.slice(0, length), ...(passthrough ? holdBack(own) : own)]
  }
  const [topic, ...rest] = words
  if (topic === undefined || !config.findTopic(topic)) return words
  const {topicWords} = await import('./cli/topic-words.ts')
  return topicWords(topic, rest)
}

async function fail(error: unknown, argv: readonly string[], words: readonly string[]): Promise<void> {
  // `this.exit`: said what there was to say, and nothing is to be loaded for it.
  if (error instanceof Errors.ExitError) {
    const unwritten = await outputStatus()
    process.exit(error.oclif.exit || unwritten)
  }
  // Only where something is wrong: a command that works does not load it.
  const {failureReport, showFailure} = await import('./cli/failure.ts')
  const report = failureReport(error, argv)
  if (!report) return handle(error as Error)
  showFailure(report, {stream: process.stderr, env: process.env, argv})
  const {asksForJson, failureJson} = await import('./cli/error-json.ts')
  if (asksForJson(words)) process.stdout.write(`${failureJson(report)}\n`)
  if (process.env.MIRRORD_DEBUG && error instanceof Error) process.stderr.write(`${error.stack}\n`)
  process.exitCode = exitCodes[report.exit].code
}
