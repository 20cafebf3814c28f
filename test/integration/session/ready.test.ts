import {
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
  appendFileSync,
  renameSync,
} from 'node:fs'
import http from 'node:http'
import net from 'node:net'
import path from 'node:path'
import {setTimeout as pause} from 'node:timers/promises'
import {afterEach, beforeAll, beforeEach, describe, expect, it} from 'vitest'
import {parseHttp, parseTcp} from '../../../src/config/ready.ts'
import {execProbe} from '../../../src/session/ready/exec.ts'
import {httpProbe} from '../../../src/session/ready/http.ts'
import {Listeners} from '../../../src/session/ready/listeners.ts'
import {listeningProbe} from '../../../src/session/ready/listening.ts'
import {logProbe} from '../../../src/session/ready/log.ts'
import type {Probe} from '../../../src/session/ready/probe.ts'
import {tcpProbe} from '../../../src/session/ready/tcp.ts'
import {NotReadyInTime, waitUntilReady} from '../../../src/session/ready/wait.ts'
import {hasIPv6} from '../proxy/sockets.ts'
import {buildTrap, trapPath} from '../trap/harness.ts'

let folder: string
let listeners: Listeners
const open: (net.Server | http.Server)[] = []
beforeAll(buildTrap)
beforeEach(() => {
  folder = mkdtempSync('/tmp/mirrord-ready-')
  listeners = new Listeners()
})
afterEach(() => {
  for (const server of open.splice(0)) server.close()
  rmSync(folder, {recursive: true, force: true})
})

/** Waits for one probe; `told` collects why its attempts failed. */
function wait(probes: Probe | Probe[], timeoutMs?: number) {
  const told: (string | undefined)[] = []
  const stop = new AbortController()
  const result = waitUntilReady([probes].flat(), {
    timeoutMs,
    signal: stop.signal,
    waiting: (unmet) => void told.push(...unmet.map(({failure}) => failure)),
  })
  result.catch(() => {}) // looked at by the test, later
  return {result, told, stop}
}

async function until(what: string, check: () => boolean): Promise<void> {
  const deadline = Date.now() + 15_000
  while (!check()) {
    if (Date.now() > deadline) throw new Error(`${what} did not come`)
    await pause(10)
  }
}

let id = 0
/** Serves as the program does that believes to have `asked`. */
async function serve(server: net.Server | http.Server, asked: number, host = '127.0.0.1', seen = host) {
  open.push(server)
  await new Promise<void>((resolve) => server.listen(0, host, resolve))
  const {port} = server.address() as net.AddressInfo
  const listener = {id: ++id, pid: 1, asked: {address: seen, port: asked}, actual: {address: seen, port}}
  listeners.add(listener, true)
  return {port, listener}
}
const accepting = () => net.createServer((socket) => socket.on('error', () => {}).resume())
const answering = (handler: http.RequestListener) => http.createServer(handler)

describe('a port', () => {
  it('is that of the program, also where it was moved to another one', async () => {
    await serve(accepting(), 8080)
    expect(await wait(tcpProbe(parseTcp('8080'), listeners)).result).toEqual(['port 8080 accepts connections'])
  })

  it('of another process of this machine does not count', async () => {
    const other = accepting()
    open.push(other)
    await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve))
    const {port} = other.address() as net.AddressInfo
    await serve(accepting(), 1)
    const {result} = wait(tcpProbe({host: 'localhost', port}, listeners), 300)
    await expect(result).rejects.toThrow(`the program does not listen on port ${port} (it listens on 1)`)
  })

  it('is found when it comes, closes and comes again', async () => {
    const first = await serve(accepting(), 8080)
    listeners.remove(first.listener.id)
    const {result, told} = wait(tcpProbe(parseTcp('8080'), listeners))
    await until('an attempt', () => told.length > 0)
    expect(told[0]).toContain('does not listen on port 8080')
    await serve(accepting(), 8080)
    await result
  })

  it('that refuses says where', async () => {
    const {port} = await serve(accepting(), 8080)
    open.pop()!.close()
    await expect(wait(tcpProbe(parseTcp('8080'), listeners), 300).result).rejects.toThrow(
      `ECONNREFUSED at 127.0.0.1:${port}`,
    )
  })

  it.skipIf(!hasIPv6)('is found on IPv6 where the program listens on :: for IPv6 alone', async () => {
    const server = accepting()
    open.push(server)
    await new Promise<void>((resolve) => server.listen({host: '::', port: 0, ipv6Only: true}, resolve))
    const {port} = server.address() as net.AddressInfo
    listeners.add({id: 1, pid: 1, asked: {address: '::', port: 8080}, actual: {address: '::', port}}, true)
    for (const text of ['8080', '127.0.0.1:8080', '[::1]:8080'])
      expect(await wait(tcpProbe(parseTcp(text), listeners)).result).toHaveLength(1)
  })
})

