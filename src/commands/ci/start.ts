import {Args, Flags} from '@oclif/core'
import path from 'node:path'
import {grouped, logGroup, writeOutputs} from '../../cli/ci-log.ts'
import {MirrordCommand} from '../../cli/command.ts'
import {processSignals} from '../../cli/signals.ts'
import {standardError} from '../../cli/standard-error.ts'
import {formatReady, startObserver} from '../../cli/start-output.ts'
import {commandContext} from '../../hooks/context.ts'
import {startSession} from '../../session/start.ts'

const target = {helpGroup: 'TARGET'}
const incoming = {helpGroup: 'TRAFFIC AND ENVIRONMENT'}
const ready = {helpGroup: 'READINESS'}
const many = {multiple: true, multipleNonGreedy: true} as const
const agent = {helpGroup: 'AGENT AND CLUSTER'}

export default class CiStart extends MirrordCommand {
  static override summary = 'run a local program in the background as if it ran in a pod of the cluster'
  static override description = `The program gets the environment of the target, resolves names and connects as the target does, and traffic of the target that arrives on the ports on which the program listens goes to the program. Returns when the program is ready: by default when it listens and that traffic arrives here (without incoming traffic: when it has lived for a second), else when everything under READINESS has succeeded. Ends everything and fails at once when the program dies first.

From the first word that is not a flag of this command, everything belongs to the program; -- before it is optional.`
  static override usage = 'ci start [--target TARGET] [-f [FILE]] [flags] [--] PROGRAM [ARGUMENTS]'
  static override examples = [
    '<%= config.bin %> <%= command.id %> --target deployment/ip-visit-counter go run ip-visit-counter.go',
    '<%= config.bin %> <%= command.id %> --config-file mirrord.json npm run start',
    '<%= config.bin %> <%= command.id %> --target pod/web-0/container/app --foreground -- ./build/server --port 8080',
  ]
  static override strict = false
  static override passthrough = true
  static override args = {
    program: Args.string({required: true, ignoreStdin: true, description: 'the program to run, with its arguments'}),
  }
  static override flags = {
    target: Flags.string({
      char: 't',
      ...target,
      helpValue: 'TARGET',
      summary: 'deployment/NAME or pod/NAME, optionally /container/NAME',
    }),
    'target-namespace': Flags.string({
      char: 'n',
      ...target,
      helpValue: 'NAME',
      summary: "namespace of the target [default: the context's]",
    }),
    'config-file': Flags.string({
      char: 'f',
      helpValue: 'FILE',
      summary: 'configuration (JSON, YAML, TOML); without FILE ./.mirrord/mirrord.json',
    }),
    name: Flags.string({
      helpValue: 'NAME',
      summary: "name of the session for the other ci commands [default: the program's, with -2, -3 where it is taken]",
    }),
    'log-max': Flags.string({
      helpValue: 'SIZE',
      summary: 'rotate stdout, stderr and mirrord.log at this size, for example 10M [default: never]',
    }),
    foreground: Flags.boolean({summary: 'stay attached to the program and exit with its status'}),
    wait: Flags.boolean({default: true, allowNo: true, summary: 'wait until the program is ready'}),
    ready: Flags.string({...ready, options: ['started', 'listening'], summary: 'it lives for a second, or listens'}),
    'ready-tcp': Flags.string({...ready, ...many, helpValue: '[HOST:]PORT', summary: 'the port accepts a connection'}),
    'ready-http': Flags.string({
      ...ready,
      ...many,
      helpValue: 'URL[=STATUS]',
      summary: 'the URL answers with STATUS (200, 2xx, several with commas) [default: any 2xx or 3xx]',
    }),
    'ready-log': Flags.string({...ready, ...many, helpValue: 'REGEX', summary: 'a line of its output matches'}),
    'ready-exec': Flags.string({...ready, ...many, helpValue: 'COMMAND', summary: 'the shell command succeeds'}),
    'ready-timeout': Flags.integer({
      ...ready,
      min: 1,
      helpValue: 'SECONDS',
      summary: 'how long to wait for it [default: 120]',
    }),
    steal: Flags.boolean({...incoming, summary: "steal the target's traffic (the default of this command)"}),
    intercept: Flags.boolean({
      ...incoming,
      default: true,
      allowNo: true,
      summary: 'intercept system calls; without: only environment and incoming traffic',
    }),
    'no-outgoing': Flags.boolean({...incoming, summary: 'outgoing connections stay local'}),
    'no-tcp-outgoing': Flags.boolean({...incoming, summary: 'outgoing TCP stays local'}),
    'no-udp-outgoing': Flags.boolean({...incoming, summary: 'outgoing UDP stays local'}),
    'no-remote-dns': Flags.boolean({...incoming, summary: 'names are resolved locally'}),
    'fs-mode': Flags.string({
      ...incoming,
      helpValue: 'MODE',
      summary: 'files: read (from the target), write (there too), local, local-with-overrides [default: read]',
    }),
    'override-env-vars-include': Flags.string({
      char: 's',
      ...incoming,
      helpValue: 'NAMES',
      summary: 'variables of the target to take, separated by ;',
    }),
    'override-env-vars-exclude': Flags.string({
      char: 'x',
      ...incoming,
      helpValue: 'NAMES',
      summary: 'variables of the target to leave out',
    }),
    context: Flags.string({...agent, helpValue: 'NAME', summary: 'context of the kubeconfig'}),
    kubeconfig: Flags.string({...agent, helpValue: 'FILE', summary: 'kubeconfig file'}),
    'accept-invalid-certificates': Flags.boolean({
      char: 'c',
      ...agent,
      allowNo: true,
      summary: "do not verify the cluster's certificate",
    }),
    'agent-namespace': Flags.string({char: 'a', ...agent, helpValue: 'NAME', summary: 'namespace of the agent'}),
    'agent-image': Flags.string({char: 'i', ...agent, helpValue: 'IMAGE', summary: 'image of the agent'}),
    'agent-log-level': Flags.string({char: 'l', ...agent, helpValue: 'FILTER', summary: "the agent's log filter"}),
    'agent-ttl': Flags.integer({...agent, min: 0, helpValue: 'SECONDS', summary: 'how long a finished agent stays'}),
    'agent-startup-timeout': Flags.integer({
      ...agent,
      min: 1,
      helpValue: 'SECONDS',
      summary: 'how long to wait for the agent',
    }),
  }

  async run(): Promise<void> {
    const {flags, words, resolved} = commandContext()
    const foreground = flags.foreground === true
    const stream = standardError()
    const progress = startObserver({stream, env: process.env, foreground})
    const group = logGroup('mirrord ci start', stream, process.env)
    const observer = grouped(progress, group, foreground)
    for (const warning of resolved!.warnings) observer.warning(warning)
    const outcome = await startSession(
      {
        version: this.config.version,
        config: resolved!.config,
        warnings: resolved!.warnings,
        words,
        cwd: process.cwd(),
        env: process.env,
        lib: path.join(this.config.root, 'lib'),
        foreground,
        intercept: flags.intercept !== false,
        wait: flags.wait !== false,
      },
      observer,
      processSignals,
    ).finally(() => {
      progress.close()
      group.close()
    })
    if (outcome.type === 'exited') return this.exit(outcome.status)
    const unwritten = writeOutputs(outcome.summary, process.env)
    if (unwritten) progress.warning(unwritten)
    this.log(formatReady(outcome.summary))
  }
}
