import type {Codec, Infer} from '../schema/codec.ts'
import {lazy, list, struct, variants} from '../schema/composites.ts'
import {bool, string, u16, unit} from '../schema/primitives.ts'

/** Method of an HTTP filter, compared without regard to case (spec protocol.md 3.5.4). */
export const HttpMethodFilter = variants({
  Get: unit,
  Head: unit,
  Post: unit,
  Put: unit,
  Delete: unit,
  Connect: unit,
  Options: unit,
  Trace: unit,
  Patch: unit,
  Other: string,
})
export type HttpMethodFilter = Infer<typeof HttpMethodFilter>

/** `query` is a JSONPath, `matches` a regex for each of its results. */
export const HttpBodyFilter = variants({Json: struct({query: string, matches: string})})
export type HttpBodyFilter = Infer<typeof HttpBodyFilter>

/** Which HTTP requests of a port are wanted. Written out because a recursive type cannot be inferred. */
export type HttpFilter =
  | {type: 'Header'; value: string}
  | {type: 'Path'; value: string}
  | {type: 'Composite'; value: {all: boolean; filters: readonly HttpFilter[]}}
  | {type: 'Method'; value: HttpMethodFilter}
  | {type: 'Body'; value: HttpBodyFilter}
  | {type: 'HeaderJq'; value: string}

/** Semantics of each filter: spec protocol.md 3.5.4. */
export const HttpFilter: Codec<HttpFilter> = variants({
  Header: string,
  Path: string,
  Composite: struct({all: bool, filters: list(lazy((): Codec<HttpFilter> => HttpFilter))}),
  Method: HttpMethodFilter,
  Body: HttpBodyFilter,
  HeaderJq: string,
})

/** A steal subscription: everything, by the legacy header regex, or by a filter. */
export const StealType = variants({
  All: u16,
  FilteredHttp: struct({port: u16, filter: string}),
  FilteredHttpEx: struct({port: u16, filter: HttpFilter}),
})
export type StealType = Infer<typeof StealType>
