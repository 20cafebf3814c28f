import {spawn} from 'node:child_process'
import {once} from 'node:events'
import {appendFileSync, linkSync, mkdtempSync, rmSync, writeFileSync} from 'node:fs'
import {tmpdir} from 'node:os'
import path from 'node:path'
import {PassThrough} from 'node:stream'
import {afterAll, beforeAll, describe, expect, it} from 'vitest'
import {colorFor} from '../../../src/util/color.ts'
import {readLines, writeLine} from '../../../src/util/json-lines.ts'
import {identify, isAlive, readStat} from '../../../src/util/process.ts'
import {tailOf} from '../../../src/util/tail.ts'
import {deferred, delay, within} from '../../../src/util/time.ts'

let folder: string
beforeAll(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'mirrord-util-'))
})
afterAll(() => rmSync(folder, {recursive: true}))

describe('readLines', () => {
  function reader() {
    const stream = new PassThrough()
    const values: unknown[] = []
    const closed = deferred<Error | undefined>()
    let times = 0
    readLines(
      stream,
      (value) => values.push(value),
      (error) => {
        times++
        closed.resolve(error)
      },
    )
    return {stream, values, closed: closed.promise, times: () => times}
  }

  it('joins what arrives in pieces, also in the middle of a character', async () => {
    const {stream, values, closed} = reader()
    const bytes = Buffer.from('{"a":"é"}\n[1]\n{"b":2}\n')
    for (const byte of bytes) stream.write(Buffer.of(byte))
    stream.end()
    expect(await closed).toBeUndefined()
    expect(values).toEqual([{a: 'é'}, [1], {b: 2}])
  })

  it('says once that the stream is over, whether it ends or breaks', async () => {
    const ended = reader()
    ended.stream.end()
    const broken = reader()
    broken.stream.destroy(new Error('reset'))
    expect([await ended.closed, await broken.closed]).toEqual([undefined, undefined])
    await new Promise((resolve) => setImmediate(resolve)) // what follows an end or an error has been emitted
    expect([ended.times(), broken.times()]).toEqual([1, 1])
  })

  it('gives up at a line that is not JSON, and reads no further', async () => {
    const {stream, values, closed} = reader()
    stream.write('1\nnot json\n2\n')
    expect((await closed)?.message).toContain('not JSON')
    expect(values).toEqual([1])
    expect(stream.destroyed).toBe(true)
  })

  it('does not mind a peer that is gone when it writes', () => {
    const stream = new PassThrough()
    stream.destroy()
    expect(() => writeLine(stream, {})).not.toThrow()
  })
})

describe('a process', () => {
  it('is alive until it ends, zombies do not count', async () => {
    const child = spawn('/bin/sh', ['-c', 'read line'], {stdio: ['pipe', 'ignore', 'ignore']})
    const id = identify(child.pid!)!
    expect(isAlive(id)).toBe(true)
    expect(readStat(child.pid!)?.parent).toBe(process.pid)
    expect(isAlive({...id, startTime: '1'})).toBe(false)
    expect(isAlive({...id, bootId: 'another boot'})).toBe(false)
    child.stdin.end()
    await once(child, 'exit')
    expect(isAlive(id)).toBe(false)
    expect(identify(child.pid!)).toBeUndefined()
  })
})

describe('tailOf', () => {
  it.each([
    ['', 3, ''],
    ['a\n', 3, 'a'],
    ['a\nb\nc\nd\n', 2, 'c\nd'],
    ['a\nb\nc', 2, 'b\nc'],
  ])('of %j, %i lines', (text, lines, expected) => {
    const file = path.join(folder, 'log')
    writeFileSync(file, text)
    expect(tailOf(file, lines)).toBe(expected)
  })

  it('reads only the end of a large file', () => {
    const file = path.join(folder, 'large')
    writeFileSync(file, 'x'.repeat(1_000_000))
    appendFileSync(file, '\nlast\n')
    expect(tailOf(file, 1)).toBe('last')
    expect(tailOf(file, 50).length).toBeLessThan(70_000)
  })

  it.each([
    ['new\n', 'a\nb\n', 2, 'b\nnew'],
    ['new\n', 'a\n', 1, 'new'],
    ['end\nnew\n', 'a\nbegin ', 2, 'begin end\nnew'],
    ['', 'a\nb\n', 1, 'b'],
    ['new\n', '', 9, 'new'],
    ['new\n', undefined, 9, 'new'],
  ])('of %j, which continues %j, %i lines', (text, before, lines, expected) => {
    const [file, older] = [path.join(folder, 'newest'), path.join(folder, 'older')]
    writeFileSync(file, text)
    rmSync(older, {force: true})
    if (before !== undefined) writeFileSync(older, before)
    expect(tailOf(file, lines, older)).toBe(expected)
  })

  it('reads no more than the end of both files', () => {
    const [file, older] = [path.join(folder, 'newest'), path.join(folder, 'older')]
    writeFileSync(file, `${'y'.repeat(60_000)}\n`)
    writeFileSync(older, 'x'.repeat(1_000_000))
    expect(tailOf(file, 9, older)).toHaveLength(65_535)
  })

  it('does not tell twice of a file that is renamed meanwhile', () => {
    const [file, older] = [path.join(folder, 'renamed'), path.join(folder, 'renamed.1')]
    writeFileSync(older, 'one\n')
    linkSync(older, file)
    expect(tailOf(file, 9, older)).toBe('one')
  })

  it('is empty for a file that is not there', () => {
    expect(tailOf(path.join(folder, 'none'), 5)).toBe('')
  })
})

describe('time', () => {
  it('within gives the value, or undefined when it is late', async () => {
    expect(await within(10_000, Promise.resolve(1))).toBe(1)
    expect(await within(1, new Promise(() => {}))).toBeUndefined()
    await expect(within(10_000, Promise.reject(new Error('no')))).rejects.toThrow('no')
  })

  it('delay ends early when it is aborted', async () => {
    const abort = new AbortController()
    const waiting = delay(1_000_000, abort.signal)
    abort.abort()
    await waiting
    await delay(1_000_000, abort.signal)
  })
})

describe('colorFor', () => {
  it.each([
    [{}, false, false],
    [{}, true, true],
    [{NO_COLOR: '1', FORCE_COLOR: '1'}, true, false],
    [{NO_COLOR: ''}, true, true],
    [{FORCE_COLOR: '1'}, false, true],
    [{FORCE_COLOR: '0'}, true, false],
    [{TERM: 'dumb'}, true, false],
    [{GITHUB_ACTIONS: 'true'}, false, true],
    [{GITLAB_CI: 'true', NO_COLOR: '1'}, false, false],
  ])('with %j, terminal %s: %s', (env, isTTY, colored) => {
    const text = colorFor({isTTY} as NodeJS.WriteStream, env).red('x')
    expect(text !== 'x').toBe(colored)
  })
})
