import {Flags} from '@oclif/core'

/** What the program runs as, and the file that says the rest. First in every help. */
export const targetFlags = {
  target: Flags.string({
    char: 't',
    helpValue: 'TARGET',
    summary:
      'deployment/NAME, pod/NAME, another KIND/NAME or label/KEY=VALUE, optionally /container/NAME; or targetless',
  }),
  'target-namespace': Flags.string({
    char: 'n',
    helpValue: 'NAME',
    summary: "namespace of the target [default: the context's]",
  }),
  'config-file': Flags.string({
    char: 'f',
    helpValue: '[FILE]',
    summary: 'configuration (JSON, YAML, TOML; - is stdin); without FILE ./.mirrord/mirrord.json',
  }),
  key: Flags.string({
    char: 'k',
    helpValue: 'KEY',
    summary: "the session's key, {{ key }} in the file [default: five random digits]",
  }),
}
