/**
 * Why a connection has ended:
 * - `CLOSED`: this side closed it;
 * - `END_OF_STREAM`: the peer closed it between two messages;
 * - `TRUNCATED`: the stream ended inside a message;
 * - `TRANSPORT`: the channel below broke;
 * - `MALFORMED`: the peer sent bytes that are no message (`cause` is the ProtocolError);
 * - `REFUSED`: the agent sent `Close` (`message` holds its text);
 * - `VIOLATION`: the peer sent a valid message that the conversation does not allow;
 * - `PING_TIMEOUT`: the peer no longer answers;
 * - `HANDSHAKE_TIMEOUT`: no version response in time.
 */
export type ConnectionErrorCode =
  | 'CLOSED'
  | 'END_OF_STREAM'
  | 'TRUNCATED'
  | 'TRANSPORT'
  | 'MALFORMED'
  | 'REFUSED'
  | 'VIOLATION'
  | 'PING_TIMEOUT'
  | 'HANDSHAKE_TIMEOUT'

/** The end of a connection; requests that were waiting for a reply reject with it. */
export class ConnectionError extends Error {
  override readonly name = 'ConnectionError'
  readonly code: ConnectionErrorCode

  constructor(code: ConnectionErrorCode, message: string, options?: {cause?: unknown}) {
    super(message, options)
    this.code = code
  }
}
