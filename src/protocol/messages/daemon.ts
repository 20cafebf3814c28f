import type {Infer} from '../schema/codec.ts'
import {map, struct, variants} from '../schema/composites.ts'
import {semver} from '../schema/http.ts'
import {ipAddr} from '../schema/net.ts'
import {bool, bytes, string, u128, unit} from '../schema/primitives.ts'
import {GetAddrInfoResponse, ReverseDnsLookupResponse} from './dns.ts'
import {result} from './errors.ts'
import {FileResponse} from './files.ts'
import {DaemonDatagrams, DaemonOutgoing, DaemonSeqpacket} from './outgoing.ts'
import {DaemonTcp} from './tcp.ts'

export const LogLevel = variants({Warn: unit, Error: unit, Info: unit})
export type LogLevel = Infer<typeof LogLevel>

/** A line for the user's log; sent only after `ReadyForLogs`, but accepted at any time (spec protocol.md 6.30). */
export const LogMessage = struct({message: string, level: LogLevel})
export type LogMessage = Infer<typeof LogMessage>

/** Environment of the target. */
export const GetEnvVarsResponse = result(map(string, string))
export type GetEnvVarsResponse = Infer<typeof GetEnvVarsResponse>

/** Everything an agent or operator sends; order is the wire format (spec protocol.md 3.2). */
export const DaemonMessage = variants({
  Close: string,
  Tcp: DaemonTcp,
  TcpSteal: DaemonTcp,
  TcpOutgoing: DaemonOutgoing,
  UdpOutgoing: DaemonDatagrams,
  LogMessage,
  File: FileResponse,
  Pong: unit,
  GetEnvVarsResponse,
  GetAddrInfoResponse,
  PauseTarget: variants({PauseResponse: struct({changed: bool, containerPaused: bool})}),
  SwitchProtocolVersionResponse: semver,
  Vpn: variants({NetworkConfiguration: struct({ip: ipAddr, netMask: ipAddr, gateway: ipAddr}), Packet: bytes}),
  OperatorPing: u128,
  ReverseDnsLookup: ReverseDnsLookupResponse,
  SeqpacketOutgoing: DaemonSeqpacket,
})
export type DaemonMessage = Infer<typeof DaemonMessage>
