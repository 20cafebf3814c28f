import {mkdirSync, mkdtempSync, rmSync} from 'node:fs'
import {tmpdir} from 'node:os'
import path from 'node:path'
import {Client} from '../../../../src/agent/client.ts'
import {Attributes} from '../../../../src/agent/files/attributes.ts'
import {RootedFiles} from '../../../../src/agent/files/rooted.ts'
import {
  agentConnection,
  ClientSession,
  ConnectionError,
  type FileRequest as RemoteRequest,
  type Metadata,
} from '../../../../src/protocol/index.ts'
import {AgentSwitch} from '../../../../src/proxy/agent-switch.ts'
import {FileProxy, type FileProxyOptions} from '../../../../src/proxy/files/file-proxy.ts'
import type {FileAnswer, FileOperation, FileRequest} from '../../../../src/trap/types.ts'
import {buildTrap, trapPath} from '../../trap/harness.ts'
import {channels, loopback, type Loopback} from '../../protocol/loopback.ts'

/** A target's root, our agent serving it over a real socket pair, and a file proxy on top. */
export class Room {
  /** The target's root directory on this machine; another one after `replaceAgent`. */
  root: string
  readonly proxy: FileProxy
  session: ClientSession
  readonly warnings: string[] = []
  /** Every file request that was sent to the agent. */
  readonly sent: RemoteRequest[] = []
  changes = 0
  readonly #base: string
  /** The agent's side is gone, with its descriptors. */
  readonly #left: Promise<void>[]
  readonly #pairs: Loopback[]
  readonly #agents: AgentSwitch
  readonly #options: RoomOptions

  private constructor(base: string, {root, pair, session, left}: Served, options: RoomOptions) {
    this.#base = base
    this.#left = [left]
    this.#pairs = [pair]
    this.#options = options
    this.session = session
    this.root = root
    const nothing = () => undefined
    const handlers = {steal: nothing, outgoingRead: nothing, outgoingClosed: nothing, drained: nothing, lost: nothing}
    const agents = new AgentSwitch(session, handlers)
    this.#agents = agents
    this.proxy = new FileProxy({
      agent: {
        fileRequest: async (request) => {
          this.sent.push(request)
          const reply = await agents.fileRequest(request)
          if (options.upstream && request.type === 'Xstat' && reply.type === 'Ok')
            cutTimes(reply.value as {metadata: Metadata})
          return reply
        },
        closeFile: (request) => {
          this.sent.push(request)
          return agents.closeFile(request)
        },
        supports: (gate) => agents.supports(gate),
        get version() {
          return agents.version
        },
      },
      directory: options.directory ?? path.join(base, 'copies'),
      classify: options.classify ?? (() => 'readOnly'),
      map: options.map ?? ((name) => name),
      warn: (text) => this.warnings.push(text),
      filesChanged: () => {
        this.changes++
        options.changed?.()
      },
      watchMs: options.watchMs ?? 50,
      ...(options.stallMs === undefined ? {} : {stallMs: options.stallMs}),
    })
  }

  static async open(options: RoomOptions = {}): Promise<Room> {
    buildTrap() // the agent's helper for exact times and statfs
    const base = mkdtempSync(path.join(tmpdir(), 'mirrord-file-proxy-'))
    return new Room(base, await serve(path.join(base, 'root'), options), options)
  }

  /** The target's pod is replaced by another one, with files of its own, and its agent by another one. */
  async replaceAgent(prepare: (root: string) => void = () => {}): Promise<void> {
    this.#cut()
    const {root, pair, session, left} = await serve(path.join(this.#base, `root-${this.#pairs.length}`), this.#options)
    prepare(root)
    this.#left.push(left)
    this.#pairs.push(pair)
    this.#agents.detach(this.session)
    this.#agents.attach(session)
    this.root = root
    this.session = session
    await this.proxy.agentReplaced()
  }

  /** A path in the target's root, as this machine sees it. */
  at(name: string): string {
    return path.join(this.root, name)
  }

  /** Asks as the trap does. */
  ask(operation: FileOperation, name: string, more: Partial<FileRequest> = {}): Promise<FileAnswer> {
    return this.proxy.answer({
      operation,
      pid: process.pid,
      path: name,
      other: '',
      flags: 0,
      mode: 0,
      object: 0,
      numbers: [],
      gone: new AbortController().signal,
      busy: () => undefined,
      ...more,
    })
  }

  /** How many requests of a type the agent got so far. */
  count(type: RemoteRequest['type']): number {
    return this.sent.filter((request) => request.type === type).length
  }

  /** The agent is lost, as when its pod is deleted, and there will be no other one. */
  loseAgent(): void {
    this.#agents.end(new ConnectionError('TRANSPORT', 'the agent is lost'))
    this.#cut()
  }

  #cut(): void {
    this.#pairs.at(-1)!.server.destroy()
  }

  async close(): Promise<void> {
    await this.proxy.close()
    this.session.destroy()
    for (const pair of this.#pairs) await pair[Symbol.asyncDispose]()
    await Promise.all(this.#left)
    rmSync(this.#base, {recursive: true, force: true})
  }
}

/** What a test may choose. */
export type RoomOptions = Partial<Pick<FileProxyOptions, 'directory' | 'classify' | 'map' | 'stallMs' | 'watchMs'>> & {
  /** Called when the trap's answers have ended. */
  changed?: () => void
  /** The protocol version that the session announces. */
  version?: string
  /** The agent tells times as upstream's does: the part below a second alone (protocol.md 6, 19). */
  upstream?: boolean
}

function cutTimes({metadata}: {metadata: Metadata}): void {
  for (const name of ['accessTime', 'modificationTime', 'creationTime'] as const)
    metadata[name] = BigInt(metadata[name]) % 1_000_000_000n
}

interface Served {
  root: string
  pair: Loopback
  session: ClientSession
  left: Promise<void>
}

/** Our agent on a new root. */
async function serve(root: string, {version}: RoomOptions): Promise<Served> {
  mkdirSync(root)
  const pair = await loopback()
  const ends = channels(pair)
  const files = new RootedFiles(root)
  const left = Promise.withResolvers<void>()
  new Client(
    agentConnection(ends.server),
    {
      environment: new Map(),
      files,
      attributes: new Attributes(trapPath, () => undefined),
      redirecting: undefined,
      dns: {timeout: undefined, attempts: undefined},
    },
    () => left.resolve(files.close()),
  )
  const session = await ClientSession.open(ends.client, {logs: false, ...(version === undefined ? {} : {version})})
  return {root, pair, session, left: left.promise}
}
