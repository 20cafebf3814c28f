import {spawn, type ChildProcess} from 'node:child_process'
import {setTimeout as delay} from 'node:timers/promises'
import {afterEach, describe, expect, it} from 'vitest'
import {watchPorts} from '../../../src/session/ports.ts'
import type {Listener} from '../../../src/trap/types.ts'
import {hasIPv6} from '../proxy/sockets.ts'

const running: {child: ChildProcess; watch: {close(): void}}[] = []
afterEach(() => {
  for (const {child, watch} of running.splice(0)) {
    watch.close()
    try {
      process.kill(-child.pid!, 'SIGKILL')
    } catch {
      // every process of the group has ended
    }
  }
})

/** A shell script whose listeners are watched. `node` in it is this node; each of its listeners ends with its stdin. */
function watched(script: string) {
  const child = spawn('/bin/sh', ['-c', script], {
    env: {PATH: process.env.PATH, node: process.execPath},
    stdio: ['pipe', 'ignore', 'inherit'],
    detached: true, // a process group of its own, so that all of it can be ended
  })
  const open = new Map<number, Listener>()
  const watch = watchPorts(child.pid!, {
    listen: async (listener) => void open.set(listener.id, listener),
    closed: (id) => void open.delete(id),
  })
  running.push({child, watch})
  return {child, open, addresses: () => [...open.values()].map(({actual}) => actual.address).sort()}
}

const listen = (host: string) =>
  `"$node" -e 'const s=require("net").createServer().listen(0,"${host}");process.stdin.resume();process.stdin.on("data",()=>s.close())'`

async function until(what: string, check: () => boolean): Promise<void> {
  const deadline = Date.now() + 15_000
  while (!check()) {
    if (Date.now() > deadline) throw new Error(`${what} did not come`)
    await delay(10)
  }
}

describe('the ports of a tree', () => {
  it('are found in the process itself and closed again', async () => {
    const {child, open} = watched(`exec ${listen('127.0.0.1')}`)
    await until('the listener', () => open.size === 1)
    const [{asked, actual, pid}] = [...open.values()] as [Listener]
    expect(actual.address).toBe('127.0.0.1')
    expect(actual.port).toBeGreaterThan(0)
    expect([asked, pid]).toEqual([actual, child.pid])
    child.stdin.write('close\n')
    await until('the end of the listener', () => open.size === 0)
    expect(child.exitCode).toBeNull()
  })

  it('are found in children and grandchildren, and are gone with them', async () => {
    const {child, open, addresses} = watched(`${listen('0.0.0.0')} & (${listen('127.0.0.5')}; true)`)
    await until('both listeners', () => open.size === 2)
    expect(addresses()).toEqual(['0.0.0.0', '127.0.0.5'])
    expect([...open.values()].every(({pid}) => pid !== child.pid)).toBe(true)
    child.stdin.end('close\n')
    child.stdin.destroy()
    await until('their end', () => open.size < 2)
  })

  it.skipIf(!hasIPv6)('are found on IPv6', async () => {
    const {open, addresses} = watched(`${listen('::')} & ${listen('::1')} & wait`)
    await until('both listeners', () => open.size === 2)
    expect(addresses()).toEqual(['0:0:0:0:0:0:0:1', '::'])
  })

  it('of other processes are not taken', async () => {
    const other = watched(`exec ${listen('127.0.0.1')}`)
    const {open} = watched(`exec ${listen('127.0.0.6')}`)
    await until('both listeners', () => open.size === 1 && other.open.size === 1)
    expect([...open.values()].map(({actual}) => actual.address)).toEqual(['127.0.0.6'])
  })
})
