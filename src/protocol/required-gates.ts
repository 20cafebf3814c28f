import type {ClientMessage} from './messages/client.ts'
import type {FileRequest} from './messages/files.ts'
import type {HttpFilter} from './messages/filters.ts'
import type {LayerTcp, LayerTcpSteal} from './messages/tcp.ts'
import type {GateName} from './versions.ts'

const messageGates: Partial<Record<ClientMessage['type'], GateName>> = {
  ReadyForLogs: 'readyForLogs',
  Vpn: 'vpn',
  GetAddrInfoRequestV2: 'addrInfoV2',
  OperatorPong: 'operatorPing',
  ReverseDnsLookup: 'reverseDns',
  SeqpacketOutgoing: 'seqpacket',
  ShareLink: 'shareLink',
}

const fileGates: Partial<Record<FileRequest['type'], GateName>> = {
  ReadLink: 'readLink',
  ReadDirBatch: 'readDirBatch',
  MakeDir: 'makeDir',
  MakeDirAt: 'makeDir',
  RemoveDir: 'removeDir',
  Unlink: 'removeDir',
  UnlinkAt: 'removeDir',
  StatFs: 'statFs',
  XstatFsV2: 'statFsV2',
  StatFsV2: 'statFsV2',
  Rename: 'rename',
  Ftruncate: 'copyFile',
  Futimens: 'copyFile',
  Fchown: 'copyFile',
  Fchmod: 'copyFile',
}

const filterGates: Partial<Record<HttpFilter['type'], GateName>> = {
  Composite: 'httpCompositeFilter',
  Method: 'httpMethodFilter',
  Body: 'httpBodyFilter',
  HeaderJq: 'httpHeaderJqFilter',
}

const stealGates: Partial<Record<LayerTcpSteal['type'], GateName>> = {
  HttpResponseFramed: 'httpFramed',
  HttpResponseChunked: 'httpChunkedResponse',
}

const none: readonly GateName[] = []

/**
 * The capabilities that the peer must have before a message may be sent to it (spec protocol.md 2.2): an unknown variant
 * would kill the connection. Empty for messages as old as the protocol.
 */
export function requiredGates(message: ClientMessage): readonly GateName[] {
  switch (message.type) {
    case 'Tcp':
      return mirrorGates(message.value)
    case 'TcpSteal':
      return message.value.type === 'PortSubscribe'
        ? subscriptionGates(message.value)
        : one(stealGates[message.value.type])
    case 'FileRequest':
      return one(fileGates[message.value.type])
    case 'TcpOutgoing':
    case 'UdpOutgoing':
      return message.value.type === 'ConnectV2' ? ['outgoingConnectV2'] : none
    default:
      return one(messageGates[message.type])
  }
}

function mirrorGates(message: LayerTcp): readonly GateName[] {
  if (message.type !== 'PortSubscribeFilteredHttp') return none
  return ['mirrorHttpFilter', ...gatesOfFilter(message.value.filter)]
}

function subscriptionGates(message: LayerTcpSteal & {type: 'PortSubscribe'}): readonly GateName[] {
  return message.value.type === 'FilteredHttpEx' ? gatesOfFilter(message.value.value.filter) : none
}

function gatesOfFilter(filter: HttpFilter): readonly GateName[] {
  const own = one(filterGates[filter.type])
  return filter.type === 'Composite' ? [...own, ...filter.value.filters.flatMap(gatesOfFilter)] : own
}

function one(gate: GateName | undefined): readonly GateName[] {
  return gate ? [gate] : none
}
