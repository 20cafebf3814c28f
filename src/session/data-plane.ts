import {chmodSync, mkdirSync, readFileSync, writeFileSync} from 'node:fs'
import path from 'node:path'
import type {Config} from '../config/index.ts'
import {DnsRelay} from '../proxy/dns-relay.ts'
import type {PathContext} from '../proxy/files/default-paths.ts'
import {FileProxy, type Unsaved} from '../proxy/files/file-proxy.ts'
import {fileRules} from '../proxy/files/rules.ts'
import {AgentSwitch} from '../proxy/agent-switch.ts'
import {SubscriptionRefused} from '../proxy/errno.ts'
import {FlowControl} from '../proxy/flow.ts'
import {unobserved, type TrafficObserver} from '../proxy/observer.ts'
import {IncomingProxy} from '../proxy/incoming.ts'
import {OutgoingTcpProxy} from '../proxy/outgoing-tcp.ts'
import {OutgoingUdpProxy} from '../proxy/outgoing-udp.ts'
import {OutgoingUnixProxy} from '../proxy/outgoing-unix.ts'
import {pickLoopbackAddress, SourcePorts, type Endpoint} from '../proxy/addresses.ts'
import {nameservers, withDnsHosts, withNameserver} from '../proxy/resolver-files.ts'
import type {ClientSession, ConnectionError} from '../protocol/index.ts'
import type {FileOptions, Trap} from '../trap/trap.ts'
import type {RemoteAgent} from './remote.ts'
import type {LiveFigures} from './state.ts'

/** Files of the pod that name resolution reads. */
export interface ResolverFiles {
  resolvConf?: string
  hosts?: string
}

/** Where the program runs: beside us, in a container as its root, or in one as another user of this machine than we. */
export type Place = 'here' | 'container' | 'container-user'

/** The client half of everything that goes through the agent, or through those that follow it. */
export class DataPlane {
  /** The session's own loopback address; connections to it are never intercepted. */
  readonly address = pickLoopbackAddress()
  /** Destinations that the program reaches from here. */
  readonly local: {cidr: string; port?: number}[] = [{cidr: this.address}]
  readonly incoming: IncomingProxy
  readonly tcp: OutgoingTcpProxy
  readonly udp: OutgoingUdpProxy
  readonly unix: OutgoingUnixProxy
  readonly #agents: AgentSwitch
  readonly #warn: (text: string) => void
  /** Private; of a container the part that it sees. */
  readonly directory: string
  readonly #place: Place
  readonly #observer: TrafficObserver
  #dns?: DnsRelay
  /** Remote files; undefined when all files are local. */
  #files?: FileProxy
  /** Set once the program runs: dials are announced to it. */
  trap?: Trap

  /** @param directory private directory of the session, for sockets and copies of files; made when needed
   */
  constructor(
    agent: ClientSession,
    directory: string,
    warn: (text: string) => void,
    observer: TrafficObserver = unobserved,
    place: Place = 'here',
  ) {
    this.#observer = observer
    this.#warn = warn
    this.directory = directory
    this.#place = place
    this.#makeDirectory(directory)
    const agents = new AgentSwitch(agent, {
      steal: (message) => this.incoming.receive(message),
      outgoingRead: (kind, id, bytes) => {
        if (this.unix.read(kind, id, bytes)) return
        if (kind === 'TcpOutgoing') this.tcp.read(id, bytes)
        else if (kind === 'UdpOutgoing') this.udp.read(id, bytes)
      },
      outgoingClosed: (kind, id) => {
        if (this.unix.closed(kind, id)) return
        if (kind === 'TcpOutgoing') this.tcp.closed(id)
        else if (kind === 'UdpOutgoing') this.udp.closed(id)
      },
      drained: () => flow.drained(),
      lost: (owned) => {
        for (const proxy of [this.incoming, this.tcp, this.udp, this.unix]) proxy.lost(owned)
      },
    })
    this.#agents = agents
    const flow = new FlowControl({pause: () => agents.pause(), resume: () => agents.resume()})
    const send: ClientSession['send'] = (message) => agents.send(message)
    const ip = ({address, port}: Endpoint) => ({type: 'Ip' as const, value: {ip: address, port}})
    this.tcp = new OutgoingTcpProxy({
      address: this.address,
      connect: (remote, accept) => agents.connectTcp(ip(remote), accept),
      send,
      flow,
      warn,
      observer,
    })
    this.udp = new OutgoingUdpProxy({
      address: this.address,
      connect: (remote, accept) => agents.connectUdp(ip(remote), accept),
      send,
      flow,
      warn,
      observer,
    })
    this.unix = new OutgoingUnixProxy({
      directory,
      shared: place !== 'here',
      connectStream: (address, accept) => agents.connectTcp(address, accept),
      connectSeqpacket: (address, accept) => agents.connectSeqpacket(address, accept),
      send,
      flow,
      warn,
      observer,
    })
    this.incoming = new IncomingProxy({
      address: this.address,
      sources: new SourcePorts(),
      send,
      flow,
      subscribe: async (port) => {
        const result = await agents.subscribeSteal(port)
        if (result.type === 'Err') throw new SubscriptionRefused(result.value)
      },
      unsubscribe: (port) => agents.unsubscribeSteal(port),
      registerPeer: async (source, peer, local) => this.trap?.registerPeer(source, peer, local),
      forgetPeer: (source) => this.trap?.forgetPeer(source),
      warn,
      observer,
    })
  }

