import {chmodSync, mkdirSync, mkdtempSync, statSync, rmSync, symlinkSync, writeFileSync} from 'node:fs'
import {tmpdir} from 'node:os'
import path from 'node:path'
import {afterAll, beforeAll, describe, expect, it} from 'vitest'
import type {MirrordError} from '../../../src/errors/mirrord-error.ts'
import {findProgram, makeOutputDirectory} from '../../../src/session/program.ts'
import {Teardown} from '../../../src/session/teardown.ts'

let folder: string
const at = (...names: string[]) => path.join(folder, ...names)

beforeAll(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'mirrord-program-'))
  for (const name of ['a', 'b', 'work/bin', 'a/folder']) mkdirSync(at(name), {recursive: true})
  const file = (name: string, mode: number) => {
    writeFileSync(at(name), '#!/bin/sh\n')
    chmodSync(at(name), mode)
  }
  file('a/denied', 0o644)
  file('b/denied', 0o755)
  file('a/plain', 0o644)
  file('b/app', 0o755)
  file('work/app', 0o755)
  file('work/bin/app', 0o755)
  symlinkSync(at('b/app'), at('a/link'))
  symlinkSync(at('nowhere'), at('a/broken'))
})
afterAll(() => rmSync(folder, {recursive: true}))

const find = (name: string, PATH?: string) => findProgram(name, {PATH}, at('work'))
const refusal = (name: string, PATH?: string) => {
  try {
    return find(name, PATH)
  } catch (error) {
    const {code, exit, why} = (error as MirrordError).report
    expect(exit).toBe('programNotFound')
    return `${code}: ${why}`
  }
}

describe('findProgram', () => {
  it('searches PATH in its order, and goes on after what cannot be executed', () => {
    const PATH = `${at('a')}:${at('b')}`
    expect(find('app', PATH)).toBe(at('b/app'))
    expect(find('denied', PATH)).toBe(at('b/denied'))
    expect(find('link', PATH)).toBe(at('a/link'))
  })

  it('takes empty and relative entries of PATH from the working directory', () => {
    expect(find('app', `:${at('b')}`)).toBe(at('work/app'))
    expect(find('app', 'bin')).toBe(at('work/bin/app'))
  })

  it('takes a name with a slash as it is', () => {
    expect(find('./app', at('b'))).toBe(at('work/app'))
    expect(find('bin/app', at('b'))).toBe(at('work/bin/app'))
    expect(find(at('b/app'), '')).toBe(at('b/app'))
  })

  it('knows the standard places without PATH', () => {
    expect(find('sh')).toMatch(/\/bin\/sh$/)
  })

  it.each([
    ['nothing', 'PROGRAM_NOT_FOUND: It is in no directory of PATH.'],
    ['', 'PROGRAM_NOT_FOUND: It is in no directory of PATH.'],
    ['broken', 'PROGRAM_NOT_FOUND: It is in no directory of PATH.'],
    ['plain', /^PROGRAM_NOT_EXECUTABLE: .*a\/plain is not executable/],
    ['folder', /^PROGRAM_NOT_EXECUTABLE: .*a\/folder is a directory/],
    ['./none', /^PROGRAM_NOT_FOUND: There is no file .*work\/none/],
    ['./bin', /^PROGRAM_NOT_EXECUTABLE: .*work\/bin is a directory/],
    ['./app/x', /^PROGRAM_NOT_FOUND/],
    ['../a/plain', /^PROGRAM_NOT_EXECUTABLE: .*a\/plain is not executable/],
  ])('refuses %j', (name, expected) => {
    expect(refusal(name, at('a'))).toMatch(expected)
  })
})

describe('the output folder', () => {
  it('is named after the program, and never twice the same', () => {
    const made = Array.from({length: 50}, () => makeOutputDirectory(at('out'), './build/server'))
    expect(new Set(made).size).toBe(50)
    for (const directory of made) expect(path.relative(at('out'), directory)).toMatch(/^server-\d+-[\da-z]{7}$/)
  })

  it('below a shared folder leaves room for the other users of the machine', () => {
    makeOutputDirectory(at('shared/mirrord'), 'x', true)
    expect(statSync(at('shared/mirrord')).mode & 0o7777).toBe(0o1777)
  })

  it('that cannot be made is reported with the key that chooses it', () => {
    expect(() => makeOutputDirectory(at('b/app'), 'x')).toThrow(
      expect.objectContaining({
        report: expect.objectContaining({code: 'OUTPUT_DIRECTORY', exit: 'permission'}) as unknown,
      }) as Error,
    )
  })
})

describe('a teardown', () => {
  it('undoes in reverse order, once, whatever fails or hangs', async () => {
    const log: string[] = []
    const ran: string[] = []
    const teardown = new Teardown((text) => log.push(text))
    teardown.add('first', 1000, () => void ran.push('first'))
    teardown.add('hangs', 5, () => new Promise(() => void ran.push('hangs')))
    teardown.add('rejects', 1000, () => Promise.reject(new Error('refused')))
    teardown.add('throws', 1000, () => {
      throw new Error('broken')
    })
    teardown.add('last', 1000, async () => {
      ran.push('last')
      teardown.add('added meanwhile', 1000, () => void ran.push('added meanwhile'))
    })
    await teardown.run()
    await teardown.run()
    expect(ran).toEqual(['last', 'added meanwhile', 'hangs', 'first'])
    expect(log.map((line) => line.replace(/ \(\d+ ms\)$/, ''))).toEqual([
      'end: last done',
      'end: added meanwhile done',
      'end: throws failed: broken',
      'end: rejects failed: refused',
      'end: hangs not done after 5 ms',
      'end: first done',
    ])
  })
})
