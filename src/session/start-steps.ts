import {resolveTarget, type Cluster, type ResolvedTarget} from '../kube/index.ts'
import {composeEnvironment} from '../proxy/environment.ts'
import {probeTrap} from '../trap/trap.ts'
import {containerPaths, environmentChanges, type ContainerProgram} from './container-program.ts'
import type {DataPlane} from './data-plane.ts'
import {interceptionUnavailable} from './failures.ts'
import type {Log} from './log.ts'
import type {Progress, Step} from './progress.ts'
import {readRemoteEnvironment, readRemoteFile} from './remote.ts'
import {pathContext} from './remote-files.ts'
import type {Prepared} from './run-program.ts'
import type {SessionSpec} from './spec.ts'
import {targetWarnings} from './target-warnings.ts'

// The steps of a start that make nothing which must be undone; what they need and give is all in their types.

/** Whether this machine can intercept. Errors: MirrordError of `interceptionUnavailable`. */
export async function checkMachine(trapPath: string, log: Log): Promise<void> {
  const probe = await probeTrap(trapPath)
  log(`machine: ${JSON.stringify(probe)}`)
  if (!probe.available) throw interceptionUnavailable(probe.reason ?? 'kernel-too-old')
}

/** The pod and container that the program runs as, none of those to avoid; undefined without a target. Errors: those of `resolveTarget`. */
export async function findTarget(
  {config}: SessionSpec,
  cluster: Cluster,
  progress: Progress,
  options: {signal: AbortSignal; avoid?: readonly string[]},
): Promise<Step<ResolvedTarget>> {
  const {path: target, namespace} = config.target
  if (!target || target.kind === 'targetless') return {text: 'No target: the agent runs in the cluster without one'}
  const value = await resolveTarget(cluster, target, namespace, options)
  for (const warning of targetWarnings(value, config)) progress.warn(warning)
  return {
    value,
    text: `Target ${value.target} is pod ${value.name}, container ${value.container}, in namespace ${value.namespace}`,
  }
}

/** Everything that the program gets from the target. Errors: those of the agent's connection. */
export async function prepareProgram(
  spec: SessionSpec,
  dataPlane: DataPlane,
  container?: ContainerProgram,
): Promise<Step<Prepared>> {
  const {config, environment, intercept} = spec
  const {env, fs, network, hostname: remoteName} = config.feature
  const remoteNames = intercept && network.dns.enabled
  const [remote, resolvConf, hosts, hostname] = await Promise.all([
    readRemoteEnvironment(dataPlane.agent, env),
    remoteNames ? readRemoteFile(dataPlane.agent, '/etc/resolv.conf') : undefined,
    remoteNames ? readRemoteFile(dataPlane.agent, '/etc/hosts') : undefined,
    intercept && remoteName ? readRemoteFile(dataPlane.agent, '/etc/hostname') : undefined,
  ])
  const resolver = network.dns.enabled ? await dataPlane.resolver({resolvConf, hosts}) : dataPlane.localResolver()
  const overlays = intercept ? resolver : []
  const files = intercept
    ? dataPlane.startFiles(fs, container ? containerPaths(container) : pathContext(spec))
    : undefined
  return {
    value: {
      environment: composeEnvironment(environment, remote, env),
      changes: container && environmentChanges(container, remote, env),
      overlays,
      files,
      hostname: hostname?.trim(),
      container,
    },
    text: `Environment of the target: ${remote.size} variables`,
  }
}
