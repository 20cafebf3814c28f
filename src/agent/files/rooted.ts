import {constants, type Stats} from 'node:fs'
import {access, open, readlink, type FileHandle} from 'node:fs/promises'

/** Symbolic links followed in one resolution, as in the kernel. */
const MAX_LINKS = 40

/** From <fcntl.h>; Node does not export it. An O_PATH descriptor names a file without opening it. */
const O_PATH = 0o10000000
const {O_NOFOLLOW, O_NONBLOCK, O_NOCTTY, O_RDONLY, O_DIRECTORY} = constants

/** `..` above the root: there is nothing there (protocol.md 3.8.3). */
export class AboveRootError extends Error {}

/** A file found under the root: close it when done. */
export class Located {
  readonly #handle: FileHandle

  constructor(handle: FileHandle) {
    this.#handle = handle
  }

  /** A path that the kernel resolves to exactly this file, in whatever mount namespace it is. Valid until `close`. */
  get path(): string {
    return `/proc/self/fd/${this.#handle.fd}`
  }

  stat(): Promise<Stats & {bigint?: never}> {
    return this.#handle.stat()
  }

  /**
   * Opens the file for reading. Never waits for the other end of a FIFO, never makes a terminal ours.
   * @throws the kernel's error
   */
  openForReading(): Promise<FileHandle> {
    return open(this.path, O_RDONLY | O_NONBLOCK | O_NOCTTY)
  }

  /** @param mode bits of access(2) */
  access(mode: number): Promise<void> {
    return access(this.path, mode)
  }

  get handle(): FileHandle {
    return this.#handle
  }

  close(): Promise<void> {
    return this.#handle.close()
  }
}

/**
 * Resolves paths under a foreign root directory as the kernel would after a chroot: one component at a time from an
 * open directory, every symbolic link read and followed by us. The kernel never gets a path that it could lead out of
 * the root, whatever processes of the target do to their directories meanwhile.
 */
export class RootedFiles {
  readonly #root: string

  /** @param root for example `/proc/PID/root`, or `/` */
  constructor(root: string) {
    this.#root = root
  }

  /**
   * Finds a file.
   * @param path absolute, or relative to `from` or else to the root
   * @param follow whether a symbolic link as last component is followed
   * @param from descriptor path of a directory that a relative path starts at (its own path below the root)
   * @throws NodeJS.ErrnoException from the kernel, ELOOP included; AboveRootError
   */
  async locate(path: string, follow: boolean, from = '/'): Promise<Located> {
    const pending = components(path.startsWith('/') ? path : `${from}/${path}`)
    // A trailing slash asks for a directory, so the link in front of it is followed.
    const wantsDirectory = /\/\.?$/.test(path)
    const stack = [await open(this.#root, O_PATH | O_DIRECTORY)]
    let links = 0
    try {
      while (pending.length > 0) {
        const name = pending.shift()!
        if (name === '..') {
          if (stack.length === 1) throw new AboveRootError('the path leads above the root')
          await stack.pop()!.close()
          continue
        }
        const parent = `/proc/self/fd/${stack.at(-1)!.fd}`
        const last = pending.length === 0
        const next = await open(`${parent}/${name}`, O_PATH | O_NOFOLLOW)
        const stats = await next.stat()
        if (stats.isSymbolicLink() && (follow || !last || wantsDirectory)) {
          await next.close()
          if (++links > MAX_LINKS) throw errno('ELOOP', 40, 'too many symbolic links')
          const target = await readlink(`${parent}/${name}`)
          pending.unshift(...components(target))
          if (target.startsWith('/')) await closeAll(stack.splice(1))
          continue
        }
        stack.push(next)
        if ((!last || wantsDirectory) && !stats.isDirectory()) throw errno('ENOTDIR', 20, 'not a directory')
      }
      return new Located(stack.pop()!)
    } finally {
      await closeAll(stack)
    }
  }

  /** The target of a symbolic link. @throws as `locate`; EINVAL when it is no link; a TypeError-free EILSEQ for non-UTF-8 */
  async readLink(path: string): Promise<string> {
    const parts = components(path)
    const name = parts.pop()
    if (name === undefined || name === '..') throw errno('EINVAL', 22, 'not a symbolic link')
    const parent = await this.locate(`/${parts.join('/')}`, true)
    try {
      const target = await readlink(`${parent.path}/${name}`, {encoding: 'buffer'})
      return new TextDecoder('utf-8', {fatal: true, ignoreBOM: true}).decode(target)
    } finally {
      await parent.close()
    }
  }

  /** The whole text of a small file. @throws as `locate`; EFBIG beyond 1 MiB */
  async readText(path: string): Promise<string> {
    const located = await this.locate(path, true)
    try {
      const file = await located.openForReading()
      try {
        const limit = 1024 * 1024
        const chunks: Buffer[] = []
        for (let size = 0; ;) {
          const {bytesRead, buffer} = await file.read(Buffer.alloc(16_384), 0, 16_384, null)
          if (bytesRead === 0) return Buffer.concat(chunks).toString('utf8')
          size += bytesRead
          if (size > limit) throw errno('EFBIG', 27, 'file too large')
          chunks.push(buffer.subarray(0, bytesRead))
        }
      } finally {
        await file.close()
      }
    } finally {
      await located.close()
    }
  }
}

function components(path: string): string[] {
  return path.split('/').filter((part) => part !== '' && part !== '.')
}

async function closeAll(handles: readonly FileHandle[]): Promise<void> {
  await Promise.all(handles.map((handle) => handle.close()))
}

function errno(code: string, number: number, text: string): NodeJS.ErrnoException {
  return Object.assign(new Error(`${code}: ${text}`), {code, errno: -number})
}
