import {Flags} from '@oclif/core'

const traffic = {helpGroup: 'TRAFFIC'}
const data = {helpGroup: 'ENVIRONMENT AND FILES'}

/** What goes to the cluster and comes from it. `steal` says how the flag stands to the command's default. */
export const trafficFlags = (steal: string) => ({
  steal: Flags.boolean({...traffic, summary: `steal the target's traffic (${steal})`}),
  'no-outgoing': Flags.boolean({...traffic, summary: 'outgoing connections stay local'}),
  'no-tcp-outgoing': Flags.boolean({...traffic, summary: 'outgoing TCP stays local'}),
  'no-udp-outgoing': Flags.boolean({...traffic, summary: 'outgoing UDP stays local'}),
  'no-remote-dns': Flags.boolean({...traffic, summary: 'names are resolved locally'}),
  intercept: Flags.boolean({
    ...traffic,
    default: true,
    allowNo: true,
    helpLabel: '--no-intercept',
    summary: 'intercept no system calls: only environment and incoming traffic',
  }),
  'skip-processes': Flags.string({
    ...traffic,
    helpValue: 'NAMES',
    summary: 'programs that run as without mirrord, separated by ;',
  }),
  'override-env-vars-include': Flags.string({
    char: 's',
    ...data,
    helpValue: 'NAMES',
    summary: 'variables of the target to take, with * and ?, separated by ;',
  }),
  'override-env-vars-exclude': Flags.string({
    char: 'x',
    ...data,
    helpValue: 'NAMES',
    summary: 'variables of the target to leave out',
  }),
  'env-file': Flags.string({...data, helpValue: 'FILE', summary: 'variables from a file of NAME=VALUE lines'}),
  'fs-mode': Flags.string({
    ...data,
    options: ['read', 'write', 'local', 'local-with-overrides'],
    helpValue: 'MODE',
    summary: 'files: read (from the target), write (there too), local or local-with-overrides',
  }),
})