  /** The agent that works now, for what is read of the target once. */
  get agent(): RemoteAgent {
    return this.#agents
  }

  /**
   * Another agent takes over: from now on it gets every new request, and the subscriptions. Resolves, when it has them, with the
   * ports that it refuses; rejects with its ConnectionError. What was begun with the one before goes on until that one is `lost`.
   */
  async takeOver(agent: ClientSession): Promise<{port: number; error: unknown}[]> {
    this.#agents.attach(agent)
    const [refused] = await Promise.all([this.incoming.resubscribe(), this.#files?.agentReplaced()])
    return refused
  }

  /** An agent's connection has ended: everything that was begun with it is over, and what is new waits for the next one. */
  lost(agent: ClientSession): void {
    this.#agents.detach(agent)
  }

  /** There will be no other agent: what waits for one fails. */
  giveUp(reason: ConnectionError): void {
    this.#agents.end(reason)
  }

  #makeDirectory(directory: string): void {
    mkdirSync(directory, {recursive: true, mode: 0o700})
    // What is above it keeps everybody else away.
    if (this.#place !== 'here') chmodSync(directory, 0o711)
  }

  /**
   * Writes the files with which the program resolves names as the pod does, and starts the nameserver on the session's address
   * where that is possible. Returns the overlays for the trap.
   */
  async resolver(files: ResolverFiles): Promise<{path: string; source: string}[]> {
    const directory = path.join(this.directory, 'etc')
    this.#makeDirectory(directory)
    const overlays: {path: string; source: string}[] = []
    const overlay = (name: string, text: string) => {
      const source = path.join(directory, name)
      writeFileSync(source, text, {mode: 0o644})
      overlays.push({path: `/etc/${name}`, source})
    }
    const servers = files.resolvConf === undefined ? [] : nameservers(files.resolvConf)
    if (files.resolvConf !== undefined && servers.length > 0) {
      this.#dns = await DnsRelay.start({
        address: this.address,
        nameservers: servers,
        openUdp: (remote, receive, closed) => this.udp.open(remote, receive, closed),
        spliceTcp: (socket, remote) => this.tcp.splice(socket, remote),
      })
      // Without the right to bind port 53 the program keeps the pod's nameservers, and the trap relays port 53 of them.
      overlay('resolv.conf', this.#dns ? withNameserver(files.resolvConf, this.address) : files.resolvConf)
    }
    if (files.hosts !== undefined) overlay('hosts', files.hosts)
    overlay('nsswitch.conf', withDnsHosts(this.#place === 'here' ? readLocal('/etc/nsswitch.conf') : undefined))
    return overlays
  }

  /** The same when names stay this machine's business: its own files, and its nameservers are asked from here. */
  localResolver(): {path: string; source: string}[] {
    for (const address of nameservers(readLocal('/etc/resolv.conf') ?? '')) this.local.push({cidr: address, port: 53})
    return ['/etc/resolv.conf', '/etc/hosts', '/etc/nsswitch.conf']
      .filter((file) => readLocal(file) !== undefined)
      .map((file) => ({path: file, source: file}))
  }

  /**
   * Prepares remote files. Returns what the trap needs to know; undefined in mode `local`.
   */
  startFiles(config: Config['feature']['fs'], context: PathContext): FileOptions | undefined {
    const rules = fileRules(config, context)
    if (!rules) return undefined
    const directory = path.join(this.directory, 'remote')
    this.#makeDirectory(directory)
    this.#files = new FileProxy({
      agent: this.#agents,
      directory,
      classify: rules.classify,
      map: rules.map,
      warn: this.#warn,
      filesChanged: () => this.trap?.filesChanged(),
      shared: this.#place === 'container-user',
      observer: this.#observer,
    })
    return {
      directory: this.#files.directory,
      rules: rules.rules,
      mapping: rules.mapping,
      writable: rules.writable,
    }
  }

  /** The session's half of remote files; undefined in mode `local`. */
  get files(): FileProxy | undefined {
    return this.#files
  }

  /** Brings what the program has written to the target; resolves with what could not be brought. */
  async saveFiles(): Promise<Unsaved[]> {
    const unsaved = (await this.#files?.flush()) ?? []
    await this.#files?.close()
    return unsaved
  }

  /** What passes here now, for `ci status`. */
  get live(): Pick<LiveFigures, 'ports'> {
    return {ports: this.incoming.delivered}
  }

  /** Ends every relay, of a program that is gone; its connections are reset. The agent's connection is the owner's. */
  async close(): Promise<void> {
    await this.incoming.end()
    this.#dns?.close()
    this.tcp.close()
    this.udp.close()
    this.unix.close()
  }

  /** Tells the agent to stop redirecting. */
  unsubscribeAll(): void {
    this.incoming.unsubscribeAll()
    this.#agents.flush()
  }
}

function readLocal(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return undefined
  }
}
