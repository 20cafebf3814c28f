import {createSocket, type Socket} from 'node:dgram'
import {mkdtempSync, rmSync, writeFileSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {answer as dnsAnswer, failure, questionName} from './dns.ts'
import {afterAll, afterEach, beforeAll, describe, expect, it} from 'vitest'
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

describe('the C library', () => {
  /** Codes by name (RFC 1035, 4.1.1); other names have an address, but for one that is not answered. */
  const codes: Record<string, number> = {
    'none.test': 3,
    'failing.test': 2,
    'broken.test': 1,
    'refused.test': 5,
    'never.test': 4,
  }
  const asked: string[] = []
  const server = createSocket('udp4', (data, from) => {
    const name = questionName(data)
    asked.push(name)
    const code = codes[name]
    if (name === 'silent.test') return
    const reply = code === undefined ? dnsAnswer(data, '10.20.30.40') : failure(data, code)
    server.send(reply, from.port, from.address)
  })
  let at: Awaited<ReturnType<typeof bind>>
  beforeAll(async () => {
    writeFileSync(join(directory, 'once.conf'), 'nameserver 10.96.0.10\noptions timeout:1 attempts:1\n')
    at = await bind(server)
  })
  afterAll(() => server.close())
  const inPython = async (script: string) => {
    asked.length = 0
    const program = await run({
      program: python ?? '',
      arguments: ['-c', script],
      overlays: [{path: '/etc/resolv.conf', source: join(directory, 'once.conf')}],
      connect: async ({remote}) => (remote.port === 53 ? at : {direct: true}),
    })
    return {lines: (await program.finish()).trim().split('\n'), program}
  }

  it.skipIf(!python)('[DNS-08] asks nobody about addresses, with AI_NUMERICHOST and without', async () => {
    const {lines, program} = await inPython(`
import socket
for host, flags in (('192.0.2.7', socket.AI_NUMERICHOST), ('2001:db8::9', socket.AI_NUMERICHOST), ('192.0.2.8', 0), ('2001:db8::8', 0)):
    print(socket.getaddrinfo(host, 80, type=socket.SOCK_STREAM, flags=flags)[0][4][:2])
try: socket.getaddrinfo('name.test', 80, flags=socket.AI_NUMERICHOST)
except socket.gaierror as e: print(e.errno == socket.EAI_NONAME)
`)
    expect(lines).toEqual([
      "('192.0.2.7', 80)",
      "('2001:db8::9', 80)",
      "('192.0.2.8', 80)",
      "('2001:db8::8', 80)",
      'True',
    ])
    expect(asked).toEqual([])
    expect(program.connects).toEqual([])
  })

  it.skipIf(!python)('[DNS-11] tells no such name from a nameserver that fails, refuses or is silent', async () => {
    // What glibc makes of these codes without us, too.
    const {lines} = await inPython(`
import socket
for host in ('found.test', 'none.test', 'failing.test', 'broken.test', 'refused.test', 'never.test', 'silent.test'):
    try: print(host, socket.getaddrinfo(host, 80, socket.AF_INET)[0][4][0])
    except socket.gaierror as e: print(host, [n for n in dir(socket) if n.startswith('EAI_') and getattr(socket, n) == e.errno][0])
`)
    expect(lines).toEqual([
      'found.test 10.20.30.40',
      'none.test EAI_NONAME',
      'failing.test EAI_AGAIN',
      'broken.test EAI_NONAME',
      'refused.test EAI_AGAIN',
      'never.test EAI_AGAIN',
      'silent.test EAI_AGAIN',
    ])
    expect(new Set(asked)).toEqual(new Set(['found.test', ...Object.keys(codes), 'silent.test']))
  })

  it.skipIf(!which('sh'))('[PRC-08] serves Node that was started with its standard input closed', async () => {
    const script = `
process.stdin.on('error', () => {}).on('end', () => console.log('end of stdin')).resume()
require('dns').lookup('found.test', 4, (e, a) => {
  console.log(e ? e.code : a)
  require('dns').resolve4('found.test', (e, a) => console.log(e ? e.code : a[0]))
})`
    const program = await run({
      program: which('sh') ?? '',
      arguments: ['-c', 'exec "$0" -e "$1" <&-', process.execPath, script],
      overlays: [{path: '/etc/resolv.conf', source: join(directory, 'once.conf')}],
      connect: async ({remote}) => (remote.port === 53 ? at : {direct: true}),
    })
    const lines = (await program.finish()).trim().split('\n')
    expect(lines.sort()).toEqual(['10.20.30.40', '10.20.30.40', 'end of stdin'])
    expect(await program.trap.exited).toEqual({code: 0})
  })
})
