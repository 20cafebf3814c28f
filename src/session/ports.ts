import {readdirSync, readFileSync, readlinkSync} from 'node:fs'
import type {Listener} from '../trap/trap.ts'

/** How often the listening sockets of the tree are looked up; a port takes at most this long to be noticed. */
const INTERVAL_MS = 100

/** Told of listeners that appear and disappear. */
export interface PortWatcher {
  listen(listener: Listener): Promise<void>
  closed(id: number): void
}

/**
 * Finds the listening TCP sockets of a process tree in /proc (ruling R11: without interception nobody tells us). `root` is
 * the tree's first process; it is the subreaper of the others, so all of them descend from it.
 */
export function watchPorts(root: number, watcher: PortWatcher): {close(): void} {
  const known = new Map<string, number>()
  let next = 1
  const look = () => {
    const open = new Map([...treeOf(root)].flatMap((pid) => socketsOf(pid).map((inode) => [inode, pid] as const)))
    const listening = new Map(
      listeners(root)
        .filter(({inode}) => open.has(inode))
        .map((socket) => [socket.inode, socket]),
    )
    for (const [inode, id] of known) {
      if (listening.has(inode)) continue
      known.delete(inode)
      watcher.closed(id)
    }
    for (const [inode, {address, port}] of listening) {
      if (known.has(inode)) continue
      known.set(inode, next)
      const endpoint = {address, port}
      void watcher.listen({id: next++, pid: open.get(inode)!, asked: endpoint, actual: endpoint})
    }
  }
  const timer = setInterval(look, INTERVAL_MS)
  return {close: () => clearInterval(timer)}
}

/** All processes below `root`, itself included, from the children lists of proc_pid_task(5). */
function treeOf(root: number): Set<number> {
  const found = new Set([root])
  for (const pid of found) {
    for (const task of entries(`/proc/${pid}/task`)) {
      const children = text(`/proc/${pid}/task/${task}/children`)
      for (const child of children.split(' ').filter(Boolean)) found.add(Number(child))
    }
  }
  return found
}

function socketsOf(pid: number): string[] {
  return entries(`/proc/${pid}/fd`).flatMap((fd) => {
    try {
      return /^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/${pid}/fd/${fd}`))?.[1] ?? []
    } catch {
      return [] // closed meanwhile
    }
  })
}

/** Listening sockets of the network namespace (state 0A, proc_pid_net(5)). */
function listeners(pid: number): {inode: string; address: string; port: number}[] {
  return ['tcp', 'tcp6'].flatMap((table) =>
    text(`/proc/${pid}/net/${table}`)
      .split('\n')
      .flatMap((line) => {
        const fields = line.trim().split(/\s+/)
        const [address, port] = (fields[1] ?? '').split(':')
        if (fields[3] !== '0A' || !address || !port) return []
        return [{inode: fields[9]!, address: addressOf(address), port: Number.parseInt(port, 16)}]
      }),
  )
}

/** An address of /proc/net/tcp{,6}: 32-bit words in host order, so that bytes are swapped on little-endian machines. */
function addressOf(hex: string): string {
  const bytes = Buffer.from(hex, 'hex')
  for (let word = 0; word < bytes.length; word += 4) bytes.subarray(word, word + 4).reverse()
  if (bytes.length === 4) return bytes.join('.')
  if (bytes.subarray(0, 10).every((byte) => byte === 0) && bytes.readUInt16BE(10) === 0xff_ff)
    return bytes.subarray(12).join('.')
  const groups = Array.from({length: 8}, (_, index) => bytes.readUInt16BE(index * 2).toString(16))
  return groups.every((group) => group === '0') ? '::' : groups.join(':')
}

function entries(directory: string): string[] {
  try {
    return readdirSync(directory)
  } catch {
    return []
  }
}

function text(file: string): string {
  try {
    return readFileSync(file, 'latin1')
  } catch {
    return ''
  }
}
