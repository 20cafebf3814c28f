import {R} from '../api/resources.ts'
import type {Store} from '../api/store.ts'
import type {Endpoints, Service, ServicePort} from '../api/types.ts'
import type {Machine} from '../kubelet/machine.ts'

/** Milliseconds: rules that the kernel refuses must not keep a pod. */
const LONGEST_WAIT = 10_000
const TOOLS = ['iptables-nft-restore', 'iptables-legacy-restore', 'iptables-restore']

interface Rules {
  nat: string[]
  chains: string[]
  filter: string[]
}

/** Backends of one service port: `ip:port`, ready ones only. */
function backends(endpoints: Endpoints | undefined, port: ServicePort): {ip: string; port: number}[] {
  return (endpoints?.subsets ?? []).flatMap((subset) => {
    const match = subset.ports?.find((p) => (p.name ?? '') === (port.name ?? '') && p.protocol === port.protocol)
    return match ? (subset.addresses ?? []).map(({ip}) => ({ip, port: match.port})) : []
  })
}

/**
 * The complete nat and filter tables of the node for `iptables-restore`: service addresses are rewritten to a random ready
 * pod; one without ready pods refuses connections. The tables belong to the node's own network namespace, so they are
 * written whole and go with it. A pod that reaches itself through its service is masqueraded, or it would get packets from
 * its own address.
 */
export function serviceRules(
  services: Service[],
  find: (service: Service) => Endpoints | undefined,
  node: string,
  range: string,
): string {
  const rules: Rules = {nat: [], chains: [], filter: []}
  const hairpins = new Set<string>()
  let number = 0
  for (const service of services) {
    const address = service.spec.clusterIP
    if (!address || address === 'None' || service.spec.type === 'ExternalName') continue
    for (const port of service.spec.ports ?? []) {
      const protocol = port.protocol.toLowerCase()
      if (protocol !== 'tcp' && protocol !== 'udp') continue
      const doors = [`-d ${address}/32 -p ${protocol} -m ${protocol} --dport ${port.port}`]
      if (port.nodePort) doors.push(`-d ${node}/32 -p ${protocol} -m ${protocol} --dport ${port.nodePort}`)
      const list = backends(find(service), port)
      if (!list.length) {
        const how = protocol === 'tcp' ? 'tcp-reset' : 'icmp-port-unreachable'
        for (const door of doors) rules.filter.push(`-A SERVICES ${door} -j REJECT --reject-with ${how}`)
        continue
      }
      const chain = `SVC-${number++}`
      rules.chains.push(`:${chain} - [0:0]`)
      for (const door of doors) rules.nat.push(`-A SERVICES ${door} -j ${chain}`)
      for (const [i, backend] of list.entries()) {
        const rest = list.length - i
        const chance = rest > 1 ? `-m statistic --mode random --probability ${(1 / rest).toFixed(8)} ` : ''
        rules.nat.push(`-A ${chain} -p ${protocol} ${chance}-j DNAT --to-destination ${backend.ip}:${backend.port}`)
        hairpins.add(`-A HAIRPIN -s ${backend.ip}/32 -d ${backend.ip}/32 -j MASQUERADE`)
      }
    }
  }
  return [
    '*nat',
    ':PREROUTING ACCEPT [0:0]',
    ':INPUT ACCEPT [0:0]',
    ':OUTPUT ACCEPT [0:0]',
    ':POSTROUTING ACCEPT [0:0]',
    ':SERVICES - [0:0]',
    ':HAIRPIN - [0:0]',
    ...rules.chains,
    '-A PREROUTING -j SERVICES',
    '-A OUTPUT -j SERVICES',
    '-A POSTROUTING -j HAIRPIN',
    ...rules.nat,
    ...hairpins,
    'COMMIT',
    '*filter',
    ':INPUT ACCEPT [0:0]',
    ':FORWARD ACCEPT [0:0]',
    ':OUTPUT ACCEPT [0:0]',
    ':SERVICES - [0:0]',
    '-A INPUT -j SERVICES',
    '-A FORWARD -j SERVICES',
    '-A OUTPUT -j SERVICES',
    ...rules.filter,
    // An address that no rule answers (yet) swallows packets, as in a real cluster: who calls a service in the moment of
    // its creation connects at the next try instead of failing.
    `-A SERVICES -d ${range} -j DROP`,
    'COMMIT',
    '',
  ].join('\n')
}

