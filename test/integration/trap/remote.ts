import {constants} from 'node:os'
import {
  chmodSync,
  copyFileSync,
  lchownSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readlinkSync,
  realpathSync,
  rmSync,
  symlinkSync,
  type Stats,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import {tmpdir} from 'node:os'
import {dirname, join, posix} from 'node:path'
import {compilePatterns} from '../../../src/patterns/index.ts'
import {pathClasses, type FileAnswer, type FileOptions, type FileRequest} from '../../../src/trap/types.ts'

const {errno} = constants

/** Patterns of each class, the first class that matches decides; as the session compiles them. */
export type Classes = Partial<Record<keyof typeof pathClasses, string[]>>

/**
 * A target whose files are those of a directory, and a session that answers about them: a small one of its own, so that
 * the trap's tests do not depend on the proxy. Nothing is written back.
 */
export class Target implements Disposable {
  /** The target's root directory. */
  readonly root: string
  readonly options: FileOptions
  /** Every question, as `operation path`. */
  readonly asked: string[] = []
  readonly requests: FileRequest[] = []
  /** How long answers may be given again, in ms. */
  validMs = 60_000
  /** Waited for before an answer, when set. */
  before: ((request: FileRequest) => Promise<void>) | undefined
  /** Owner shown for every file. */
  owner = {uid: 1234, gid: 4321}
  mapping: ((path: string) => string) | undefined
  private readonly directory: string

  constructor(classes: Classes, mapping: readonly string[] = []) {
    this.directory = mkdtempSync(join(realpathSync(tmpdir()), 'mirrord-target-'))
    chmodSync(this.directory, 0o755)
    this.root = join(this.directory, 'root')
    const copies = join(this.directory, 'files')
    mkdirSync(this.root)
    mkdirSync(copies)
    const order = ['notFound', 'readWrite', 'readOnly', 'local', 'modeReadWrite', 'modeReadOnly'] as const
    this.options = {
      directory: copies,
      rules: compilePatterns(
        order.flatMap((name) =>
          (classes[name] ?? []).map((pattern) => ({pattern, label: pathClasses[name], ignoreCase: true})),
        ),
      ),
      mapping: mapping.length > 0 ? compilePatterns(mapping.map((pattern) => ({pattern, label: 1}))) : undefined,
      writable: Boolean(classes.readWrite ?? classes.modeReadWrite),
    }
  }

  /** Adds a file to the target; its time is a fixed one. */
  file(path: string, content: string, mode = 0o644): void {
    mkdirSync(dirname(this.root + path), {recursive: true})
    writeFileSync(this.root + path, content)
    chmodSync(this.root + path, mode)
    utimesSync(this.root + path, 1_000_000_000, 1_000_000_000)
  }

  link(path: string, target: string): void {
    mkdirSync(dirname(this.root + path), {recursive: true})
    symlinkSync(target, this.root + path)
  }

  handler = async (request: FileRequest): Promise<FileAnswer> => {
    this.asked.push(`${request.operation} ${request.path}`)
    this.requests.push(request)
    await this.before?.(request)
    try {
      return {validMs: this.validMs, ...this.answer(request)}
    } catch (error) {
      const number = (error as NodeJS.ErrnoException).errno
      if (number === undefined) throw error
      return {errno: Math.abs(number), validMs: this.validMs}
    }
  };

  [Symbol.dispose](): void {
    rmSync(this.directory, {recursive: true})
  }

  private answer({operation, path, flags}: FileRequest): FileAnswer {
    if (operation === 'map') return {text: this.mapping?.(path) ?? path}
    if (operation === 'statfs') {
      this.resolve(path, true)
      return {numbers: [0x58465342, 4096, 1000, 500, 400, 100, 50, 1, 2, 255, 4096, 0]}
    }
    const noFollow = operation === 'lookup' ? (flags & 1) !== 0 : (flags & constantsOf.O_NOFOLLOW) !== 0
    const real = this.resolve(path, !noFollow)
    const stats = lstatSync(this.root + real)
    if (operation === 'lookup') return this.metadata(real, stats)
    if (operation !== 'open') return {errno: errno.EOPNOTSUPP}
    if (stats.isSymbolicLink()) return {errno: errno.ELOOP}
    if (flags & constantsOf.O_DIRECTORY && !stats.isDirectory()) return {errno: errno.ENOTDIR}
    const answer = this.metadata(real, stats)
    if (stats.isDirectory())
      for (const name of readdirSync(this.root + real)) {
        const child = posix.join(real, name)
        this.metadata(child, lstatSync(this.root + child))
      }
    else {
      // into the same inode, so that a stat before agrees with fstat after
      copyFileSync(this.root + real, answer.source!)
      utimesSync(answer.source!, stats.atime, stats.mtime)
      own(answer.source!)
    }
    return answer
  }

  protected metadata(path: string, stats: Stats): FileAnswer {
    const source = this.options.directory + (path === '/' ? '' : path)
    mkdirSync(dirname(source), {recursive: true})
    let text: string | undefined
    if (stats.isSymbolicLink()) text = readlinkSync(this.root + path)
    if (!lstatSync(source, {throwIfNoEntry: false})) {
      if (stats.isDirectory()) mkdirSync(source)
      else if (text !== undefined) symlinkSync(text, source)
      else {
        writeFileSync(source, '')
        truncateSync(source, stats.size)
        chmodSync(source, stats.mode & 0o7777)
        utimesSync(source, stats.atime, stats.mtime)
      }
    }
    own(source)
    return {source, text, mode: stats.mode, links: stats.nlink, blocks: stats.blocks, rdev: 0, ...this.owner}
  }

  /** The path without links, which are the target's to follow. */
  protected resolve(path: string, follow: boolean, depth = 0): string {
    if (depth > 40) throw Object.assign(new Error('loop'), {errno: errno.ELOOP})
    let real = '/'
    const parts = path.split('/').filter(Boolean)
    for (const [index, part] of parts.entries()) {
      const next = posix.join(real, part)
      const stats = lstatSync(this.root + next)
      const last = index === parts.length - 1
      if (stats.isSymbolicLink() && (follow || !last)) {
        const rest = parts.slice(index + 1).join('/')
        return this.resolve(posix.resolve(real, readlinkSync(this.root + next), rest), follow, depth + 1)
      }
      if (!last && !stats.isDirectory()) throw Object.assign(new Error('not a directory'), {errno: errno.ENOTDIR})
      real = next
    }
    return real
  }
}

const constantsOf = {O_NOFOLLOW: 0o400000, O_DIRECTORY: 0o200000}
if (process.arch === 'arm64') Object.assign(constantsOf, {O_NOFOLLOW: 0o100000, O_DIRECTORY: 0o40000})

/** The session and the trap are of one user; in these tests the trap may be nobody's. */
function own(copy: string): void {
  if (process.getuid?.() === 0) lchownSync(copy, 65_534, 65_534)
}
