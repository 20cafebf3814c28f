import {appendFileSync, mkdtempSync, renameSync, rmSync, truncateSync, writeFileSync} from 'node:fs'
import path from 'node:path'
import {afterEach, beforeEach, describe, expect, it} from 'vitest'
import {OutputReader} from '../../../src/session/output-reader.ts'

let folder: string
let file: string
let reader: OutputReader

beforeEach(() => {
  folder = mkdtempSync('/tmp/mor-')
  file = path.join(folder, 'stdout')
  reader = new OutputReader(file, `${file}.1`)
})
afterEach(async () => {
  await reader.close()
  rmSync(folder, {recursive: true, force: true})
})

async function read(): Promise<string> {
  const parts: Buffer[] = []
  for await (const lines of reader.read()) parts.push(lines)
  return Buffer.concat(parts).toString('latin1')
}

/** A full file makes place for a new one, as the copier does it. */
const rotate = (text: string) => {
  renameSync(file, `${file}.1`)
  writeFileSync(file, text)
}

describe('reading an output file', () => {
  it('gives what comes, line by line, and the rest at the end', async () => {
    expect(await read()).toBe('')
    writeFileSync(file, 'one\ntw')
    expect(await read()).toBe('one\n')
    appendFileSync(file, 'o\nthree')
    expect(await read()).toBe('two\n')
    expect(await read()).toBe('')
    expect(reader.rest()?.toString()).toBe('three\n')
    expect(reader.rest()).toBeUndefined()
  })

  it('keeps bytes that are no text', async () => {
    const bytes = Buffer.from([0xff, 0x00, 0xc3, 10])
    writeFileSync(file, bytes)
    expect(await read()).toBe(bytes.toString('latin1'))
  })

  it('begins with the older file of a rotation', async () => {
    writeFileSync(file, 'old\n')
    rotate('new\n')
    expect(await read()).toBe('old\nnew\n')
  })

  it('goes through a rotation without losing or repeating a line, also one that the rotation cuts', async () => {
    writeFileSync(file, 'one\n')
    expect(await read()).toBe('one\n')
    appendFileSync(file, 'two\nthr')
    rotate('ee\nfour\n')
    expect(await read()).toBe('two\nthree\nfour\n')
    rotate('five\n')
    expect(await read()).toBe('five\n')
  })

  it('goes through two rotations between two looks', async () => {
    writeFileSync(file, 'one\n')
    expect(await read()).toBe('one\n')
    appendFileSync(file, 'two\n')
    rotate('three\n')
    rotate('four\n')
    expect(await read()).toBe('two\nthree\nfour\n')
  })

  it('begins again in a file that somebody emptied', async () => {
    writeFileSync(file, 'one\ntwo\n')
    expect(await read()).toBe('one\ntwo\n')
    truncateSync(file)
    appendFileSync(file, 'new\n')
    expect(await read()).toBe('new\n')
  })

  it('reads a file while it is written and rotated, every line once', async () => {
    const all = Array.from({length: 20_000}, (_, index) => `line ${index}\n`)
    let seen = ''
    for (let index = 0; index < all.length; index += 400) {
      const part = all.slice(index, index + 400).join('')
      const reading = read()
      if (index % 2000 === 0 && index > 0) rotate(part)
      else appendFileSync(file, part)
      seen += await reading
    }
    seen += await read()
    expect(seen === all.join('')).toBe(true)
  })

  it('hands an endless line on in parts', async () => {
    writeFileSync(file, 'x'.repeat(3_000_000))
    const text = await read()
    expect(text.length).toBeGreaterThan(2_000_000)
    expect((text + (reader.rest()?.toString() ?? '')).replaceAll('\n', '').length).toBe(3_000_000)
  })

  it.each([
    [0, ''],
    [1, 'six\n'],
    [2, 'five\nsix\n'],
    [4, 'three\nfour\nfive\nsix\n'],
    [6, 'one\ntwo\nthree\nfour\nfive\nsix\n'],
    [100, 'one\ntwo\nthree\nfour\nfive\nsix\n'],
  ])('passes over all but the last %d lines, through a rotation', async (lines, expected) => {
    writeFileSync(file, 'one\ntwo\nthree\n')
    rotate('four\nfive\nsix\n')
    await reader.tail(lines)
    expect(await read()).toBe(expected)
    appendFileSync(file, 'seven\n')
    expect(await read()).toBe('seven\n')
  })

  it('counts a last line without its break', async () => {
    writeFileSync(file, 'one\ntwo\nthr')
    await reader.tail(2)
    expect(await read()).toBe('two\n')
    expect(reader.rest()?.toString()).toBe('thr\n')
  })

  it('finds the last lines of a large file', async () => {
    const long = `${'y'.repeat(100_000)}\n`
    writeFileSync(file, long.repeat(5))
    await reader.tail(2)
    expect((await read()) === long.repeat(2)).toBe(true)
  })
})
