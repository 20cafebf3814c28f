import {Flags} from '@oclif/core'
import {MirrordCommand} from '../../cli/command.ts'
import {MirrordError} from '../../errors/mirrord-error.ts'

export default class CiApiKey extends MirrordCommand {
  static override summary = "make this CI's credential for the operator of mirrord for Teams"
  static override description =
    'The credential is stored as the secret variable MIRRORD_CI_API_KEY of the CI. It is made by the operator in the cluster.'
  static override examples = ['<%= config.bin %> <%= command.id %>']
  static override flags = {
    'config-file': Flags.string({
      char: 'f',
      helpValue: '[FILE]',
      summary: 'the configuration that says how to reach the cluster',
    }),
  }
  static override requires = []

  async run(): Promise<void> {
    throw new MirrordError({
      code: 'API_KEY_NEEDS_OPERATOR',
      exit: 'operator',
      what: 'No CI API key can be made.',
      why: 'The key is made by the operator of mirrord for Teams, and this version does not talk to operators yet.',
      next: ['Without an operator no key is needed: run `mirrord ci start` as it is.'],
    })
  }
}
