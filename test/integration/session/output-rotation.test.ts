import {mkdtempSync, readFileSync, rmSync, statSync, writeSync} from 'node:fs'
import path from 'node:path'
import {setTimeout as delay} from 'node:timers/promises'
import {afterEach, beforeAll, beforeEach, describe, expect, it} from 'vitest'
import {openOutput, type Output} from '../../../src/session/output.ts'
import {OutputReader} from '../../../src/session/output-reader.ts'
import {buildTrap, trapPath} from '../trap/harness.ts'

const MAX = 1024
let folder: string
let output: Output
let reader: OutputReader
const lines: string[] = []
const broken: string[] = []

beforeAll(() => buildTrap())
beforeEach(async () => {
  folder = mkdtempSync('/tmp/mro-')
  lines.length = broken.length = 0
  output = await openOutput({
    directory: folder,
    tee: false,
    max: MAX,
    trapPath,
    log: (line) => lines.push(line),
    broken: (reason) => broken.push(reason),
  })
  reader = new OutputReader(path.join(folder, 'stdout'), path.join(folder, 'stdout.1'))
})
afterEach(async () => {
  await reader.close()
  output.release()
  await output.finish(AbortSignal.abort())
  rmSync(folder, {recursive: true, force: true})
  expect([lines, broken]).toEqual([[], []])
})

const file = (name: string) => path.join(folder, name)
const read = (name: string) => readFileSync(file(name), 'latin1')
const sizes = () => ['stdout.1', 'stdout'].map((name) => statSync(file(name), {throwIfNoEntry: false})?.size)

/** Between the two steps of a rotation there is none. */
const endsWith = (end: string) => {
  try {
    return read('stdout').endsWith(end)
  } catch {
    return false
  }
}

async function until(what: string, check: () => boolean): Promise<void> {
  const deadline = Date.now() + 15_000
  while (!check()) {
    if (Date.now() > deadline) throw new Error(`${what} did not come: ${sizes().join(' and ')} bytes`)
    await delay(2)
  }
}

/** Writes as the program does, and waits until the file ends with it. */
async function write(text: string): Promise<void> {
  writeSync(output.stdout, text)
  await until('the text', () => endsWith(text.slice(-MAX / 2)))
}

async function followed(): Promise<string> {
  const parts: Buffer[] = []
  for await (const piece of reader.read()) parts.push(piece)
  return Buffer.concat(parts).toString('latin1')
}

describe('rotation', () => {
  it('leaves a file that is exactly full, and begins a new one with the next byte', async () => {
    await write(`${'a'.repeat(MAX - 1)}\n`)
    expect(sizes()).toEqual([undefined, MAX])
    await write('b')
    expect(sizes()).toEqual([MAX, 1])
  })

  it('keeps lines whole where one would cross the limit', async () => {
    await write(`${'a'.repeat(1000)}\n`)
    await write(`${'b'.repeat(100)}\n`)
    expect([read('stdout.1'), read('stdout')]).toEqual([`${'a'.repeat(1000)}\n`, `${'b'.repeat(100)}\n`])
  })

  it('cuts a line that is longer than the limit, never beyond it', async () => {
    const line = `${Array.from({length: 700}, (_, index) => String(index).padStart(4, '0')).join('')}\n`
    writeSync(output.stdout, line)
    await until('the end of the line', () => endsWith('0699\n'))
    expect(sizes()).toEqual([MAX, line.length - 2 * MAX])
    expect(read('stdout.1') + read('stdout')).toBe(line.slice(MAX))
  })

  it('is followed without losing or repeating a byte: short lines, full files and a line longer than a file', async () => {
    let seen = ''
    let written = ''
    const pieces = [
      ...Array.from({length: 40}, (_, index) => `${index} ${'x'.repeat((index * 37) % 200)}\n`),
      `${'f'.repeat(MAX - 1)}\n`,
      ...['begin ', 'middle ', 'more ', 'end '].map((word) => word.padStart(900, '.')),
      '\n',
      `${'g'.repeat(MAX - 1)}\n`,
      'last\n',
    ]
    for (const piece of pieces) {
      await write(piece)
      written += piece
      seen += await followed()
    }
    expect(seen).toBe(written)
    expect(statSync(file('stdout.1')).size).toBeLessThanOrEqual(MAX)
  })

  it('brings what the program wrote last, without a line break', async () => {
    writeSync(output.stdout, 'a'.repeat(MAX + 10))
    writeSync(output.stderr, 'b')
    output.release()
    await output.finish()
    expect(sizes()).toEqual([MAX, 10])
    expect(read('stderr')).toBe('b')
  })
})
