import {networkInterfaces} from 'node:os'
import {isIPv6} from 'node:net'
import type {RunCommand} from '../command.ts'
import type {Log} from '../log.ts'
import {chooseTable, RedirectError, type NatTable} from './backend.ts'
import {removeLeftovers} from './rule-set.ts'
import {leftoverNames, mentioning, type Family} from './rules.ts'

/** What the start-up check of a network namespace found. */
export type Preparation =
  | {type: 'usable'; tables: NatTable[]}
  /** Redirecting is impossible here; everything else of the agent works. */
  | {type: 'unusable'; reason: string}
  /** Rules of another agent are in place. */
  | {type: 'dirty'; lines: string[]}

/** The families of which some interface, loopback included, has an address (agent.md 5.2). */
export function usedFamilies(): Family[] {
  const addresses = Object.values(networkInterfaces()).flatMap((list) => list ?? [])
  return ([4, 6] as const).filter((family) => addresses.some((address) => address.family === `IPv${family}`))
}

/**
 * Chooses the tables to work with and looks for leftovers of other agents. Runs in the target's network namespace.
 * @param cleanOnStart remove leftovers instead of reporting them
 */
export async function prepareRedirect(
  containerId: string,
  options: {nftables: boolean | undefined; podIps: readonly string[]; cleanOnStart: boolean},
  run: RunCommand,
  log: Log,
): Promise<Preparation> {
  const families = usedFamilies()
  const chosen = await Promise.allSettled(families.map((family) => chooseTable(family, options.nftables, run)))
  const tables: NatTable[] = []
  const dirty: string[] = []
  for (const [index, result] of chosen.entries()) {
    if (result.status === 'rejected') {
      const reason = result.reason instanceof Error ? result.reason.message : String(result.reason)
      // Every namespace has ::1, but kernels without IPv6 nat exist; a pod without IPv6 address loses nothing there.
      if (families[index] === 6 && !options.podIps.some((ip) => isIPv6(ip))) {
        log('warn', `IPv6 traffic is not redirected: ${reason}`)
        continue
      }
      return {type: 'unusable', reason}
    }
    const {table, listing, mesh} = result.value
    if (mesh) return {type: 'unusable', reason: 'a service mesh redirects this pod, which this agent does not support'}
    tables.push(table)
    const hits = mentioning(listing, leftoverNames(containerId))
    if (hits.length === 0) continue
    if (!options.cleanOnStart) {
      dirty.push(...hits)
      continue
    }
    try {
      await removeLeftovers(table, containerId)
    } catch (error) {
      if (!(error instanceof RedirectError)) throw error
      return {type: 'unusable', reason: error.message}
    }
    log('warn', `removed leftover redirect rules (IPv${table.family}, ${table.backend}):\n${hits.join('\n')}`)
  }
  if (dirty.length > 0) return {type: 'dirty', lines: dirty}
  if (tables.length === 0) return {type: 'unusable', reason: 'the network namespace has no address'}
  return {type: 'usable', tables}
}
