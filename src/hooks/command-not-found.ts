import type {Hook} from '@oclif/core'
import {ReportedError} from '../cli/report.ts'
import {unknownCommand} from '../cli/usage.ts'
import {MirrordError} from '../errors/mirrord-error.ts'

/** Says which command may have been meant; nothing is run in place of what was typed. */
const hook: Hook<'command_not_found'> = async function ({id, config}) {
  throw new ReportedError(new MirrordError(unknownCommand(id, config)))
}

export default hook
