import {filterKinds} from '../schema/feature/http-filter.ts'
import type {Checks} from './context.ts'

const at = (key: string) => `feature.network.incoming.${key}`

/** Incoming traffic (E3, E7, E8, E9, W3, W5, and the silent ones of 4.3). */
export function checkIncoming(checks: Checks): void {
  const {config, named, refuse, warn} = checks
  const {incoming} = config.feature.network
  const filter = incoming.http_filter
  // E3: all seven kinds count, also the two that upstream forgets (quirk Q7).
  const [first, ...others] = filterKinds
    .filter((kind) => filter[kind] !== undefined)
    .map((kind) => at(`http_filter.${kind}`))
  if (first !== undefined && others.length > 0) {
    refuse(
      first,
      `only one kind of filter can be set; also set: ${others.map(named).join(', ')}. Combine them in all_of or any_of`,
    )
  }
  // E7
  if (incoming.ports !== undefined && incoming.ignore_ports.length > 0) {
    refuse(at('ports'), `cannot be set together with ${named(at('ignore_ports'))}`)
  }
  // E8, W3
  if (incoming.https_delivery && incoming.tls_delivery) {
    refuse(at('https_delivery'), `cannot be set together with ${named(at('tls_delivery'))}`)
  } else if (incoming.https_delivery) warn(at('https_delivery'), 'this is the older name of tls_delivery; use that')
  for (const key of ['tls_delivery', 'https_delivery'] as const) checkDelivery(checks, key)
  // W5
  for (const [local, remote] of incoming.port_mapping) {
    if (local === remote) warn(at('port_mapping'), `the pair [${local}, ${remote}] changes nothing`)
  }
  // 4.3: what looks like taking part of the traffic while none is taken.
  if (incoming.mode === 'off') {
    const idle = [
      ...(first === undefined ? [] : [first]),
      ...(incoming.port_mapping.length > 0 ? [at('port_mapping')] : []),
      ...(incoming.ports === undefined ? [] : [at('ports')]),
    ]
    for (const path of idle) warn(path, `it has no effect: ${named(at('mode'))} is "off", so no traffic is taken`)
  }
  const unmapped = (filter.ports ?? []).filter((port) => incoming.ports !== undefined && !incoming.ports.includes(port))
  if (unmapped.length > 0) {
    warn(at('http_filter.ports'), `no traffic is taken on ${unmapped.join(', ')}: not among ${named(at('ports'))}`)
  }
}

/** E9: what the certificate of the program is verified with. */
function checkDelivery({config, refuse}: Checks, key: 'tls_delivery' | 'https_delivery'): void {
  const delivery = config.feature.network.incoming[key]
  if (delivery?.protocol !== 'tls') return
  if (delivery.trust_roots && delivery.server_cert !== undefined) {
    refuse(at(key), 'trust_roots and server_cert cannot both be set')
  }
  if (delivery.trust_roots?.length === 0) refuse(at(`${key}.trust_roots`), 'must not be empty')
  const name = delivery.server_name
  if (name !== undefined && !/^[A-Za-z0-9_](?:[A-Za-z0-9_.:-]*[A-Za-z0-9.:])?$/.test(name)) {
    refuse(at(`${key}.server_name`), 'must be a DNS name or an IP address')
  }
}
