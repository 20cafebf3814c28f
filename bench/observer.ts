// What observing costs the relay of stolen connections: `node bench/observer.ts [FOLDER]` compares this tree with an older one
// (the folder of another commit), in turns. Processor time of a request with a body of 512 MiB, and of 50,000 small requests,
// through an IncomingProxy with a program on loopback and no agent.
import net from 'node:net'
import {once} from 'node:events'
import path from 'node:path'
import type {IncomingProxy as Proxy} from '../src/proxy/incoming.ts'
import {Recorder} from '../src/report/recorder.ts'

const ROUNDS = 7
const CHUNK = Buffer.alloc(64 * 1024, 'x')
const CHUNKS = 8 * 1024
const REQUESTS = 50_000
const trees = process.argv.slice(2, 3).concat(path.join(import.meta.dirname, '..'))

async function stage(tree: string) {
  const load = (file: string) => import(path.join(tree, 'src/proxy', file)) as Promise<Record<string, never>>
  const [{IncomingProxy}, {FlowControl}, {SourcePorts}] = (await Promise.all(
    ['incoming.ts', 'flow.ts', 'addresses.ts'].map(load),
  )) as unknown as [{IncomingProxy: typeof Proxy}, {FlowControl: never}, {SourcePorts: never}]
  const server = net.createServer((socket) => socket.on('data', (chunk) => onProgram(chunk)))
  let onProgram: (chunk: Buffer) => void = () => {}
  let program: net.Socket | undefined
  server.on('connection', (socket) => (program = socket)).listen(0, '127.0.0.1')
  await once(server, 'listening')
  let onAnswer: (bytes: number) => void = () => {}
  const session = {id: '', name: '', job: '', program: '', startedAt: ''}
  const options = {
    address: '127.0.0.1',
    sources: new (SourcePorts as new () => never)(),
    send: (message: {value: {type: string; value: {bytes: Uint8Array}}}) => {
      if (message.value.type === 'Data') onAnswer(message.value.value.bytes.length)
      return true
    },
    flow: new (FlowControl as new (target: object) => never)({pause: () => {}, resume: () => {}}),
    subscribe: async () => {},
    unsubscribe: () => {},
    warn: () => {},
    observer: new Recorder({version: '', run: {}, mode: 'steal', session}),
  }
  const proxy = new IncomingProxy(options as never)
  await proxy.listen({id: 1, port: 80, actual: server.address() as {address: string; port: number} & net.AddressInfo})
  const value = {
    connectionId: 1,
    remoteAddress: '10.0.0.1',
    sourcePort: 1,
    destinationPort: 80,
    localAddress: '10.0.0.2',
  }
  proxy.receive({type: 'NewConnectionV1', value})
  await once(server, 'connection')
  const give = (bytes: Uint8Array) => proxy.receive({type: 'Data', value: {connectionId: 1, bytes}})
  const head = (length: number) => Buffer.from(`POST /users/1 HTTP/1.1\r\nHost: x\r\nContent-Length: ${length}\r\n\r\n`)
  const answer = Buffer.from('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok')
  /** Milliseconds of processor time. */
  const timed = async (work: () => Promise<void>) => {
    const before = process.cpuUsage()
    await work()
    const {user, system} = process.cpuUsage(before)
    return (user + system) / 1000
  }
  const upload = () =>
    timed(async () => {
      give(head(CHUNK.length * CHUNKS))
      let left = CHUNK.length * CHUNKS + head(CHUNK.length * CHUNKS).length
      const done = Promise.withResolvers<void>()
      onProgram = (chunk) => (left -= chunk.length) === 0 && done.resolve()
      for (let chunk = 0; chunk < CHUNKS; chunk++) {
        give(CHUNK)
        if (chunk % 4 === 3) await new Promise(setImmediate)
      }
      await done.promise
      onProgram = () => {}
      const answered = Promise.withResolvers<void>()
      onAnswer = () => answered.resolve()
      program!.write(answer)
      await answered.promise
    })
  const requests = () =>
    timed(async () => {
      const request = head(0)
      onProgram = () => program!.write(answer)
      for (let count = 0; count < REQUESTS; count++) {
        const answered = Promise.withResolvers<void>()
        onAnswer = () => answered.resolve()
        give(request)
        await answered.promise
      }
    })
  return {upload, requests, close: () => (program!.destroy(), server.close())}
}

const stages = await Promise.all(trees.map(stage))
const median = (values: number[]) => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)]!
for (const what of ['upload', 'requests'] as const) {
  const times = stages.map(() => [] as number[])
  for (let round = 0; round < ROUNDS; round++)
    for (const [index, one] of stages.entries()) times[index]!.push(await one[what]())
  const medians = times.map(median)
  const unit = what === 'upload' ? `ms for ${(CHUNK.length * CHUNKS) >> 20} MiB` : `us for each of ${REQUESTS} requests`
  const shown = medians.map((ms) => (what === 'upload' ? ms : (ms * 1000) / REQUESTS).toFixed(1))
  console.log(
    `${what.padEnd(9)} ${shown.join(' -> ')} ${unit}${medians[1] ? `, ${(medians[1] / medians[0]!).toFixed(2)} x` : ''}`,
  )
}
for (const one of stages) one.close()
process.exit(0)
