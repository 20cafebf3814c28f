import {createSocket} from 'node:dgram'
import type {Socket as UdpSocket} from 'node:dgram'
import {readFileSync} from 'node:fs'
import {connect, createServer} from 'node:net'
import type {Server, Socket} from 'node:net'

import * as packet from 'dns-packet'
import type {Answer, Packet, Question} from 'dns-packet'

import {R} from '../api/resources.ts'
import type {Store} from '../api/store.ts'
import type {Endpoints, Pod, Service} from '../api/types.ts'
import {CLUSTER_DOMAIN} from '../kubelet/etc.ts'

const TTL = 5
const UPSTREAM_TIMEOUT = 2000
/** Largest UDP answer without EDNS (RFC 1035). */
const PLAIN_LIMIT = 512
const CODES = {ok: 0, servfail: 2, nxdomain: 3}

interface Result {
  /** The name exists, whether or not it has records of the asked type. */
  exists: boolean
  answers: Answer[]
}

const zone = `.${CLUSTER_DOMAIN}`
const none: Result = {exists: false, answers: []}

const a = (name: string, ip: string): Answer => ({type: 'A', name, ttl: TTL, data: ip})

/** Records below `<service>.<namespace>.svc`. `labels` are what stands before the service's name. */
function serviceRecords(store: Store, name: string, type: string, labels: string[], service: Service): Result {
  const {clusterIP, type: kind, externalName, ports = []} = service.spec
  if (kind === 'ExternalName') {
    return labels.length ? none : {exists: true, answers: [{type: 'CNAME', name, ttl: TTL, data: externalName!}]}
  }
  const full = `${service.metadata.name}.${service.metadata.namespace}.svc${zone}`
  const subsets = store.find<Endpoints>(R.endpoints, service.metadata.namespace, service.metadata.name)?.subsets ?? []
  const addresses = subsets.flatMap((subset) =>
    (subset.addresses ?? []).map((address) => ({...address, ports: subset.ports ?? []})),
  )
  const headless = clusterIP === 'None'
  const host = (address: {ip: string; hostname?: string}) => address.hostname ?? address.ip.replaceAll('.', '-')
  if (labels.length === 2 && labels[0]!.startsWith('_') && labels[1]!.startsWith('_')) {
    const found = ports.find((p) => `_${p.name ?? ''}` === labels[0] && `_${p.protocol.toLowerCase()}` === labels[1])
    if (!found) return none
    const srv = (target: string, port: number): Answer => ({
      type: 'SRV',
      name,
      ttl: TTL,
      data: {priority: 0, weight: 100, port, target},
    })
    if (type !== 'SRV') return {exists: true, answers: []}
    if (!headless) return {exists: true, answers: [srv(full, found.port)]}
    return {
      exists: true,
      answers: addresses.flatMap((address) =>
        address.ports
          .filter((p) => (p.name ?? '') === (found.name ?? ''))
          .map((p) => srv(`${host(address)}.${full}`, p.port)),
      ),
    }
  }
  const ips = !headless
    ? labels.length
      ? []
      : [clusterIP!]
    : addresses
        .filter((address) => !labels.length || (labels.length === 1 && host(address) === labels[0]))
        .map(({ip}) => ip)
  if (labels.length && !ips.length) return none
  if (headless && !ips.length) return none
  return {exists: true, answers: type === 'A' ? ips.map((ip) => a(name, ip)) : []}
}

/** Answers for a name of the cluster zone; undefined for every other name. */
export function clusterAnswer(store: Store, question: Question): Result | undefined {
  const name = question.name.toLowerCase().replace(/\.$/, '')
  if (name === CLUSTER_DOMAIN) return {exists: true, answers: []}
  if (!name.endsWith(zone)) return undefined
  const parts = name.slice(0, -zone.length).split('.')
  const kind = parts.pop()
  const namespace = parts.pop()
  if (kind === 'svc' && namespace === undefined) return {exists: true, answers: []}
  if (namespace === undefined || !store.find(R.namespaces, undefined, namespace)) return none
  if (kind === 'pod') {
    const ip = parts.length === 1 ? parts[0]!.replaceAll('-', '.') : ''
    const known = store.list<Pod>(R.pods, namespace).some((pod) => pod.status.podIP === ip)
    return known ? {exists: true, answers: question.type === 'A' ? [a(question.name, ip)] : []} : none
  }
  if (kind !== 'svc') return none
  const service = parts.pop()
  if (service === undefined) return {exists: true, answers: []}
  const found = store.find<Service>(R.services, namespace, service)
  return found ? serviceRecords(store, question.name, question.type, parts, found) : none
}

/** Name servers of this machine that the sandbox may ask. */
function upstreams(path = '/etc/resolv.conf'): string[] {
  try {
    return [...readFileSync(path, 'utf8').matchAll(/^\s*nameserver\s+(\S+)/gm)]
      .map((match) => match[1]!)
      .filter((ip) => ip.includes('.'))
  } catch {
    return []
  }
}

/** The cluster's name server: UDP and TCP port 53 of one address. */
export class ClusterDns {
  private readonly store: Store
  private udp?: UdpSocket
  private tcp?: Server
  private readonly open = new Set<Socket>()
  private readonly servers = upstreams()

  constructor(store: Store) {
    this.store = store
  }

  /** Listens on `host`. Rejects when the port is taken. */
  async start(host: string): Promise<void> {
    const udp = createSocket('udp4')
    udp.on('message', (message, from) => {
      void this.answer(message).then((reply) => {
        if (!reply) return
        udp.send(reply.length > limitOf(message) ? truncated(reply) : reply, from.port, from.address, () => {})
      })
    })
    await new Promise<void>((resolve, reject) => {
      udp.once('error', reject)
      udp.bind(53, host, () => {
        udp.off('error', reject)
        udp.on('error', () => {})
        resolve()
      })
    })
    this.udp = udp
    const tcp = createServer((socket) => this.serve(socket))
    await new Promise<void>((resolve, reject) => {
      tcp.once('error', reject)
      tcp.listen(53, host, resolve)
    })
    this.tcp = tcp
  }

