import {Flags} from '@oclif/core'

const agent = {helpGroup: 'AGENT AND CLUSTER'}
/** As upstream, which has 16 bits for these. */
const MAX_SECONDS = 65_535

/** How the cluster is reached and the agent made: what few need, so last in every help. */
export const clusterFlags = {
  'accept-invalid-certificates': Flags.boolean({
    char: 'c',
    ...agent,
    allowNo: true,
    helpLabel: '-c, --accept-invalid-certificates[=false]',
    summary: "do not verify the cluster's certificate",
  }),
  context: Flags.string({...agent, helpValue: 'NAME', summary: 'context of the kubeconfig'}),
  kubeconfig: Flags.string({...agent, helpValue: 'FILE', summary: 'kubeconfig file'}),
  'agent-namespace': Flags.string({char: 'a', ...agent, helpValue: 'NAME', summary: 'namespace of the agent'}),
  'agent-image': Flags.string({char: 'i', ...agent, helpValue: 'IMAGE', summary: 'image of the agent'}),
  'agent-log-level': Flags.string({char: 'l', ...agent, helpValue: 'FILTER', summary: "the agent's log filter"}),
  'agent-ttl': Flags.integer({
    ...agent,
    min: 0,
    max: MAX_SECONDS,
    helpValue: 'SECONDS',
    summary: 'how long a finished agent stays',
  }),
  'agent-startup-timeout': Flags.integer({
    ...agent,
    min: 1,
    max: MAX_SECONDS,
    helpValue: 'SECONDS',
    summary: 'how long to wait for the agent',
  }),
  'ephemeral-container': Flags.boolean({
    char: 'e',
    ...agent,
    summary: 'the agent as an ephemeral container of the pod',
  }),
  'no-telemetry': Flags.boolean({...agent, summary: 'no effect: nothing is ever reported'}),
  'disable-version-check': Flags.boolean({...agent, summary: 'no effect: newer versions are never looked for'}),
}
