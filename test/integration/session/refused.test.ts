import {mkdtempSync, readFileSync, rmSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {afterEach, beforeAll, expect, it} from 'vitest'
import {resolveConfig} from '../../../src/config/index.ts'
import {agentConnection, ClientSession, type DaemonTcp} from '../../../src/protocol/index.ts'
import {DataPlane} from '../../../src/session/data-plane.ts'
import {runProgram} from '../../../src/session/run-program.ts'
import type {SessionSpec} from '../../../src/session/spec.ts'
import {channels, loopback} from '../protocol/loopback.ts'
import {until} from '../proxy/sockets.ts'
import {buildTrap, freePort, trapPath} from '../trap/harness.ts'

type SubscribeResult = Extract<DaemonTcp, {type: 'SubscribeResult'}>['value']

beforeAll(() => buildTrap())
const undo: (() => void | PromiseLike<void>)[] = []
afterEach(async () => {
  for (const step of undo.splice(0).reverse()) await step()
})

/** An agent that answers every subscription as the test says, and a session with it. */
async function stage(answer: (port: number) => SubscribeResult) {
  const ends = await loopback()
  undo.push(() => ends[Symbol.asyncDispose]())
  const {client, server} = channels(ends)
  const agent = agentConnection(server)
  agent.onMessage = (message) => {
    if (message.type === 'SwitchProtocolVersion') {
      agent.send({type: 'SwitchProtocolVersionResponse', value: message.value})
    } else if (message.type === 'TcpSteal' && message.value.type === 'PortSubscribe') {
      const {value: port} = message.value.value as {value: number}
      agent.send({type: 'TcpSteal', value: {type: 'SubscribeResult', value: answer(port)}})
    }
  }
  return ClientSession.open(client, {logs: false})
}

/** Listens on each port in turn until it is given, prints what came of it, and stays. */
const script = `
const net = require('node:net')
const listen = ([port, ...others]) => {
  if (port === undefined) return console.log('done')
  const server = net.createServer()
  server.once('error', (error) => { console.log(port, error.code); listen(others) })
  server.listen(Number(port), '127.0.0.1', () => { console.log(port, 'listening'); listen(others) })
}
listen(process.argv.slice(1))
`

it('[INC-29] a refused port fails the listen alone: the program goes on, and may ask again', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'mrd-refused-'))
  undo.push(() => rmSync(directory, {recursive: true}))
  const [taken, free, forbidden] = [await freePort(), await freePort(), await freePort()]
  const asked: number[] = []
  const agent = await stage((port) => {
    asked.push(port)
    if (port === taken && asked.filter((other) => other === port).length === 1)
      return {type: 'Err', value: {type: 'PortAlreadyStolen', value: port}}
    if (port !== forbidden) return {type: 'Ok', value: port}
    const value = {blockedAction: {type: 'Steal', value: {type: 'All', value: port}}, policyName: undefined} as const
    return {type: 'Err', value: {type: 'Forbidden', value}}
  })
  const {config} = await resolveConfig({cwd: directory, env: {}, flags: {}})
  config.feature.network.incoming.mode = 'steal'
  const dataPlane = new DataPlane(agent, join(directory, 'private'), () => {})
  undo.push(() => void dataPlane.close())
  const words = [taken, free, forbidden, taken].map(String)
  const spec: Partial<SessionSpec> = {
    trapPath,
    program: {name: 'node', path: process.execPath, argv: ['node', '-e', script, ...words], cwd: directory},
    config,
    foreground: false,
    outputDirectory: directory,
    intercept: true,
  }
  const events: string[] = []
  const prepared = {environment: {PATH: process.env.PATH!}, overlays: []}
  const {trap, close} = await runProgram(spec as SessionSpec, dataPlane, prepared, {
    opened: (_, port) => void events.push(`${port} listening`),
    closed: () => {},
    unreachable: () => {},
    refused: (port, error) => void events.push(`${port} ${(error as Error).message}`),
    log: () => {},
    stopped: () => {},
    continued: () => {},
    outputBroken: () => {},
  })
  dataPlane.trap = trap
  undo.push(async () => {
    close()
    trap.killTree()
    await trap.ended
  })
  const output = () => readFileSync(join(directory, 'stdout'), 'utf8')
  await until('the last listen', () => output().endsWith('done\n'))
  expect(output().split('\n')).toEqual([
    `${taken} EADDRINUSE`,
    `${free} listening`,
    `${forbidden} EACCES`,
    `${taken} listening`,
    'done',
    '',
  ])
  expect(events).toEqual([
    `${taken} Port ${taken} is stolen by another session.`,
    `${free} listening`,
    `${forbidden} A policy of the cluster forbids it.`,
    `${taken} listening`,
  ])
  expect(asked).toEqual([taken, free, forbidden, taken])
  expect(dataPlane.incoming.subscribedPorts).toEqual([taken, free].sort((a, b) => a - b))
})
