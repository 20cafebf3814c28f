import {mkdtempSync, rmSync} from 'node:fs'
import {tmpdir} from 'node:os'
import path from 'node:path'
import {afterEach, beforeEach, describe, expect, it} from 'vitest'
import {Client} from '../../../src/agent/client.ts'
import {RootedFiles} from '../../../src/agent/files/rooted.ts'
import {
  agentConnection,
  clientConnection,
  type ClientConnection,
  type ConnectionError,
} from '../../../src/protocol/index.ts'
import {channels, Inbox, loopback, type Loopback} from '../protocol/loopback.ts'

describe('a client of the agent', () => {
  let root: string
  let pair: Loopback
  let client: ClientConnection
  const pongs = new Inbox<string>()
  let left: PromiseWithResolvers<ConnectionError>

  beforeEach(async () => {
    root = mkdtempSync(path.join(tmpdir(), 'mrd-silence-'))
    pair = await loopback()
    const ends = channels(pair)
    const files = new RootedFiles(root)
    left = Promise.withResolvers()
    const context = {
      environment: new Map<string, string>(),
      files,
      redirecting: undefined,
      dns: {timeout: undefined, attempts: undefined},
      silenceMs: 60,
    }
    new Client(agentConnection(ends.server), context, (reason) => {
      left.resolve(reason)
      void files.close()
    })
    client = clientConnection(ends.client)
    client.onMessage = ({type}) => pongs.put(type)
  })
  afterEach(async () => {
    client.destroy()
    await left.promise
    await pair[Symbol.asyncDispose]()
    rmSync(root, {recursive: true, force: true})
  })

  const ping = async () => {
    client.send({type: 'Ping'})
    expect(await pongs.next()).toBe('Pong')
  }

  it('[CLN-08] that pinged and then falls silent is given up, without a word on the connection', async () => {
    await ping()
    await ping()
    expect(await left.promise).toMatchObject({code: 'PING_TIMEOUT'})
  })

  it('that goes on stays, and one that does not ping may be silent', async () => {
    await ping()
    // Longer than a pinging one may be silent.
    await new Promise((resolve) => setTimeout(resolve, 200))
    await ping()
    client.close()
    expect(await left.promise).not.toMatchObject({code: 'PING_TIMEOUT'})
  })
})