describe('a URL', () => {
  it('answers with any 2xx or 3xx, is asked under its own name, and is not redirected', async () => {
    const asked: string[] = []
    await serve(
      answering((request, response) => {
        asked.push(`${request.method} ${request.headers.host} ${request.url}`)
        response.writeHead(302, {location: '/elsewhere'}).end()
      }),
      8080,
    )
    const seen = await wait(httpProbe(parseHttp('http://localhost:8080/health?token=secret'), listeners)).result
    expect(seen).toEqual(['GET http://localhost:8080/health?… answered 302'])
    expect(asked).toEqual(['GET localhost:8080 /health?token=secret'])
  })

  it('is asked until its status is the expected one', async () => {
    let status = 503
    await serve(
      answering((_, response) => response.writeHead(status).end()),
      8080,
    )
    const {result, told} = wait(httpProbe(parseHttp(':8080/=204'), listeners))
    await until('an attempt', () => told.length > 0)
    expect(told[0]).toBe('it answered 503, expected 204')
    status = 204
    expect(await result).toEqual(['GET http://localhost:8080/ answered 204'])
  })

  it('that is not HTTP, or has no certificate to speak TLS with, is not ready', async () => {
    await serve(
      net.createServer((socket) => socket.on('error', () => {}).end('SSH-2.0-x\r\n')),
      8080,
    )
    await expect(wait(httpProbe(parseHttp(':8080/'), listeners), 300).result).rejects.toThrow(/HPE_INVALID|ECONNRESET/)
    await expect(wait(httpProbe(parseHttp('https://localhost:8080/'), listeners), 300).result).rejects.toThrow(/at 127/)
  })
})

describe('a line of output', () => {
  const write = (name: string, text: string) => appendFileSync(path.join(folder, name), text)
  beforeEach(() => {
    write('stdout', '')
    write('stderr', '')
  })

  it.each(['stdout', 'stderr'])('on %s counts when it was there before', async (stream) => {
    write(stream, 'first\n\u001B[32mready\u001B[0m in 3 ms\r\n')
    expect(await wait(logProbe('^ready in \\d+ ms$', folder)).result).toEqual(['a line matches /^ready in \\d+ ms$/'])
  })

  it('counts when it comes, in pieces and without its end', async () => {
    const {result, told} = wait(logProbe('(?i)LISTENING on é$', folder))
    write('stdout', 'nothing\n')
    await until('the first line', () => told.includes('no line matched so far'))
    const bytes = Buffer.from('listening on é')
    for (const byte of bytes) appendFileSync(path.join(folder, 'stdout'), Buffer.of(byte))
    await result
  })

  it('is found in files that are cut off or replaced', async () => {
    for (const [pattern, change] of [
      ['after the cut', (file: string) => truncateSync(file)],
      ['after the move', (file: string) => renameSync(file, `${file}.1`)],
    ] as const) {
      const {result, told} = wait(logProbe(pattern, folder))
      write('stdout', 'some text that is longer than the next line\n')
      await until('the first line', () => told.includes('no line matched so far'))
      change(path.join(folder, 'stdout'))
      write('stdout', `${pattern}\n`)
      await result
    }
  })

  it('among a million is found', async () => {
    writeFileSync(path.join(folder, 'stdout'), `${'noise noise noise noise\n'.repeat(1_000_000)}ready\n`)
    await wait(logProbe('^ready$', folder)).result
  })
})

