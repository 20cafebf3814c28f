import type {Checks} from './context.ts'

const at = (key: string) => `feature.network.${key}`

/** Filters of outgoing connections and names (E25, W2, W6). */
export function checkFilters({config, named, refuse, warn}: Checks): void {
  const {outgoing, dns} = config.feature.network
  // E25: an empty list is found here, not by the program (quirk Q8).
  for (const [key, filter] of [
    ['outgoing.filter', outgoing.filter],
    ['dns.filter', dns.filter],
  ] as const) {
    const [side, entries] = Object.entries(filter ?? {})[0] ?? []
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
}
