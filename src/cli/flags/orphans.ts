import {Flags} from '@oclif/core'

const place = {helpGroup: 'CLUSTER OF ORPHANS', dependsOn: ['orphans']}

/** Where `ci stop --orphans` looks: the same words as those of the start. */
export const placeFlags = {
  'config-file': Flags.string({
    char: 'f',
    ...place,
    helpValue: 'FILE',
    summary: 'take namespaces, kubeconfig and context from this configuration',
  }),
  'target-namespace': Flags.string({
    char: 'n',
    aliases: ['namespace'],
    ...place,
    helpValue: 'NAME',
    summary: 'namespace of agents without a target',
  }),
  'agent-namespace': Flags.string({char: 'a', ...place, helpValue: 'NAME', summary: 'namespace of the agents'}),
  context: Flags.string({...place, helpValue: 'NAME', summary: 'context of the kubeconfig'}),
  kubeconfig: Flags.string({...place, helpValue: 'FILE', summary: 'kubeconfig file'}),
  'accept-invalid-certificates': Flags.boolean({
    char: 'c',
    ...place,
    allowNo: true,
    summary: "do not verify the cluster's certificate",
  }),
}

export const orphanFlags = {
  orphans: Flags.boolean({summary: 'what killed runners left in the cluster too'}),
  ...placeFlags,
}
