import type {Infer} from '../schema/codec.ts'
import {option, struct, variants} from '../schema/composites.ts'
import {bytes, string, unit} from '../schema/primitives.ts'

/** How the original connection came in. `Tls`: the agent ended TLS, the data here is always plain text. */
export const IncomingTransport = variants({
  Tcp: unit,
  Tls: struct({alpnProtocol: option(bytes), serverName: option(string)}),
})
export type IncomingTransport = Infer<typeof IncomingTransport>
