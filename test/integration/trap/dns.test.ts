import {createSocket, type Socket} from 'node:dgram'
import {mkdtempSync, rmSync, writeFileSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {answer as dnsAnswer} from './dns.ts'
import {afterAll, afterEach, beforeAll, expect, it} from 'vitest'
import {inEachCondition} from './conditions.ts'
import {buildTrap, cleanUp, compile, python, run, which} from './harness.ts'

let relay: Socket
let echo: Socket
const directory = mkdtempSync(join(tmpdir(), 'mirrord-dns-'))
const bind = async (socket: Socket) => {
  await new Promise<void>((resolve) => socket.bind(0, '127.0.0.1', resolve))
  return {relay: {address: '127.0.0.1', port: socket.address().port}}
}
let dns: Awaited<ReturnType<typeof bind>>
let echoing: Awaited<ReturnType<typeof bind>>
beforeAll(async () => {
  buildTrap()
  writeFileSync(join(directory, 'resolv.conf'), 'nameserver 10.96.0.10\n')
  relay = createSocket('udp4', (data, from) => relay.send(dnsAnswer(data, '10.20.30.40'), from.port, from.address))
  echo = createSocket('udp4', (data, from) => echo.send(data, from.port, from.address))
  dns = await bind(relay)
  echoing = await bind(echo)
})
afterAll(() => {
  relay.close()
  echo.close()
  rmSync(directory, {recursive: true})
})
afterEach(cleanUp)
const overlays = [{path: '/etc/resolv.conf', source: join(directory, 'resolv.conf')}]

inEachCondition('port 53', () => {
  it('is asked for once, and every message call shows the original source', async () => {
    const program = await run({
      program: compile('sockets'),
      arguments: ['messages', '10.96.0.10', '53'],
      outgoing: {tcp: false, udp: false},
      connect: async () => echoing,
    })
    expect(await program.finish()).toBe(
      'window 1\nrecvmsg ping from 10.96.0.10:53\nsendmmsg 2\n' + 'recvmmsg ping from 10.96.0.10:53\n'.repeat(2),
    )
    expect(program.connects).toMatchObject([
      {protocol: 'udp', unconnected: true, remote: {address: '10.96.0.10', port: 53}},
    ])
  })

  it.skipIf(!python)('serves Python sendto and recvfrom, blocking and with a timeout, two servers apart', async () => {
    const program = await run({
      program: python ?? '',
      arguments: [
        '-c',
        `
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for timeout in (None, 5):
    s.settimeout(timeout)
    for ip in ('10.96.0.10', '10.96.0.11'):
        s.sendto(b'ping', (ip, 53)); print(s.recvfrom(99))
s.settimeout(0.05)
try: s.recvfrom(99)
except TimeoutError: print('timeout')
`,
      ],
      connect: async ({remote}) =>
        remote.address.endsWith('.10')
          ? echoing
          : bind((second = createSocket('udp4', (data, from) => second?.send(data, from.port, from.address)))),
    })
    expect(await program.finish()).toBe(
      "(b'ping', ('10.96.0.10', 53))\n(b'ping', ('10.96.0.11', 53))\n".repeat(2) + 'timeout\n',
    )
    expect(program.connects).toHaveLength(2)
    second?.close()
  })
  let second: Socket | undefined

  it('serves c-ares (dns.resolve4 of Node)', async () => {
    const program = await run({
      program: process.execPath,
      arguments: ['-e', "require('dns').resolve4('ip-info.shop', (e, a) => console.log(e ? e.code : a))"],
      overlays,
      connect: async () => dns,
    })
    expect(await program.finish()).toBe("[ '10.20.30.40' ]\n")
  })

  it.skipIf(!which('getent'))('serves glibc', async () => {
    const program = await run({
      program: which('getent') ?? '',
      arguments: ['ahostsv4', 'ip-info.shop'],
      overlays,
      outgoing: {tcp: true, udp: false},
      connect: async ({remote}) => (remote.port === 53 ? dns : {direct: true}),
    })
    expect(await program.finish()).toMatch(/^10\.20\.30\.40\s/)
  })
})
