import {describe, expect, it} from 'vitest'
import {agentConnection, ClientSession, type AgentConnection} from '../../../src/protocol/index.ts'
import {agentAnswers} from '../../../src/session/agent-link.ts'
import {channels, loopback} from '../protocol/loopback.ts'

/** A client's session with an agent that the test plays. */
async function stage(answer: (agent: AgentConnection) => void) {
  const ends = await loopback()
  const {client, server} = channels(ends)
  const agent = agentConnection(server)
  agent.onMessage = (message) => {
    if (message.type === 'SwitchProtocolVersion')
      agent.send({type: 'SwitchProtocolVersionResponse', value: message.value})
    if (message.type === 'GetEnvVarsRequest') answer(agent)
  }
  return {session: await ClientSession.open(client, {logs: false}), ends}
}

describe('the question whether the agent still works', () => {
  it('is answered by an agent that does', async () => {
    const {session, ends} = await stage((agent) =>
      agent.send({type: 'GetEnvVarsResponse', value: {type: 'Ok', value: new Map()}}),
    )
    expect(await agentAnswers(session, 10_000)).toBe(true)
    await ends[Symbol.asyncDispose]()
  })

  it('is not answered by one that is silent', async () => {
    const {session, ends} = await stage(() => {})
    expect(await agentAnswers(session, 20)).toBe(false)
    await ends[Symbol.asyncDispose]()
  })

  it('is not answered when the connection breaks, and was not when it is broken already', async () => {
    const {session, ends} = await stage(() => ends.server.destroy())
    expect(await agentAnswers(session, 10_000)).toBe(false)
    await session.connection.closed
    expect(await agentAnswers(session, 10_000)).toBe(false)
    await ends[Symbol.asyncDispose]()
  })

  it('does not blame an agent that the client itself does not listen to', async () => {
    const {session, ends} = await stage(() => {})
    session.connection.pause()
    expect(await agentAnswers(session, 20)).toBe(true)
    await ends[Symbol.asyncDispose]()
  })
})
