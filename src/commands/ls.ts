import {Flags} from '@oclif/core'
import {MirrordCommand} from '../cli/command.ts'
import {plainJson, richJson, table} from '../cli/ls-output.ts'
import {endWithReader} from '../cli/pipe.ts'
import {richOutput} from '../cli/rich-output.ts'
import {targetTypes, TYPES_VARIABLE} from '../cli/target-types.ts'
import {commandContext} from '../cli/context.ts'
import {listNamespaces, listTargets, loadCluster, type Cluster} from '../kube/index.ts'

const helpGroup = 'CLUSTER'

export default class Ls extends MirrordCommand {
  static override summary = 'list the targets of a namespace'
  static override description = `What --target of \`ci start\` can name: pods that are ready (of those with several containers each container; sidecars of service meshes left out), then deployments and rollouts with an available pod; other kinds when asked for. A table on terminals, else a JSON list.`
  static override examples = [
    '<%= config.bin %> <%= command.id %>',
    '<%= config.bin %> <%= command.id %> --target-namespace shop --target-type deployment',
    '<%= config.bin %> <%= command.id %> --json | jq -r ".[]"',
  ]
  // Not the profile: what it changes does not matter here.
  static override requires = ['kubeconfig', 'cluster', 'licence'] as const
  static override flags = {
    'target-namespace': Flags.string({
      char: 'n',
      aliases: ['namespace'],
      helpValue: 'NAME',
      summary: "the namespace [default: the context's]",
    }),
    'target-type': Flags.string({
      char: 't',
      multiple: true,
      multipleNonGreedy: true,
      helpValue: 'TYPE',
      summary: `only targets of this kind, of which --target knows; may be repeated [default: pod, deployment, rollout, or ${TYPES_VARIABLE}]`,
    }),
    output: Flags.option({
      char: 'o',
      options: ['json', 'table'] as const,
      summary: 'the form [default: table on terminals, else json]',
    })(),
    json: Flags.boolean({exclusive: ['output'], summary: 'the same as --output json'}),
    'config-file': Flags.string({
      char: 'f',
      helpValue: 'FILE',
      summary: 'take namespace, kubeconfig and context from this configuration',
    }),
    context: Flags.string({helpGroup, helpValue: 'NAME', summary: 'context of the kubeconfig'}),
    kubeconfig: Flags.string({helpGroup, helpValue: 'FILE', summary: 'kubeconfig file'}),
    'accept-invalid-certificates': Flags.boolean({
      char: 'c',
      helpGroup,
      allowNo: true,
      summary: "do not verify the cluster's certificate",
    }),
  }

  async run(): Promise<void> {
    endWithReader()
    const {flags, resolved} = commandContext()
    const {config} = resolved!
    const kinds = targetTypes(flags['target-type'] as string[] | undefined, process.env[TYPES_VARIABLE])
    const rich = richOutput(process.env)
    const cluster = await loadCluster(config, process.env)
    try {
      const list = await listTargets(cluster, {namespace: config.target.namespace, kinds})
      for (const {message} of list.refused) warn(`Not listed: ${message}`)
      const form = flags.json ? 'json' : (flags.output ?? (process.stdout.isTTY && !rich ? 'table' : 'json'))
      if (form === 'table') process.stdout.write(await table(list, cluster.context, Date.now()))
      else
        process.stdout.write(`${rich ? richJson(list, await namespaces(cluster, list.namespace)) : plainJson(list)}\n`)
    } finally {
      cluster.client.close()
    }
  }
}

/** All namespaces, or the one at hand where they cannot be listed. */
async function namespaces(cluster: Cluster, current: string): Promise<string[]> {
  const found = await listNamespaces(cluster)
  if (!found) warn('The credentials may not list namespaces: only the current one is named.')
  return found ?? [current]
}

const warn = (text: string) => process.stderr.write(`Warning: ${text}\n`)
