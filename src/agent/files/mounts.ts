import {readFileSync} from 'node:fs'

/** File systems that ask nobody else, over a network or in another process, when a name is looked up. */
const own = new Set([
  ...['overlay', 'ext2', 'ext3', 'ext4', 'xfs', 'btrfs', 'f2fs', 'zfs', 'bcachefs'],
  ...['tmpfs', 'ramfs', 'rootfs', 'squashfs', 'erofs'],
])
/** How long in ms the table of mounts is taken as true. */
const FRESH_MS = 1000

/** Where a mount namespace has file systems that may let a look-up wait: NFS, FUSE, automounts and whatever is not known. */
export class Mounts {
  readonly #table: string
  readonly #now: () => number
  #slow: string[] | undefined
  #ids = new Set<string>()
  #read = -Infinity

  /** @param table for example `/proc/PID/mountinfo`. @param now in ms */
  constructor(table: string, now: () => number = () => performance.now()) {
    this.#table = table
    this.#now = now
  }

  /** Whether a path without links lies on such file systems only that answer at once. */
  atOnce(path: string): boolean {
    this.#refresh()
    return this.#slow !== undefined && !this.#slow.some((point) => path === point || path.startsWith(below(point)))
  }

  /** Whether the mount of that number (`mnt_id` of a descriptor, proc_pid_fdinfo(5)) is one of this namespace. */
  has(id: string): boolean {
    this.#refresh()
    return this.#ids.has(id)
  }

  #refresh(): void {
    if (this.#now() - this.#read > FRESH_MS) this.#load()
  }

  #load(): void {
    this.#read = this.#now()
    try {
      // proc_pid_mountinfo(5): the number is the first field, the mount point the fifth, the type follows a single hyphen.
      const lines = readFileSync(this.#table, 'utf8').split('\n').filter(Boolean)
      this.#ids = new Set(lines.map((line) => line.slice(0, line.indexOf(' '))))
      const mounts = lines.map((line) => /^(?:\S+ ){4}(\S+) .*? - (\S+) /.exec(line))
      this.#slow = mounts.flatMap((mount) => (mount && own.has(mount[2]!) ? [] : [unescaped(mount?.[1] ?? '/')]))
    } catch {
      this.#slow = undefined // the process has ended
      this.#ids.clear()
    }
  }
}

function below(point: string): string {
  return point === '/' ? '/' : `${point}/`
}

/** Space, tab, newline and backslash are written in octal. */
function unescaped(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_, digits: string) => String.fromCharCode(parseInt(digits, 8)))
}
