import {option, struct, variants} from '../schema/composites.ts'
import type {AnyCodec, Codec, Infer} from '../schema/codec.ts'
import {bool, i32, string, u16, u32, u64, unit} from '../schema/primitives.ts'
import {SocketAddress} from '../schema/net.ts'
import {HttpFilter, StealType} from './filters.ts'

/** Kind of an operating-system error; order is the wire format (spec protocol.md 3.10). */
export const ErrorKind = variants({
  NotFound: unit,
  PermissionDenied: unit,
  ConnectionRefused: unit,
  ConnectionReset: unit,
  HostUnreachable: unit,
  NetworkUnreachable: unit,
  ConnectionAborted: unit,
  NotConnected: unit,
  AddrInUse: unit,
  AddrNotAvailable: unit,
  NetworkDown: unit,
  BrokenPipe: unit,
  AlreadyExists: unit,
  WouldBlock: unit,
  NotADirectory: unit,
  IsADirectory: unit,
  DirectoryNotEmpty: unit,
  ReadOnlyFilesystem: unit,
  FilesystemLoop: unit,
  StaleNetworkFileHandle: unit,
  InvalidInput: unit,
  InvalidData: unit,
  TimedOut: unit,
  WriteZero: unit,
  StorageFull: unit,
  NotSeekable: unit,
  FilesystemQuotaExceeded: unit,
  FileTooLarge: unit,
  ResourceBusy: unit,
  ExecutableFileBusy: unit,
  Deadlock: unit,
  CrossesDevices: unit,
  TooManyLinks: unit,
  InvalidFilename: unit,
  ArgumentListTooLong: unit,
  Interrupted: unit,
  Unsupported: unit,
  UnexpectedEof: unit,
  OutOfMemory: unit,
  Other: unit,
  Unknown: string,
})
export type ErrorKind = Infer<typeof ErrorKind>

/** A failed system call of the agent; `rawOsError` is a Linux errno and preferred over `kind`. */
export const RemoteIoError = struct({rawOsError: option(i32), kind: ErrorKind})
export type RemoteIoError = Infer<typeof RemoteIoError>

/** Why a name was not resolved; `NoRecordsFound` carries the DNS response code. */
export const ResolveErrorKind = variants({
  Message: string,
  NoConnections: unit,
  NoRecordsFound: u16,
  Proto: unit,
  Timeout: unit,
  Unknown: unit,
  NotFound: unit,
  PermissionDenied: unit,
})
export type ResolveErrorKind = Infer<typeof ResolveErrorKind>

/** Errors of old agents and of the operator. */
export const RemoteError = variants({
  NameserverNotFound: unit,
  AddressParsing: string,
  InvalidAddress: SocketAddress,
  ConnectTimedOut: SocketAddress,
  BadHttpFilterRegex: struct({filter: string, reason: string}),
  BadHttpFilterExRegex: struct({filter: HttpFilter, reason: string}),
})
export type RemoteError = Infer<typeof RemoteError>

/** What a cluster policy has refused. */
export const BlockedAction = variants({
  Steal: StealType,
  Mirror: u16,
  OutgoingTcp: SocketAddress,
  OutgoingUdp: SocketAddress,
})
export type BlockedAction = Infer<typeof BlockedAction>

/** The error of every reply (spec protocol.md 3.10). */
export const ResponseError = variants({
  IdsExhausted: string,
  NotFound: u64,
  NotDirectory: u64,
  NotFile: u64,
  RemoteIO: RemoteIoError,
  DnsLookup: struct({kind: ResolveErrorKind}),
  Remote: RemoteError,
  PortAlreadyStolen: u16,
  NotImplemented: unit,
  Forbidden: struct({blockedAction: BlockedAction, policyName: option(string)}),
  StripPrefix: string,
  OpenLocal: unit,
  ForbiddenWithReason: struct({blockedAction: BlockedAction, policyName: option(string), reason: string}),
  SystemFailure: struct({canRetry: bool, code: u32, message: string}),
})
export type ResponseError = Infer<typeof ResponseError>

/** A reply: `{type: 'Ok', value}` or `{type: 'Err', value: ResponseError}`. */
export type Result<T> =
  | ([T] extends [undefined] ? {type: 'Ok'; value?: undefined} : {type: 'Ok'; value: T})
  | {type: 'Err'; value: ResponseError}

/** The codec of a reply: an enum of success and `ResponseError`. */
export function result<C extends AnyCodec>(ok: C): Codec<Result<Infer<C>>> {
  return variants({Ok: ok, Err: ResponseError})
}
