import {parseAddressFilter} from '../address-filter.ts'
import {listed} from './available.ts'
import type {Checks} from './context.ts'

const at = (key: string) => `feature.network.${key}`

type Filter = Checks['config']['feature']['network']['dns']['filter']

/** Filters of outgoing connections and names (E25, W2, W6, W7). */
export function checkFilters(checks: Checks): void {
  const {config, named, refuse, warn} = checks
  const {outgoing, dns} = config.feature.network
  // E25: an empty list is found here, not by the program (quirk Q8).
  for (const [key, filter] of [
    ['outgoing.filter', outgoing.filter],
    ['dns.filter', dns.filter],
  ] as const) {
    const {side, entries} = sideOf(filter)
    if (entries?.length !== 0) continue
    refuse(
      at(key),
      `the list "${side}" is empty, so it would make everything ${side === 'local' ? 'remote' : 'local'}; leave it out`,
    )
  }
  if (!dns.enabled) {
    const off = `names are resolved locally (${named(at('dns.enabled'))})`
    // W2
    if (outgoing.filter && 'remote' in outgoing.filter) {
      warn(
        at('outgoing.filter'),
        `${off}, so a connection to a name may go to an address that the target does not know`,
      )
    }
    // W6
    if (dns.filter) warn(at('dns.filter'), `it has no effect: ${off}`)
  }
  // 4.3: a filter of what does not leave from the target at all.
  if (outgoing.filter && !outgoing.tcp && !outgoing.udp) {
    warn(
      at('outgoing.filter'),
      `it has no effect: ${named(at('outgoing.tcp'))} and ${named(at('outgoing.udp'))} are off`,
    )
  }
  if (dns.enabled) checkSides(checks)
}

/**
 * W7: a name that is connected on one side and looked up on the other; upstream lets the name's side follow its connections
 * only where no filter says otherwise (config.md 2.7). A name is a value: it is told by its place in the list.
 */
function checkSides({config, named, warn}: Checks): void {
  const {outgoing, dns} = config.feature.network
  const connected = sideOf(outgoing.filter)
  const lookedUp = sideOf(dns.filter)
  if (!connected.side || !lookedUp.side || connected.side === lookedUp.side) return
  const names = new Set(lookedUp.entries?.map(nameOf))
  const split = (connected.entries ?? []).flatMap((entry, index) => {
    const name = nameOf(entry)
    return name !== undefined && names.has(name) ? [String(index + 1)] : []
  })
  if (split.length === 0) return
  const [here, there] = connected.side === 'local' ? ['here', 'in the target'] : ['from the target', 'here']
  warn(
    at('outgoing.filter'),
    `${split.length === 1 ? 'the name of entry' : 'the names of entries'} ${listed(split)} of "${connected.side}" ${split.length === 1 ? 'is' : 'are'} connected ${here}, but looked up ${there} because of ${named(at('dns.filter'))}: the address may be that of another host`,
  )
}

function sideOf(filter: Filter): {side?: 'local' | 'remote'; entries?: readonly string[]} {
  if (!filter) return {}
  return 'local' in filter ? {side: 'local', entries: filter.local} : {side: 'remote', entries: filter.remote}
}

/** The name that an entry is for, with its port; undefined for addresses. */
function nameOf(entry: string): string | undefined {
  const {name, port} = parseAddressFilter(entry)
  return name && `${name}:${port ?? ''}`
}
