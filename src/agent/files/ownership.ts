import {constants} from 'node:fs'
import {open, stat, type FileHandle} from 'node:fs/promises'

const {O_RDONLY, O_DIRECTORY, O_NOFOLLOW, O_NONBLOCK} = constants
/** Set-group-ID bit of st_mode; Node does not export it. */
const S_ISGID = 0o2000
/** More than /proc/PID/status has before its list of groups. */
const STATUS_SIZE = 4096

interface Owner {
  uid: number
  gid: number
}

/**
 * Gives what the agent makes to the user and group of the target's main process, as if a program of the pod had made it:
 * the agent is root, in a group of its own that its redirect rules need.
 */
export class Ownership {
  readonly #path: string
  readonly #warn: (text: string) => void
  /** Stays open: it never becomes that of another process. */
  #status: Promise<FileHandle> | undefined
  /** When the process has ended, what it had last. */
  #known: Owner | undefined
  #warned = false

  /** @param pid the target's main process. @param warn for the agent's log */
  constructor(pid: number, warn: (text: string) => void) {
    this.#path = `/proc/${pid}/status`
    this.#warn = warn
  }

  /**
   * Gives away what was just made. In a directory with the set-group-ID bit the group is the directory's, which the kernel
   * has seen to (inode(7)). Never rejects: what cannot be given away stays, with one line in the log.
   */
  async give(made: FileHandle, directory: string): Promise<void> {
    if (process.geteuid?.() !== 0) return
    try {
      const {uid, gid} = await this.#owner()
      const inherited = ((await stat(directory)).mode & S_ISGID) !== 0
      await made.chown(uid, inherited ? -1 : gid)
    } catch (error) {
      if (!this.#warned) this.#warn(`what is made in the target belongs to the agent: ${(error as Error).message}`)
      this.#warned = true
    }
  }

  /** The same for a directory at `path`, of which `directory` is the parent; nothing that took its place is touched. */
  async giveDirectory(path: string, directory: string): Promise<void> {
    if (process.geteuid?.() !== 0) return
    const flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_NONBLOCK
    const made = await open(path.replace(/\/+$/, ''), flags).catch(() => undefined)
    if (!made) return
    try {
      if ((await made.stat()).uid === 0) await this.give(made, directory)
    } finally {
      await made.close()
    }
  }

  /** Lets go of the process. */
  async close(): Promise<void> {
    const status = await this.#status?.catch(() => undefined)
    this.#status = undefined
    await status?.close()
  }

  /** File system user and group, the last of the four numbers (proc_pid_status(5)), as this process's user namespace sees them. */
  async #owner(): Promise<Owner> {
    try {
      this.#status ??= open(this.#path)
      const {buffer, bytesRead} = await (await this.#status).read(Buffer.alloc(STATUS_SIZE), 0, STATUS_SIZE, 0)
      const text = buffer.toString('latin1', 0, bytesRead)
      const [, uid] = /^Uid:(?:\s+\d+){3}\s+(\d+)/m.exec(text) ?? []
      const [, gid] = /^Gid:(?:\s+\d+){3}\s+(\d+)/m.exec(text) ?? []
      if (uid === undefined || gid === undefined) throw new Error(`${this.#path} has no user and group`)
      this.#known = {uid: Number(uid), gid: Number(gid)}
    } catch (error) {
      if (!this.#known) throw error
    }
    return this.#known
  }
}
