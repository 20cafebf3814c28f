import type {Origin} from './assemble.ts'
import {readyProbes} from './schema/ready.ts'
import type {AnyConfig} from './schema/root.ts'

const incomingMode = 'feature.network.incoming.mode'
const fsMode = 'feature.fs.mode'

/** Sets the mode that the command takes by default (ruling R2), before validation. */
export function applyIncomingDefault(raw: Record<string, unknown>, origins: Map<string, Origin>, mode: string): void {
  if (origins.has(incomingMode)) return
  const feature = raw.feature as Record<string, Record<string, Record<string, unknown>>> | undefined
  // Absent where the section itself was refused as malformed; that problem is reported anyway.
  const incoming = feature?.network?.incoming
  if (incoming) incoming.mode = mode
}

/** Probes of the command line stand alone: `--ready started` must not wait for what the file asks for as well. */
export function replaceProbes(raw: Record<string, unknown>, origins: Map<string, Origin>): void {
  const keys = readyProbes.map((key) => ({key, name: `ci.ready.${key}`}))
  if (!keys.some(({name}) => origins.get(name)?.startsWith('flag '))) return
  const ready = (raw.ci as Record<string, Record<string, unknown>> | undefined)?.ready
  for (const {key, name} of keys) {
    if (!origins.get(name)?.startsWith('file ')) continue
    delete ready?.[key]
    origins.delete(name)
  }
}

/** Without a target there is nothing to take traffic from: the default becomes off, and an explicit mode is reported. */
export function settleTarget(config: AnyConfig, origins: ReadonlyMap<string, Origin>): string[] {
  const {incoming} = config.feature.network
  if (config.target.path !== undefined && config.target.path.kind !== 'targetless') return []
  const warnings: string[] = []
  // The file system of an agent without a target is nobody's: only what is asked for by name comes from it (config.md 5.2).
  const {fs} = config.feature
  if (config.target.path === undefined && fs.mode !== 'local' && fs.mode !== 'localwithoverrides') {
    if (origins.has(fsMode)) {
      warnings.push(`There is no target, so ${fsMode} (${origins.get(fsMode)}) counts as "localwithoverrides".`)
    }
    fs.mode = 'localwithoverrides'
  }
  if (!origins.has(incomingMode)) incoming.mode = 'off'
  else if (config.target.path === undefined && incoming.mode !== 'off') {
    warnings.push(
      `There is no target, so no traffic is taken: ${incomingMode} (${origins.get(incomingMode)}) counts as "off".`,
    )
    incoming.mode = 'off'
  }
  return warnings
}
