/**
 * What is wrong with a message, for callers that treat kinds differently:
 * - `TRUNCATED`: the bytes end inside the message;
 * - `TRAILING_BYTES`: bytes follow the message where exactly one was expected;
 * - `BAD_INTEGER`: reserved varint marker, or a varint wider than its type (spec protocol.md 1.2);
 * - `BAD_TAG`: unknown enum variant, or a bool/option tag that is neither 0 nor 1;
 * - `BAD_TEXT`: text that is not valid UTF-8;
 * - `BAD_VALUE`: well-formed bytes whose value is refused (HTTP parts, versions; spec protocol.md 1.4);
 * - `TOO_LARGE`: beyond the configured message size or the element budget;
 * - `TOO_DEEP`: recursion (nested HTTP filters) beyond the limit;
 * - `UNENCODABLE`: a value given to the encoder that the wire cannot carry.
 */
export type ProtocolErrorCode =
  | 'TRUNCATED'
  | 'TRAILING_BYTES'
  | 'BAD_INTEGER'
  | 'BAD_TAG'
  | 'BAD_TEXT'
  | 'BAD_VALUE'
  | 'TOO_LARGE'
  | 'TOO_DEEP'
  | 'UNENCODABLE'

/** A message that cannot be decoded or encoded. On a stream it is fatal: there is no resynchronisation (spec 1.5). */
export class ProtocolError extends Error {
  override readonly name = 'ProtocolError'
  readonly code: ProtocolErrorCode

  constructor(code: ProtocolErrorCode, message: string) {
    super(message)
    this.code = code
  }
}
