import {spawn} from 'node:child_process'
import type {Duplex} from 'node:stream'
import fc from 'fast-check'
import {beforeAll, describe, expect, it} from 'vitest'
import {Decoder, encode, wireVersion, type Message} from '../../../src/trap/wire.ts'
import {buildTrap, trapPath} from './harness.ts'

beforeAll(buildTrap)

const hello = encode('hello', {
  version: wireVersion,
  flags: 1,
  holdMs: 1000,
  connectMs: 90_000,
  listenMs: 60_000,
  fileMs: 60_000,
  datagramMs: 10_000,
  program: '/bin/sleep',
  cwd: '/',
  argv: ['sleep', '1000'],
  overlays: [],
  local: [],
  files: '',
  rules: new Uint8Array(0),
  mapping: new Uint8Array(0),
  unixStreams: new Uint8Array(0),
  skip: [],
  hostname: '',
  environment: [],
  network: '',
})

/** Speaks raw bytes to a trap; resolves with what it said and how it ended. */
async function speak(...parts: Uint8Array[]): Promise<{said: Message[]; code: number | null}> {
  const child = spawn(trapPath, [], {stdio: ['ignore', 'ignore', 'ignore', 'pipe'], env: {}})
  const socket = child.stdio[3] as Duplex
  const decoder = new Decoder()
  const said: Message[] = []
  socket.on('data', (chunk: Buffer) => said.push(...decoder.push(chunk)))
  socket.on('error', () => {})
  for (const part of parts) socket.write(part)
  const code = await new Promise<number | null>((resolve) => child.once('exit', resolve))
  if (!socket.closed) await new Promise((resolve) => socket.once('close', resolve))
  return {said, code}
}
const fatal = expect.objectContaining({name: 'fatal'}) as unknown

describe('malformed messages to the trap', () => {
  it('end it before anything runs', async () => {
    const changed = Buffer.from(hello)
    changed.writeUInt32LE(99, 5) // version
    for (const bytes of [changed, Buffer.alloc(4), Buffer.from([255, 255, 255, 255]), encode('killTree', {})]) {
      const {said} = await speak(bytes)
      expect(said).toEqual([fatal])
    }
  })

  it('end the tree when they come later', async () => {
    for (const bytes of [
      Buffer.from([1, 0, 0, 0, 200]),
      encode('signalTree', {signal: 0}),
      encode('connectAnswer', {id: 1, outcome: 9, errno: 0, relay: undefined, local: undefined}),
      encode('listenAnswer', {id: 1, errno: 512}),
      encode('peer', {source: undefined, peer: undefined, local: undefined}),
    ]) {
      const {said} = await speak(hello, bytes)
      expect(said.map(({name}) => name)).toEqual(['started', 'fatal'])
    }
  })

  it('never hang it or leave it running (random hellos)', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({minLength: 1, maxLength: 60}), async (body) => {
        const head = Buffer.alloc(4)
        head.writeUInt32LE(body.length)
        const {said} = await speak(head, body)
        expect(said).toEqual([fatal])
      }),
      {numRuns: 40},
    )
  })
})
