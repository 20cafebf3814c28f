import type {Infer} from '../schema/codec.ts'
import {struct, variants} from '../schema/composites.ts'
import {SocketAddress, uid} from '../schema/net.ts'
import type {Codec} from '../schema/codec.ts'
import {bytes, streamBytes, u64} from '../schema/primitives.ts'
import {result} from './errors.ts'

const connectV2 = struct({uid, remoteAddress: SocketAddress})
const data = struct({connectionId: u64, bytes})
const streamData = struct({connectionId: u64, bytes: streamBytes})
const close = struct({connectionId: u64})

const layerOutgoing = (data: Codec<Infer<typeof streamData>>) =>
  variants({
    Connect: struct({remoteAddress: SocketAddress}),
    Write: data,
    Close: close,
    ConnectV2: connectV2,
  })

/** Outgoing TCP and unix streams, client to agent (spec protocol.md 3.6). */
export const LayerOutgoing = layerOutgoing(streamData)
/** Outgoing UDP: the same on the wire, but each message is a datagram. */
export const LayerDatagrams = layerOutgoing(data)
export type LayerOutgoing = Infer<typeof LayerOutgoing>

/** A connection that the agent has made: the two addresses of its socket. */
export const DaemonConnect = struct({connectionId: u64, remoteAddress: SocketAddress, localAddress: SocketAddress})
export type DaemonConnect = Infer<typeof DaemonConnect>

const daemonConnectV2 = struct({uid, connect: result(DaemonConnect)})

const daemonOutgoing = (data: Codec<Infer<typeof streamData>>) =>
  variants({
    Connect: result(DaemonConnect),
    Read: result(data),
    Close: u64,
    ConnectV2: daemonConnectV2,
  })

/** Outgoing TCP and unix streams, agent to client. */
export const DaemonOutgoing = daemonOutgoing(streamData)
/** Outgoing UDP: the same on the wire, but each message is a datagram. */
export const DaemonDatagrams = daemonOutgoing(data)
export type DaemonOutgoing = Infer<typeof DaemonOutgoing>

/** Unix SOCK_SEQPACKET, client to agent. Its indices differ from those of `LayerOutgoing`. */
export const LayerSeqpacket = variants({Write: data, Close: close, ConnectV2: connectV2})
export type LayerSeqpacket = Infer<typeof LayerSeqpacket>

/** Unix SOCK_SEQPACKET, agent to client. */
export const DaemonSeqpacket = variants({Read: result(data), Close: u64, ConnectV2: daemonConnectV2})
export type DaemonSeqpacket = Infer<typeof DaemonSeqpacket>
