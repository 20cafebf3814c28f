import {spawn, type ChildProcess} from 'node:child_process'
import {once} from 'node:events'
import {
  constants,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import {rename, rm, symlink, unlink} from 'node:fs/promises'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {afterEach, beforeEach, describe, expect, it} from 'vitest'
import {AboveRootError, RootedFiles} from '../../../src/agent/files/rooted.ts'
import {withOwnMounts} from '../own-mounts.ts'

const {O_RDONLY, O_WRONLY, O_CREAT, O_EXCL} = constants

describe('paths below a root', () => {
  let base: string
  let root: string
  let files: RootedFiles

  beforeEach(() => {
    base = mkdtempSync(join(tmpdir(), 'mrd-rooted-'))
    root = join(base, 'root')
    mkdirSync(join(root, 'a/b/c'), {recursive: true})
    mkdirSync(join(base, 'outside/b/c'), {recursive: true})
    writeFileSync(join(root, 'a/b/c/file'), 'inside')
    writeFileSync(join(base, 'outside/b/c/file'), 'outside')
    files = new RootedFiles(root)
  })
  afterEach(async () => {
    await files.close()
    rmSync(base, {recursive: true, force: true})
  })

  const read = (path: string, from?: string) =>
    files.open(path, O_RDONLY, from).then(async (handle) => {
      const text = await handle.readFile('utf8')
      await handle.close()
      return text
    })
  const create = async (path: string, flags = 0) => {
    const handle = await files.open(path, O_WRONLY | O_CREAT | flags)
    await handle.close()
  }

  it.each([
    ['a plain path', '/a/b/c/file'],
    ['dots and double slashes', '//a/./b//c/./file'],
    ['a way up and down again', '/a/b/../b/c/../../../a/b/c/file'],
    ['an absolute link among the directories', '/absolute/c/file'],
    ['a relative link among the directories', '/a/relative/c/file'],
    ['a link that goes up', '/a/b/c/up/b/c/file'],
    ['a link to the file', '/a/b/c/link'],
    ['a link to a link in another directory', '/a/b/chain'],
    ['an absolute link back to the root', '/a/b/c/slash/a/b/c/file'],
  ])('reads through %s', async (_, path) => {
    symlinkSync('/a/b', join(root, 'absolute'))
    symlinkSync('b', join(root, 'a/relative'))
    symlinkSync('../../../a', join(root, 'a/b/c/up'))
    symlinkSync('file', join(root, 'a/b/c/link'))
    symlinkSync('../b/c/link', join(root, 'a/b/chain'))
    symlinkSync('/', join(root, 'a/b/c/slash'))
    expect(await read(path)).toBe('inside')
    const located = await files.locate(path, true)
    expect((await located.stat()).size).toBe(6)
    await located.close()
  })

  it('never leaves the root', async () => {
    symlinkSync('../../../../outside/b/c/file', join(root, 'a/b/c/escape'))
    symlinkSync(join(base, 'outside'), join(root, 'a/out'))
    symlinkSync(join(base, 'outside/new'), join(root, 'a/b/new'))
    await expect(read('/../outside/b/c/file')).rejects.toThrow(AboveRootError)
    await expect(read('/a/b/c/escape')).rejects.toThrow(AboveRootError)
    await expect(read('/a/out/b/c/file')).rejects.toThrow(/ENOENT/)
    await expect(create('/a/b/new')).rejects.toThrow(/ENOENT/)
    await expect(create('/a/out/b/c/made')).rejects.toThrow(/ENOENT/)
    expect(readdirSync(join(base, 'outside/b/c'))).toEqual(['file'])
    expect(existsSync(join(base, 'outside/new'))).toBe(false)
  })

  it('creates what a dangling link names, unless it must not exist', async () => {
    symlinkSync('/a/made', join(root, 'a/b/dangling'))
    await expect(create('/a/b/dangling', O_EXCL)).rejects.toThrow(/EEXIST/)
    await create('/a/b/dangling')
    expect(readFileSync(join(root, 'a/made'), 'utf8')).toBe('')
  })

  it('gives the errors of the kernel', async () => {
    symlinkSync('loop', join(root, 'a/loop'))
    await expect(read('/a/loop')).rejects.toThrow(/ELOOP/)
    await expect(read('/a/loop/x')).rejects.toThrow(/ELOOP/)
    await expect(read('/a/b/c/file/x')).rejects.toThrow(/ENOTDIR/)
    await expect(read('/a/b/c/file/')).rejects.toThrow(/ENOTDIR/)
    await expect(read('/a/x/c/file')).rejects.toThrow(/ENOENT/)
    await expect(read('')).rejects.toThrow(/ENOENT/)
    await expect(create('/a/b/x/')).rejects.toThrow(/EISDIR/)
    await expect(create('/')).rejects.toThrow(/EISDIR/)
    await expect(read('/a/\0')).rejects.toThrow(/EINVAL/)
  })

  it('acts on a link itself', async () => {
    symlinkSync('/a/b/c/file', join(root, 'a/b/link'))
    const nameless = {here: ['EBUSY', 16]} as const
    await files.at('/a/b/link', '/', nameless, (path) => unlink(path))
    expect([existsSync(join(root, 'a/b/link')), existsSync(join(root, 'a/b/c/file'))]).toEqual([false, true])
    await expect(files.at('/a/b/..', '/', nameless, (path) => unlink(path))).rejects.toThrow(/EBUSY/)
  })

  it('keeps inside while directories are replaced by links to the outside', async () => {
    // The worst a process of the target can do: the name is a directory when looked at, a link when used.
    let over = false
    const attack = (async () => {
      while (!over) {
        await rename(join(root, 'a/b'), join(root, 'a/kept'))
        await symlink(join(base, 'outside/b'), join(root, 'a/b'))
        await new Promise((resolve) => setImmediate(resolve))
        await rm(join(root, 'a/b'))
        await rename(join(root, 'a/kept'), join(root, 'a/b'))
        await new Promise((resolve) => setImmediate(resolve))
      }
    })()
    const outcomes = new Set<string>()
    for (let turn = 0; turn < 500; turn++) {
      outcomes.add(await read('/a/b/c/file').catch((error: NodeJS.ErrnoException) => error.code ?? error.message))
      await create(`/a/b/c/made-${turn}`).catch(() => {})
      const remove = files.at('/a/b/c/file', '/', {here: ['EISDIR', 21]}, (path) => rename(path, path))
      await remove.catch(() => {})
    }
    over = true
    await attack
    expect(outcomes).toContain('inside')
    expect([...outcomes].filter((outcome) => outcome !== 'inside' && outcome !== 'ENOENT')).toEqual([])
    expect(readdirSync(join(base, 'outside/b/c'))).toEqual(['file'])
  })

  it.skipIf(process.getuid?.() !== 0)(
    'never follows a link into another mount namespace, where names may be the same (needs root)',
    async () => {
      using other = new Namespace('mount -t tmpfs none /tmp && mkdir /tmp/mrd && echo secret > /tmp/mrd/file')
      using target = new Namespace(
        `mount -t tmpfs none /tmp && ln -s /proc/${await other.ready()}/root/tmp/mrd /tmp/mrd && mkdir /tmp/own && echo own > /tmp/own/file`,
      )
      const inside = new RootedFiles(`/proc/${await target.ready()}/root`)
      const text = async (path: string) => {
        const handle = await inside.open(path, O_RDONLY)
        await using _ = {[Symbol.asyncDispose]: () => handle.close()}
        return handle.readFile('utf8')
      }
      try {
        expect(await text('/tmp/own/file')).toBe('own\n')
        for (let turn = 0; turn < 2; turn++) await expect(text('/tmp/mrd/file')).rejects.toThrow()
      } finally {
        await inside.close()
      }
    },
  )
})

/** A process in a mount namespace of its own, in which a shell command has prepared something. */
class Namespace implements Disposable {
  readonly #child: ChildProcess

  constructor(command: string) {
    const script = `${command} && echo ready && exec cat`
    const [unshare, ...words] = withOwnMounts
    this.#child = spawn(unshare, [...words, 'sh', '-c', script], {stdio: ['pipe', 'pipe', 'inherit']})
  }

  /** Its process id, once it is prepared. */
  async ready(): Promise<number> {
    await once(this.#child.stdout!, 'data')
    return this.#child.pid!
  }

  [Symbol.dispose](): void {
    this.#child.kill('SIGKILL')
  }
}
