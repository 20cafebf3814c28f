import {CommandHelp, Help, type HelpSectionRenderer, type Interfaces} from '@oclif/core'
import {MirrordError} from '../errors/mirrord-error.ts'
import {endWithReader} from './pipe.ts'
import {unknownCommand} from './usage.ts'

/** A part of the help as oclif makes it. */
interface Section {
  header: string
  generate: HelpSectionRenderer
}

/**
 * A command's help with what most people need on the first screen: usage, description, the common flags and the examples come
 * before the groups of flags that few need.
 */
class OrderedHelp extends CommandHelp {
  protected override sections(): Section[] {
    const sections = new Map(super.sections().map((section) => [section.header, section]))
    const take = (header: string) => sections.get(header) ?? []
    const flags = sections.get('FLAGS')
    // oclif makes the groups one section; the first part of it has no name of its own.
    const part = (common: boolean): Section | [] =>
      flags
        ? {
            header: 'FLAGS',
            generate(data, header) {
              const groups = flags.generate(data, header)
              return Array.isArray(groups) ? groups.filter((group) => (group?.header === header) === common) : groups
            },
          }
        : []
    const {passthrough} = this.command as unknown as {passthrough?: boolean}
    return [
      take('USAGE'),
      take('DESCRIPTION'),
      // The usage of a command that runs a program says it all.
      passthrough ? [] : take('ARGUMENTS'),
      part(true),
      take('EXAMPLES'),
      part(false),
      take('FLAG DESCRIPTIONS'),
    ].flat()
  }

  /** Without the summary, which stands above it. */
  protected override description(): string | undefined {
    const {description} = this.command
    return description === undefined ? undefined : this.wrap(description)
  }
}

/** The help of the CLI (package.json, `oclif.helpClass`). */
export default class MirrordHelp extends Help {
  protected override CommandHelpClass = OrderedHelp

  /** `help COMMAND` of the plugin leaves the options of package.json out; without them flags are in alphabetical order. */
  constructor(config: Interfaces.Config, options: Partial<Interfaces.HelpOptions> = {}) {
    super(config, {...config.pjson.oclif.helpOptions, ...options})
  }

  override async showHelp(argv: string[]): Promise<void> {
    endWithReader()
    try {
      await super.showHelp(argv)
    } catch (error) {
      const [, id] = /^Command (\S+) not found\.$/.exec((error as Error).message) ?? []
      throw id === undefined ? error : new MirrordError(unknownCommand(id, this.config))
    }
  }
}
