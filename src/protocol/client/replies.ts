import type {GetEnvVarsResponse} from '../messages/daemon.ts'
import type {GetAddrInfoResponse} from '../messages/dns.ts'
import type {Result} from '../messages/errors.ts'
import type {FileResponse} from '../messages/files.ts'
import type {DaemonConnect} from '../messages/outgoing.ts'
import {PendingQueue, type Pending} from './pending.ts'
import type {ConnectReply, OutgoingKind} from './traffic.ts'

/** Called when a connect has succeeded, before any later message is handled: the place to register the connection id. */
export type Accept = (connection: DaemonConnect) => void

/** What is wrong with a reply ("a Pong that …"), undefined when it fits. */
export type Violation = string | undefined

/**
 * Requests that wait for a reply, and their correlation: replies carry no ids, so each kind is a FIFO of its own; only
 * ConnectV2 is matched by uid (spec protocol.md 6.2).
 */
export class PendingReplies {
  readonly env = new PendingQueue<GetEnvVarsResponse>()
  readonly dns = new PendingQueue<GetAddrInfoResponse>()
  /** With the response variant that is due. */
  readonly files = new PendingQueue<FileResponse['value'], FileResponse['type']>()
  /** With the port. */
  readonly subscriptions = {
    Tcp: new PendingQueue<Result<number>, number>(),
    TcpSteal: new PendingQueue<Result<number>, number>(),
  }
  readonly connectsV1 = {
    TcpOutgoing: new PendingQueue<ConnectReply, Accept | undefined>(),
    UdpOutgoing: new PendingQueue<ConnectReply, Accept | undefined>(),
  }
  readonly #connectsV2 = new Map<string, Pending<ConnectReply> & {accept: Accept | undefined}>()

  /** Waits for the reply to a ConnectV2; uids are unique within a kind. */
  waitConnectV2(kind: OutgoingKind, uid: bigint, accept: Accept | undefined): Promise<ConnectReply> {
    return new Promise((resolve, reject) => this.#connectsV2.set(`${kind} ${uid}`, {resolve, reject, accept}))
  }

  resolveEnv(reply: GetEnvVarsResponse): Violation {
    return settle(this.env.shift(), reply, 'GetEnvVarsResponse')
  }

  resolveDns(reply: GetAddrInfoResponse): Violation {
    return settle(this.dns.shift(), reply, 'GetAddrInfoResponse')
  }

  resolveFile(message: FileResponse): Violation {
    const due = this.files.peek()
    if (due && due.extra !== message.type) return `a ${message.type} file response instead of ${due.extra}`
    return settle(this.files.shift(), message.value, `${message.type} file response`)
  }

  resolveSubscription(mode: 'Tcp' | 'TcpSteal', reply: Result<number>): Violation {
    const due = this.subscriptions[mode].peek()
    if (due && reply.type === 'Ok' && reply.value !== due.extra) {
      return `a ${mode} subscription result for port ${reply.value} instead of ${due.extra}`
    }
    return settle(this.subscriptions[mode].shift(), reply, `${mode} subscription result`)
  }

  resolveConnectV1(kind: OutgoingKind, reply: ConnectReply): Violation {
    const pending = kind === 'SeqpacketOutgoing' ? undefined : this.connectsV1[kind].shift()
    return connected(pending, pending?.extra, reply, kind)
  }

  resolveConnectV2(kind: OutgoingKind, uid: bigint, reply: ConnectReply): Violation {
    const key = `${kind} ${uid}`
    const pending = this.#connectsV2.get(key)
    this.#connectsV2.delete(key)
    return connected(pending, pending?.accept, reply, kind)
  }

  /** Rejects everything that waits. */
  rejectAll(reason: Error): void {
    for (const queue of [this.env, this.dns, this.files]) queue.rejectAll(reason)
    for (const queue of Object.values(this.subscriptions)) queue.rejectAll(reason)
    for (const queue of Object.values(this.connectsV1)) queue.rejectAll(reason)
    const connects = [...this.#connectsV2.values()]
    this.#connectsV2.clear()
    for (const pending of connects) pending.reject(reason)
  }
}

function connected(
  pending: Pending<ConnectReply> | undefined,
  accept: Accept | undefined,
  reply: ConnectReply,
  kind: OutgoingKind,
): Violation {
  const violation = settle(pending, reply, `${kind} connect reply`)
  if (!violation && reply.type === 'Ok') accept?.(reply.value)
  return violation
}

function settle<T>(pending: Pending<T> | undefined, reply: T, what: string): Violation {
  if (!pending) return `a ${what} that nothing asked for`
  pending.resolve(reply)
  return undefined
}
