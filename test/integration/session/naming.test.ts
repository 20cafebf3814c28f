import {spawn, type ChildProcess} from 'node:child_process'
import {once} from 'node:events'
import {mkdtempSync, rmSync} from 'node:fs'
import path from 'node:path'
import {createInterface} from 'node:readline'
import {afterEach, beforeEach, describe, expect, it} from 'vitest'
import {defaultName} from '../../../src/session/naming.ts'
import {SessionStore} from '../../../src/session/state.ts'

let folder: string
let children: ChildProcess[]
beforeEach(() => {
  folder = mkdtempSync('/tmp/mnm-')
  children = []
})
afterEach(() => {
  for (const child of children) child.kill('SIGKILL')
  rmSync(folder, {recursive: true, force: true})
})

interface Said {
  name?: string
  id?: string
  code?: string
  exit?: string
}

/** Starts that many starts, lets them go at the same moment and gives what each was told. */
async function claims(count: number, program: string, wanted?: string): Promise<Said[]> {
  const starts = Array.from({length: count}, () => {
    const words = [path.join(import.meta.dirname, 'namer.ts'), path.join(folder, 'm'), program]
    const child = spawn(process.execPath, wanted ? [...words, wanted] : words, {
      env: {...process.env, NODE_NO_WARNINGS: '1'},
      stdio: ['pipe', 'pipe', 'inherit'],
    })
    children.push(child)
    const lines = createInterface({input: child.stdout})[Symbol.asyncIterator]()
    return {child, next: async () => (await lines.next()).value as string}
  })
  for (const {next} of starts) expect(await next()).toBe('ready')
  for (const {child} of starts) child.stdin.end()
  return Promise.all(starts.map(async ({next}) => JSON.parse(await next()) as Said))
}

describe('the name of a session', () => {
  it('is that of its program, and of 20 starts at once no two have the same and none is lost [D2, D3, D4, D5]', async () => {
    const said = await claims(20, '/usr/bin/server')
    expect(new Set(said.map(({name}) => name)).size).toBe(20)
    for (const {name} of said) expect(name).toMatch(/^server(-\d+)?$/)
    const store = new SessionStore(path.join(folder, 'm'), 'aaaaaaaa')
    expect(
      store
        .list()
        .map((directory) => ({id: directory.id, name: directory.readClaim()!.name}))
        .sort((a, b) => a.id.localeCompare(b.id)),
    ).toEqual(said.sort((a, b) => a.id!.localeCompare(b.id!)))
  })

  it('that was asked for is given to one of those that ask at once', async () => {
    const said = await claims(6, 'server', 'web')
    expect(said.filter(({name}) => name === 'web')).toHaveLength(1)
    expect(said.filter(({code}) => code === 'NAME_IN_USE')).toHaveLength(5)
    expect(said.every(({name, exit}) => name !== undefined || exit === 'usage')).toBe(true)
  })

  it('of a dead session is free again', async () => {
    await claims(1, 'server', 'web')
    children[0]!.kill('SIGKILL')
    await once(children[0]!, 'exit')
    expect(await claims(1, 'server', 'web')).toMatchObject([{name: 'web'}])
  })

  it.each([
    ['/usr/bin/node', 'node'],
    ['./build/my server', 'my-server'],
    ['.hidden', 'hidden'],
    ['ünï', 'n-'],
    ['--', 'program'],
    ['x'.repeat(80), 'x'.repeat(63)],
  ])('by default comes from the program: %s', (program, name) => {
    expect(defaultName(program)).toBe(name)
  })
})
