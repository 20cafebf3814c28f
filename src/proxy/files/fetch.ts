import type {FileHandle} from 'node:fs/promises'
import type {Int64} from '../../protocol/index.ts'
import type {Requests} from './requests.ts'

/** Bytes asked for at a time. */
export const CHUNK = 1024 * 1024
/** Chunks of one file that are on their way at the same time. */
const WINDOW = 4
/** The same for files whose size nobody knows. */
const PIECE = 64 * 1024
const zeros = Buffer.alloc(CHUNK)

/**
 * Copies the content of a remote file into an empty sparse local file of its size; what is zero stays a hole. Returns the
 * number of bytes that there really were. @throws FileFailure of the agent, errors of the local disk, `signal`'s reason
 */
export async function fetchContent(options: {
  requests: Requests
  /** The agent's descriptor, open for reading. */
  fd: Int64
  path: string
  /** As the metadata say; 0 may be a file that is made as it is read, as in /proc. */
  size: number
  file: FileHandle
  signal: AbortSignal
  /** The first bytes, if they are here already: at most a chunk. */
  start?: Uint8Array
}): Promise<number> {
  const {requests, fd, path, size, file, signal, start: known} = options
  const what = `read ${path}`
  const store = async (bytes: Uint8Array, position: number) => {
    if (position + bytes.length <= size && zeros.subarray(0, bytes.length).equals(bytes)) return
    for (let done = 0; done < bytes.length;) {
      const {bytesWritten} = await file.write(bytes, done, bytes.length - done, position + done)
      done += bytesWritten
    }
  }
  if (size === 0) {
    for (let position = 0; ;) {
      signal.throwIfAborted()
      const at = position
      const length = await requests.budget.use(PIECE, async () => {
        const {bytes} = await requests.send({type: 'Read', value: {remoteFd: fd, bufferSize: PIECE}}, what)
        await store(bytes, at)
        return bytes.length
      })
      if (length === 0) return position
      position += length
    }
  }
  let end = size
  let next = 0
  let failed = false
  const beginning = known?.subarray(0, Math.min(size, CHUNK)) ?? zeros.subarray(0, 0)
  await store(beginning, 0)
  if (beginning.length === CHUNK) next = CHUNK
  const chunk = async (start: number, stop: number) => {
    for (let position = Math.max(start, start === 0 ? beginning.length : 0); position < Math.min(stop, end);) {
      const at = position
      const value = {remoteFd: fd, bufferSize: Math.min(stop, end) - at, startFrom: at}
      const {bytes} = await requests.send({type: 'ReadLimited', value}, what)
      // Shorter than it was: what is there counts.
      if (bytes.length === 0) end = Math.min(end, at)
      await store(bytes.length > stop - at ? bytes.subarray(0, stop - at) : bytes, at)
      position += bytes.length
    }
  }
  const lane = async () => {
    while (next < end && !failed) {
      const start = next
      next += CHUNK
      try {
        await requests.budget.use(Math.min(CHUNK, size - start), () => {
          signal.throwIfAborted()
          return chunk(start, start + CHUNK)
        })
      } catch (error) {
        failed = true
        throw error
      }
    }
  }
  const lanes = await Promise.allSettled(Array.from({length: Math.min(WINDOW, Math.ceil(size / CHUNK))}, lane))
  for (const result of lanes) if (result.status === 'rejected') throw result.reason
  return end
}