describe('a command', () => {
  const place = () => ({trapPath, cwd: folder, environment: {PATH: process.env.PATH!, MARK: folder}, directory: folder})
  /** Processes whose environment names this test's folder. */
  const running = () =>
    readdirSync('/proc').filter((name) => {
      try {
        return /^\d+$/.test(name) && readFileSync(`/proc/${name}/environ`, 'latin1').includes(`MARK=${folder}\0`)
      } catch {
        return false
      }
    })

  /** Empty for a process that is gone, or that has given up its memory on its way out. */
  const commandOf = (pid: string) => {
    try {
      return readFileSync(`/proc/${pid}/cmdline`, 'latin1').split('\0')[0]
    } catch {
      return ''
    }
  }
  /** The trap closes its socket as the last thing that it does: its own processes may still be on their way out then. */
  const nothingRuns = async () => {
    const commands = running().map(commandOf)
    expect(commands.filter((command) => command !== '' && command !== 'mirrord-trap')).toEqual([])
    await until('the end of the trap', () => running().length === 0)
  }

  it('is repeated until it succeeds, in the place and with the environment of the program', async () => {
    await serve(accepting(), 8080)
    const probe = execProbe('echo "$MARK $MIRRORD_PORT_8080 $(pwd)"; test -e go', place(), listeners)
    const {result, told} = wait(probe)
    await until('an attempt', () => told.length > 0)
    expect(told[0]).toBe(`it exited with status 1: ${folder} ${(open[0]!.address() as net.AddressInfo).port} ${folder}`)
    writeFileSync(path.join(folder, 'go'), '')
    await result
    expect(readdirSync(folder)).toEqual(['go'])
  })

  it('is ended with all that it started, when it succeeds and when it is given up', async () => {
    const daemon = 'setsid sleep 1000 </dev/null >/dev/null 2>&1 &'
    await wait(execProbe(daemon, place(), listeners)).result
    await nothingRuns()
    const {result, stop} = wait(execProbe(`${daemon} sleep 1000`, place(), listeners))
    await until('the command', () => running().length >= 3)
    stop.abort(new Error('given up'))
    await expect(result).rejects.toThrow('given up')
    await nothingRuns()
    expect(readdirSync(folder)).toEqual([])
  })
})

describe('several probes', () => {
  const never: Probe = {
    label: 'the end of time',
    hints: ['wait'],
    wait: (signal) =>
      new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error))),
  }
  const now: Probe = {label: 'now', hints: [], wait: async () => 'it is now'}

  it('must all succeed, and those that do not are named', async () => {
    const error = await wait([now, never], 50).result.catch((error: unknown) => error)
    expect(error).toBeInstanceOf(NotReadyInTime)
    expect((error as NotReadyInTime).unmet).toEqual([{label: 'the end of time', hints: ['wait']}])
    expect(await wait([now, now]).result).toEqual(['it is now', 'it is now'])
  })

  it('end with the first that breaks', async () => {
    const broken: Probe = {label: 'broken', hints: [], wait: () => Promise.reject(new Error('a defect'))}
    await expect(wait([never, broken]).result).rejects.toThrow('a defect')
  })
})

describe('listening', () => {
  it('means a port whose traffic arrives here, where traffic is stolen', async () => {
    const listener = {id: 1, pid: 1, asked: {address: '::', port: 9229}, actual: {address: '::', port: 9229}}
    listeners.add(listener, false)
    expect(await wait(listeningProbe(listeners, false)).result).toEqual(['it listens on 9229'])
    const {result, told} = wait(listeningProbe(listeners, true))
    await until('its word', () => told.length > 0)
    expect(told).toEqual(['it listens on 9229 only, whose traffic is not taken'])
    listeners.add({...listener, id: 2, asked: {address: '::', port: 80}}, true)
    expect(await result).toEqual(['it listens on 80'])
  })
})