/** Keeps the node's service rules in step with services and endpoints. */
export class ServiceProxy {
  private readonly store: Store
  private readonly machine: Machine
  private tool = ''
  private applied = ''
  private running = false
  private again = false
  private unsubscribe = () => {}
  private readonly waiting = new Set<() => void>()
  /** Told about rules that the kernel refused. */
  onError: (error: Error) => void = () => {}

  constructor(store: Store, machine: Machine) {
    this.store = store
    this.machine = machine
  }

  /** Finds an iptables that works in this kernel and begins. Throws when none does. */
  async start(wanted?: string): Promise<void> {
    const problems: string[] = []
    const probe = serviceRules(
      [
        {
          apiVersion: 'v1',
          kind: 'Service',
          metadata: {name: 'p', uid: '', resourceVersion: '', creationTimestamp: ''},
          spec: {
            type: 'ClusterIP',
            clusterIP: this.machine.addresses.service(254),
            ports: [{port: 1, protocol: 'TCP', targetPort: 1}],
          },
        },
      ],
      () => ({
        apiVersion: 'v1',
        kind: 'Endpoints',
        metadata: {name: 'p', uid: '', resourceVersion: '', creationTimestamp: ''},
        subsets: [
          {
            addresses: [{ip: this.machine.addresses.pod(254)}, {ip: this.machine.addresses.pod(253)}],
            ports: [{port: 1, protocol: 'TCP'}],
          },
        ],
      }),
      this.machine.addresses.node,
      this.machine.addresses.services,
    )
    for (const tool of wanted ? [wanted] : TOOLS) {
      try {
        await this.machine.inNetwork([tool], probe)
        this.tool = tool
        break
      } catch (error) {
        problems.push((error as Error).message)
      }
    }
    if (!this.tool)
      throw new Error(`No iptables works on this machine (apt-get install iptables). ${problems.join(' / ')}`)
    await this.apply()
    this.unsubscribe = this.store.onChange(({resource}) => {
      if (resource === '/services' || resource === '/endpoints') void this.apply()
    })
  }

  /** Writes the rules unless they are as they were. Changes during a run are gathered into one more run. */
  private async apply(): Promise<void> {
    if (this.running) {
      this.again = true
      return
    }
    this.running = true
    do {
      this.again = false
      const find = (service: Service) =>
        this.store.find<Endpoints>(R.endpoints, service.metadata.namespace, service.metadata.name)
      const rules = serviceRules(
        this.store.list<Service>(R.services),
        find,
        this.machine.addresses.node,
        this.machine.addresses.services,
      )
      if (rules === this.applied) continue
      try {
        await this.machine.inNetwork([this.tool], rules)
        this.applied = rules
        for (const wake of [...this.waiting]) wake()
      } catch (error) {
        this.onError(error as Error)
      }
    } while (this.again)
    this.running = false
  }

  /**
   * Resolves when no rule sends anything to the address, at the latest after `LONGEST_WAIT`. Until then its network must
   * stay: a connection to an address that has just gone is not refused, its packets vanish.
   */
  async unrouted(ip: string): Promise<void> {
    const end = Date.now() + LONGEST_WAIT
    while (this.applied.includes(`--to-destination ${ip}:`) && Date.now() < end) {
      await new Promise<void>((resolve) => {
        const done = () => {
          clearTimeout(timer)
          this.waiting.delete(done)
          resolve()
        }
        const timer = setTimeout(done, end - Date.now())
        this.waiting.add(done)
      })
    }
  }

  /** Leaves the rules alone from now on; they end with the node. */
  close(): void {
    this.unsubscribe()
    this.applied = ''
    for (const wake of [...this.waiting]) wake()
  }
}
