import type {AnyCodec, Infer} from '../schema/codec.ts'
import {list, struct, variants} from '../schema/composites.ts'
import {headers, httpVersion, method, statusCode, uri} from '../schema/http.ts'
import {bool, bytes, string, u16, u64} from '../schema/primitives.ts'
import {SocketAddr} from '../schema/net.ts'
import {IncomingTransport} from './transport.ts'

/** A piece of an HTTP body. */
export const BodyFrame = variants({Data: bytes, Trailers: headers})
export type BodyFrame = Infer<typeof BodyFrame>

/** What has arrived of a body when its head is sent; `isLast`: nothing follows. */
export const NewBody = struct({frames: list(BodyFrame), isLast: bool})
export type NewBody = Infer<typeof NewBody>

const requestHead = <B extends AnyCodec>(body: B) => struct({method, uri, headers, version: httpVersion, body})
const responseHead = <B extends AnyCodec>(body: B) => struct({status: statusCode, version: httpVersion, headers, body})

// The ids come after the head in requests but before it in responses (spec protocol.md 3.5.3).
const request = <B extends AnyCodec>(body: B) =>
  struct({internalRequest: requestHead(body), connectionId: u64, requestId: u16, port: u16})
const response = <B extends AnyCodec>(body: B) =>
  struct({port: u16, connectionId: u64, requestId: u16, internalResponse: responseHead(body)})

/** A request with its whole body as one run of bytes. */
export const HttpRequest = request(bytes)
export type HttpRequest = Infer<typeof HttpRequest>

/** A request with frames of its body: the whole body, or its beginning (`ChunkedRequest.StartV1`). */
export const HttpRequestFramed = request(list(BodyFrame))
export type HttpRequestFramed = Infer<typeof HttpRequestFramed>

/** A response with its whole body as one run of bytes, without trailers. */
export const HttpResponse = response(bytes)
export type HttpResponse = Infer<typeof HttpResponse>

/** A response with frames of its body: the whole body, or its beginning (`ChunkedResponse.Start`). */
export const HttpResponseFramed = response(list(BodyFrame))
export type HttpResponseFramed = Infer<typeof HttpResponseFramed>

/** Ids of one HTTP exchange; `requestId` is always 0 today. */
const exchange = {connectionId: u64, requestId: u16} as const

/** More of a request or response body. */
export const ChunkedBody = struct({frames: list(BodyFrame), isLast: bool, ...exchange})
export type ChunkedBody = Infer<typeof ChunkedBody>

/** Peer and original destination of the connection that carried the request. */
export const HttpRequestMetadata = variants({V1: struct({source: SocketAddr, destination: SocketAddr})})
export type HttpRequestMetadata = Infer<typeof HttpRequestMetadata>

/** A request whose body is streamed (spec protocol.md 3.5.3). */
export const ChunkedRequest = variants({
  StartV1: HttpRequestFramed,
  Body: ChunkedBody,
  ErrorV1: struct(exchange),
  StartV2: struct({
    ...exchange,
    request: requestHead(NewBody),
    metadata: HttpRequestMetadata,
    transport: IncomingTransport,
  }),
  ErrorV2: struct({...exchange, errorMessage: string}),
})
export type ChunkedRequest = Infer<typeof ChunkedRequest>

/** A response whose body is streamed. */
export const ChunkedResponse = variants({Start: HttpResponseFramed, Body: ChunkedBody, Error: struct(exchange)})
export type ChunkedResponse = Infer<typeof ChunkedResponse>
