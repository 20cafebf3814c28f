/** Told of what passes through the data plane: numbers and names, never contents. Nothing of it decides anything. */
export interface TrafficObserver {
  /** A connection of the program to `address` was made, or failed. The result counts its bytes. */
  connection(connection: {protocol: 'tcp' | 'udp' | 'unix'; address: string; failed: boolean}): ByteCounter
  /** A connection of the pod's `port` arrived at the program. */
  incoming(port: number): ByteCounter
  /** A request of the pod's `port`: answered by the program (stolen) or left to the deployed one (passed). */
  request(request: {
    port: number
    method: string
    /** As in the request line; the query is cut off by the observer. */
    path: string
    stolen: boolean
    /** Undefined: no answer came. */
    status?: number
    ms: number
  }): void
  /** The program asked for a name. `addresses` lists what it resolved to. */
  name(query: {name: string; failed: boolean; addresses: readonly string[]}): void
  /** A remote file came here, or went back. */
  file(file: {path: string; bytes: number; direction: 'fetched' | 'written'}): void
}

/** Counts the bytes of one connection; `in` is what the program received. */
export interface ByteCounter {
  in(bytes: number): void
  out(bytes: number): void
}

/** Counts nothing. */
export const uncounted: ByteCounter = {in: () => {}, out: () => {}}

/** Nobody wants to know. */
export const unobserved: TrafficObserver = {
  connection: () => uncounted,
  incoming: () => uncounted,
  request: () => {},
  name: () => {},
  file: () => {},
}
