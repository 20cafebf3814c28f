import type {Infer} from '../schema/codec.ts'
import {set, struct, variants} from '../schema/composites.ts'
import {semver} from '../schema/http.ts'
import {ipAddr} from '../schema/net.ts'
import {bool, bytes, string, u128, unit} from '../schema/primitives.ts'
import {GetAddrInfoRequest, GetAddrInfoRequestV2} from './dns.ts'
import {FileRequest} from './files.ts'
import {LayerDatagrams, LayerOutgoing, LayerSeqpacket} from './outgoing.ts'
import {LayerTcp, LayerTcpSteal} from './tcp.ts'

/** Everything a client sends; order is the wire format (spec protocol.md 3.1). */
export const ClientMessage = variants({
  Close: unit,
  Tcp: LayerTcp,
  TcpSteal: LayerTcpSteal,
  TcpOutgoing: LayerOutgoing,
  UdpOutgoing: LayerDatagrams,
  FileRequest,
  GetEnvVarsRequest: struct({envVarsFilter: set(string), envVarsSelect: set(string)}),
  Ping: unit,
  GetAddrInfoRequest,
  PauseTargetRequest: bool,
  SwitchProtocolVersion: semver,
  ReadyForLogs: unit,
  Vpn: variants({GetNetworkConfiguration: unit, OpenSocket: unit, Packet: bytes}),
  GetAddrInfoRequestV2,
  OperatorPong: u128,
  ReverseDnsLookup: struct({ipAddress: ipAddr}),
  SeqpacketOutgoing: LayerSeqpacket,
  ShareLink: variants({RegisterKey: string, RemoveKey: string}),
})
export type ClientMessage = Infer<typeof ClientMessage>
