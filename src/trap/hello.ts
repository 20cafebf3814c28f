import {readlinkSync} from 'node:fs'
import type {TrapOptions} from './types.ts'
import {type Fields, helloFlags, wireVersion} from './wire.ts'

const nothing = new Uint8Array(0)

/** The first message to a trap: all that it is to do, with the defaults of its limits. */
export function helloOf(options: TrapOptions): Fields<'hello'> {
  const {newSession, incoming, tcp, udp, intercept, filesWrite} = helloFlags
  return {
    version: wireVersion,
    flags:
      (options.newSession ? newSession : 0) |
      (options.incoming ? incoming : 0) |
      (options.outgoing.tcp ? tcp : 0) |
      (options.outgoing.udp ? udp : 0) |
      (options.intercept ? intercept : 0) |
      (options.files?.writable ? filesWrite : 0),
    holdMs: options.nonBlockingHold ?? 1000,
    connectMs: options.limits?.connect ?? 90_000,
    listenMs: options.limits?.listen ?? 60_000,
    fileMs: options.limits?.file ?? 60_000,
    datagramMs: options.limits?.datagram ?? 10_000,
    program: options.program,
    cwd: options.cwd,
    argv: options.argv.length > 0 ? options.argv : [options.program],
    overlays: options.overlays,
    local: options.local.map(({cidr, port}) => {
      const [address = '', prefix] = cidr.split('/')
      return {network: {address, port: port ?? 0}, prefix: Number(prefix ?? (address.includes(':') ? 128 : 32))}
    }),
    files: options.files?.directory ?? '',
    rules: options.files?.rules ?? nothing,
    mapping: options.files?.mapping ?? nothing,
    unixStreams: options.unixStreams ?? nothing,
    skip: options.skip ?? [],
    hostname: options.hostname ?? '',
    environment: [...(options.environment ?? [])],
    network: options.container ? readlinkSync('/proc/self/ns/net') : '',
  }
}