  private serve(socket: Socket): void {
    this.open.add(socket)
    socket.on('close', () => this.open.delete(socket))
    socket.on('error', () => socket.destroy())
    socket.setTimeout(30_000, () => socket.destroy())
    let pending = Buffer.alloc(0)
    socket.on('data', (chunk) => {
      pending = Buffer.concat([pending, chunk])
      while (pending.length >= 2 && pending.length >= 2 + pending.readUInt16BE(0)) {
        const message = pending.subarray(2, 2 + pending.readUInt16BE(0))
        pending = pending.subarray(2 + message.length)
        void this.answer(Buffer.from(message)).then((reply) => {
          if (!reply || socket.destroyed) return
          const length = Buffer.alloc(2)
          length.writeUInt16BE(reply.length)
          socket.write(Buffer.concat([length, reply]))
        })
      }
    })
  }

  /** The reply to one query; undefined for what is not a query. */
  private async answer(message: Buffer): Promise<Buffer | undefined> {
    let query: Packet
    try {
      query = packet.decode(message)
    } catch {
      return undefined
    }
    const question = query.questions?.[0]
    if (query.type !== 'query' || !question) return undefined
    const result = clusterAnswer(this.store, question)
    if (!result) return (await this.forward(message)) ?? this.reply(query, CODES.servfail, [], false)
    const code = result.exists ? CODES.ok : CODES.nxdomain
    return this.reply(query, code, result.answers, true)
  }

  private reply(query: Packet, code: number, answers: Answer[], authoritative: boolean): Buffer {
    const flags = (query.flags ?? 0) & packet.RECURSION_DESIRED
    const soa: Answer = {
      type: 'SOA',
      name: CLUSTER_DOMAIN,
      ttl: TTL,
      data: {
        mname: `ns.dns.${CLUSTER_DOMAIN}`,
        rname: `hostmaster.${CLUSTER_DOMAIN}`,
        serial: this.store.version,
        refresh: 7200,
        retry: 1800,
        expire: 86_400,
        minimum: TTL,
      },
    }
    return packet.encode({
      type: 'response',
      id: query.id,
      flags: flags | packet.RECURSION_AVAILABLE | (authoritative ? packet.AUTHORITATIVE_ANSWER : 0) | code,
      questions: query.questions,
      answers,
      authorities: authoritative && !answers.length ? [soa] : [],
      additionals: [],
    })
  }

  /** Asks this machine's name servers in turn, over TCP-safe UDP; undefined when none answers in time. */
  private async forward(message: Buffer): Promise<Buffer | undefined> {
    for (const server of this.servers) {
      const reply = await (message.length > PLAIN_LIMIT ? askTcp(server, message) : askUdp(server, message))
      if (!reply) continue
      // A cut answer is fetched whole: the client's own limit is applied later.
      const cut = (reply.readUInt16BE(2) & packet.TRUNCATED_RESPONSE) !== 0
      return cut ? ((await askTcp(server, message)) ?? reply) : reply
    }
    return undefined
  }

  /** Stops listening. */
  close(): void {
    this.udp?.close()
    this.tcp?.close()
    for (const socket of this.open) socket.destroy()
  }
}

/** The largest UDP reply that the asker takes: its EDNS size, else 512. */
function limitOf(message: Buffer): number {
  const opt = packet.decode(message).additionals?.find((record) => record.type === 'OPT') as
    {udpPayloadSize?: number} | undefined
  return Math.max(PLAIN_LIMIT, opt?.udpPayloadSize ?? 0)
}

/** The same reply without records and with the flag that sends the asker to TCP. */
function truncated(reply: Buffer): Buffer {
  const whole = packet.decode(reply)
  return packet.encode({
    ...whole,
    flags: (whole.flags ?? 0) | packet.TRUNCATED_RESPONSE,
    answers: [],
    authorities: [],
    additionals: [],
  })
}

function askUdp(server: string, message: Buffer): Promise<Buffer | undefined> {
  return new Promise((resolve) => {
    const socket = createSocket('udp4')
    const end = (reply?: Buffer) => {
      clearTimeout(timer)
      socket.close()
      resolve(reply)
    }
    const timer = setTimeout(() => end(), UPSTREAM_TIMEOUT)
    socket.on('error', () => end())
    socket.on('message', (reply) => {
      if (reply.length > 12 && reply.readUInt16BE(0) === message.readUInt16BE(0)) end(reply)
    })
    socket.connect(53, server, () => socket.send(message))
  })
}

function askTcp(server: string, message: Buffer): Promise<Buffer | undefined> {
  return new Promise((resolve) => {
    const socket = connect({host: server, port: 53, timeout: UPSTREAM_TIMEOUT})
    let data = Buffer.alloc(0)
    const end = (reply?: Buffer) => {
      socket.destroy()
      resolve(reply)
    }
    socket.on('connect', () => {
      const length = Buffer.alloc(2)
      length.writeUInt16BE(message.length)
      socket.write(Buffer.concat([length, message]))
    })
    socket.on('data', (chunk) => {
      data = Buffer.concat([data, chunk])
      if (data.length >= 2 && data.length >= 2 + data.readUInt16BE(0)) end(data.subarray(2, 2 + data.readUInt16BE(0)))
    })
    socket.on('timeout', () => end())
    socket.on('error', () => end())
    socket.on('close', () => end())
  })
}
