import {mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {afterAll, beforeAll, describe, expect, it} from 'vitest'
import {RootedFiles} from '../../../src/agent/files/rooted.ts'
import {selectEnvironment} from '../../../src/agent/target/environment.ts'
import {cgroupLookup, containerdLookup, findTarget, sharedNamespaceLookup} from '../../../src/agent/target/find.ts'

const id = '0123456789abcdef'.repeat(4)
let directory: string
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'mrd-unit-'))
})
afterAll(() => rmSync(directory, {recursive: true}))

function put(path: string, text: string): void {
  mkdirSync(join(directory, path, '..'), {recursive: true})
  writeFileSync(join(directory, path), text)
}

describe('findTarget', () => {
  const process = (proc: string, pid: number, cgroup: string, pids: string) => {
    put(`${proc}/${pid}/cgroup`, cgroup)
    put(`${proc}/${pid}/status`, `Name:\tx\nNSpid:\t${pids}\n`)
  }

  it('takes the first process of the container, in both cgroup versions', () => {
    process('proc1', 50, `5:memory:/kubepods/pod1/${id}\n`, '50\t7')
    process('proc1', 40, `5:memory:/kubepods/pod1/${id}\n`, '40\t1')
    process('proc1', 30, '5:memory:/other\n', '30\t1')
    expect(cgroupLookup(join(directory, 'proc1')).find(id)).toBe(40)
    process('proc2', 41, `0::/../../cri-containerd-${id}.scope\n`, '41\t1')
    expect(cgroupLookup(join(directory, 'proc2')).find(id)).toBe(41)
  })

  it('leaves processes without a namespace of their own to the last lookup', () => {
    process('proc3', 9, `0::/${id}`, '9')
    process('proc3', 8, `0::/${id}`, '8')
    expect(cgroupLookup(join(directory, 'proc3')).find(id)).toBeUndefined()
    expect(sharedNamespaceLookup(join(directory, 'proc3')).find(id)).toBe(8)
  })

  it("reads containerd's pid file, unless its process is gone", () => {
    put(`run/io.containerd.runtime.v2.task/k8s.io/${id}/init.pid`, '77')
    process('proc4', 77, '', '77')
    const dirs = [join(directory, 'absent'), join(directory, 'run')]
    expect(containerdLookup(dirs, join(directory, 'proc4')).find(id)).toBe(77)
    expect(containerdLookup(dirs, join(directory, 'proc1')).find(id)).toBeUndefined()
  })

  it('asks in order and names what it looked at', () => {
    const lookups = [
      {name: 'one', find: () => undefined},
      {name: 'two', find: () => 5},
    ]
    expect(findTarget(id, lookups)).toEqual({pid: 5, by: 'two'})
    expect(() => findTarget(id, lookups.slice(0, 1))).toThrow(/looked at: one/)
  })

  it.each(['', 'abc', 'G'.repeat(64), `${id}0`, `../${id}`])('refuses the id %j', (bad) => {
    expect(() => findTarget(bad, [])).toThrow(/not a full container id/)
  })
})

describe('selectEnvironment', () => {
  const names = (exclude: string[], select: string[], all = ['DB_HOST', 'DB_PORT', 'PATH', 'path', 'TOKEN']) => [
    ...selectEnvironment(new Map(all.map((name) => [name, 'v'])), exclude, select).keys(),
  ]

  it('takes everything but the built-in names, which are case-sensitive', () => {
    expect(names([], [])).toEqual(['DB_HOST', 'DB_PORT', 'path', 'TOKEN'])
    expect(names([], ['*'])).toEqual(['DB_HOST', 'DB_PORT', 'path', 'TOKEN'])
  })

  it('[ENV-06] never gives those of the image, even when they are asked for', () => {
    const image = ['PATH', 'HOME', 'PWD', 'PYTHONPATH', 'JAVA_HOME', 'GOPATH']
    expect(names([], image, image)).toEqual([])
    expect(names([], ['P*', 'H*'], [...image, 'PORT'])).toEqual(['PORT'])
  })

  it('understands wildcards', () => {
    expect(names([], ['DB_*'])).toEqual(['DB_HOST', 'DB_PORT'])
    expect(names(['*T'], [])).toEqual(['path', 'TOKEN'])
    expect(names([], ['?OKEN', '*_P*T'])).toEqual(['DB_PORT', 'TOKEN'])
    expect(names([], ['token'])).toEqual([])
  })

  it('stays fast on hostile patterns', () => {
    const started = performance.now()
    names([], ['*a'.repeat(200) + 'b'], ['a'.repeat(2000)])
    expect(performance.now() - started).toBeLessThan(1000)
  })
})

describe('RootedFiles', () => {
  let files: RootedFiles
  beforeAll(() => {
    put('root/etc/hostname', 'inside\n')
    put('outside', 'outside')
    const root = join(directory, 'root')
    symlinkSync('/etc/hostname', join(root, 'absolute'))
    symlinkSync('../../../../../outside', join(root, 'escape'))
    symlinkSync('/etc', join(root, 'dir'))
    symlinkSync('loop', join(root, 'loop'))
    files = new RootedFiles(root)
  })

  it('resolves links against its root', async () => {
    expect(await files.readText('/absolute')).toBe('inside\n')
    expect(await files.readText('/dir/hostname')).toBe('inside\n')
    expect(await files.readText('/dir/../etc/./hostname')).toBe('inside\n')
    expect(await files.readLink('/escape')).toBe('../../../../../outside')
  })

  it('does not follow the last link unless asked to', async () => {
    const link = await files.locate('/absolute', false)
    expect((await link.stat()).isSymbolicLink()).toBe(true)
    await link.close()
    const through = await files.locate('/dir/', false)
    expect((await through.stat()).isDirectory()).toBe(true)
    await through.close()
  })

  it.each([
    ['/escape', /above the root/],
    ['/../outside', /above the root/],
    ['/loop', /ELOOP/],
    ['/etc/hostname/x', /ENOTDIR/],
    ['/etc/hostname/', /ENOTDIR/],
    ['/none', /ENOENT/],
  ])('refuses %s', async (path, error) => {
    await expect(files.readText(path)).rejects.toThrow(error)
  })
})
