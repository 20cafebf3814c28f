/**
 * Reads a stream to its end, so that its writer never waits, and gives its text as far as it has come. After `maxBytes` nothing
 * more is kept.
 */
export function collect(stream: NodeJS.ReadableStream, maxBytes: number): () => string {
  const chunks: Buffer[] = []
  let size = 0
  stream.on('data', (chunk: Buffer) => {
    size += chunk.length
    if (size <= maxBytes) chunks.push(chunk)
  })
  return () => Buffer.concat(chunks).toString('utf8')
}
