import {Errors, Parser, type Hook} from '@oclif/core'
import {requirements, type MirrordCommand} from '../cli/command.ts'
import {ReportedError} from '../cli/report.ts'
import {checks, type CheckState} from './checks.ts'
import {provideContext} from '../cli/context.ts'

/**
 * Runs before every command: parses its flags once, resolves the configuration once, runs the checks that the command
 * requires. Everything that goes wrong ends as a CLIError, because oclif swallows any other error of a hook and would run
 * the command (spec oclif.md 5.1).
 */
const hook: Hook<'prerun'> = async function ({Command, argv, config}) {
  const command = Command as unknown as typeof MirrordCommand
  if (/^autocomplete(:|$)/.test(Command.id)) await checkCompletion(config.cacheDir)
  // Commands of oclif's own plugins (help, update) are not ours to gate.
  if (Command.pluginType !== undefined && Command.pluginType !== 'core') return
  if (Command.plugin !== undefined && Command.plugin.name !== config.name) return
  if (command.requires?.length === 0 && !command.resolves) return
  try {
    const {flags: given, raw} = await Parser.parse(argv, {
      flags: command.flags,
      args: command.args,
      strict: command.strict,
      '--': true,
      context: undefined,
    })
    const [{resolveConfig}, {refuseNested}, {unshield}, {heldBack}, {withProgramHint}] = await Promise.all([
      import('../config/index.ts'),
      import('../cli/nested.ts'),
      import('../cli/arguments.ts'),
      import('../cli/program-words.ts'),
      import('../cli/usage.ts'),
    ])
    const flags = Object.fromEntries(Object.entries(given).map(([name, value]) => [name, unshield(value)]))
    const words = [...raw.filter((token) => token.type === 'arg').map((token) => token.input), ...heldBack()]
    const required = command.requires ?? requirements
    // What only shows the configuration may run anywhere.
    if (command.passthrough && !command.resolves) refuseNested(process.env)
    await command.checkWords?.(words, flags)
    const resolved = await resolveConfig({
      flags: configFlags(flags),
      env: process.env,
      cwd: process.cwd(),
      incomingDefault: command.incomingDefault ?? 'steal',
      profileFollows: required.includes('profile'),
    }).catch((error: unknown) => {
      throw command.passthrough ? withProgramHint(error, flags['config-file']) : error
    })
    const state: CheckState = {resolved, env: process.env, notes: []}
    try {
      for (const name of requirements.filter((candidate) => required.includes(candidate))) await checks[name](state)
    } finally {
      state.cluster?.client.close()
    }
    provideContext({flags, words, resolved: state.resolved, profile: state.profile, notes: state.notes})
  } catch (error) {
    throw error instanceof Errors.CLIError ? error : new ReportedError(error)
  }
}

export default hook

/** The plugin behind `completion` takes a folder that it cannot write for a defect. */
async function checkCompletion(cacheDir: string): Promise<void> {
  const {makeCompletionFolder} = await import('../cli/completion-folder.ts')
  try {
    makeCompletionFolder(cacheDir)
  } catch (error) {
    throw new ReportedError(error)
  }
}

/** Flags as the configuration takes them: text, lists and switches; numbers go as their text. */
function configFlags(flags: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(flags).map(([name, value]) => [
      name,
      typeof value === 'boolean' || value === undefined || Array.isArray(value)
        ? value
        : String(value as string | number),
    ]),
  )
}
