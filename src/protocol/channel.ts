/**
 * A full-duplex byte stream with explicit back-pressure: what the protocol connection runs on. Implementations: a TCP
 * socket (agent side), a port-forward WebSocket (client side). Deliberately smaller than a Node Duplex: no copies, no
 * object per chunk, and several chunks leave in one write.
 */
export interface ByteChannel {
  /** Called for each received chunk; the chunk is only borrowed unless the receiver keeps the view. */
  onData: (chunk: Uint8Array) => void
  /** Called after `write` returned false and the buffer has drained. */
  onDrain: () => void
  /** Called exactly once, when nothing more will be received or can be sent; with the reason unless it was clean. */
  onClose: (error?: Error) => void
  /**
   * Queues the chunks in order as one unit. Returns false when the sender should wait for `onDrain`; the chunks are
   * queued all the same. The chunks must not be changed afterwards. Ignored after close.
   */
  write(chunks: readonly Uint8Array[]): boolean
  /** Stops reading from the peer: its sends stall, which is the back-pressure. */
  pause(): void
  resume(): void
  /** Sends what is queued, then closes. */
  close(): void
  /** Closes at once, dropping what is queued. */
  destroy(): void
}
