import {randomInt} from 'node:crypto'

import {must, run} from '../exec.ts'

/** Addresses of one sandbox: a /24 for pods and one for services. All addresses are IPv4. */
export interface Addresses {
  slot: number
  /** Name of the interface on this machine. */
  link: string
  /** This machine's end: API server and DNS are here. */
  host: string
  /** The node: gateway of the pods. */
  node: string
  pods: string
  services: string
  /** The address in the pod range with this last number. */
  pod(number: number): string
  service(number: number): string
}

export interface Ranges {
  /** First two numbers of the pod range; 10.211 unless told. */
  pods: string
  /** First two numbers of the service range; 10.212 unless told. */
  services: string
}

const SLOTS = 200
const PREFIX = 'mirsbx'

function addresses(slot: number, ranges: Ranges): Addresses {
  const pod = (number: number) => `${ranges.pods}.${slot}.${number}`
  const service = (number: number) => `${ranges.services}.${slot}.${number}`
  return {
    slot,
    link: `${PREFIX}${slot}`,
    host: pod(1),
    node: pod(2),
    pods: `${ranges.pods}.${slot}.0/24`,
    services: `${ranges.services}.${slot}.0/24`,
    pod,
    service,
  }
}

/**
 * Links this machine with the node (the network namespace of process `pid`) and claims a free pair of /24 ranges. The
 * interface name is the claim: the kernel gives it once, also among sandboxes that start at the same moment.
 */
export async function claim(pid: number, ranges: Ranges): Promise<Addresses> {
  const taken = await must('ip', ['-4', 'route', 'show', 'table', 'all'])
  const first = randomInt(SLOTS)
  let last = ''
  for (let i = 0; i < SLOTS; i++) {
    const slot = (first + i) % SLOTS
    const a = addresses(slot, ranges)
    if (taken.includes(a.pod(0).replace(/0$/, '')) || taken.includes(a.service(0).replace(/0$/, ''))) continue
    const added = await run('ip', ['link', 'add', a.link, 'type', 'veth', 'peer', 'name', 'up0', 'netns', String(pid)])
    if (added.code !== 0) {
      last = added.stderr.trim()
      if (/exists/i.test(last)) continue
      break
    }
    await must(
      'ip',
      ['-batch', '-'],
      [
        `addr add ${a.host}/32 peer ${a.node} dev ${a.link}`,
        `link set ${a.link} up`,
        `route add ${a.pods} via ${a.node} src ${a.host}`,
        `route add ${a.services} via ${a.node} src ${a.host}`,
        '',
      ].join('\n'),
    )
    return a
  }
  throw new Error(`No free address range for the sandbox network. ${last}`)
}

/** `ip -batch` lines that configure the node's side: uplink, bridge, routes. */
export const nodeLines = (a: Addresses): string[] => [
  'link set lo up',
  `addr add ${a.node}/32 peer ${a.host} dev up0`,
  'link set up0 up',
  // An address of its own: else it has the lowest of its ports', changes it as pods come and go, and pods lose their gateway.
  'link add br0 address 0a:58:0a:00:00:01 type bridge stp_state 0 forward_delay 0',
  `addr add ${a.node}/32 dev br0`,
  'link set br0 up',
  `route add ${a.pods} dev br0 src ${a.node}`,
  `route add default via ${a.host}`,
]

/** `ip -batch` lines for inside a pod. /32 and a gateway: every packet passes the node, so service rules see both ways. */
export const podLines = (a: Addresses, ip: string): string[] => [
  'link set lo up',
  `addr add ${ip}/32 dev eth0`,
  'link set eth0 up',
  `route add ${a.node} dev eth0 scope link`,
  `route add default via ${a.node} dev eth0`,
]

/** Takes the interface on this machine away, with its routes. */
export async function release(a: Addresses): Promise<void> {
  await run('ip', ['link', 'del', a.link])
}
