import type {ChildProcess} from 'node:child_process'
import {join} from 'node:path'
import type {Socket} from 'node:net'

import type {Machine} from './machine.ts'

interface Answer {
  id: number
  error?: string
}

/**
 * Connects to ports on a pod's loopback. One helper process per pod, started at the first connection, connects inside the
 * pod's network namespace and passes the sockets over: their bytes then never touch the helper.
 */
export class Dialer {
  private readonly machine: Machine
  private readonly helpers = new Map<number, {child: ChildProcess; ready: Promise<void>}>()
  private readonly waiting = new Map<number, {resolve: (socket: Socket) => void; reject: (error: Error) => void}>()
  private counter = 0

  constructor(machine: Machine) {
    this.machine = machine
  }

  private helper(pod: number): {child: ChildProcess; ready: Promise<void>} {
    const known = this.helpers.get(pod)
    if (known) return known
    const child = this.machine.spawn(
      [process.execPath, '--no-warnings', join(import.meta.dirname, 'dial-helper.ts')],
      {stdio: ['ignore', 'ignore', 'ignore', 'ipc']},
      {pod},
    )
    const pending = new Set<number>()
    const ready = new Promise<void>((resolve, reject) => {
      child.on('message', (message, socket) => {
        const {id, error} = message as Answer
        if (id === 0) return resolve()
        const call = this.waiting.get(id)
        this.waiting.delete(id)
        pending.delete(id)
        if (call && socket) call.resolve(socket as Socket)
        else call?.reject(new Error(error ?? 'no socket'))
      })
      child.on('close', () => {
        if (this.helpers.get(pod)?.child === child) this.helpers.delete(pod)
        reject(new Error('the pod has ended'))
        for (const id of pending) this.waiting.get(id)?.reject(new Error('the pod has ended'))
      })
      child.on('error', reject)
    })
    ready.catch(() => {})
    const entry = {child, ready, pending}
    this.helpers.set(pod, entry)
    return entry
  }

  /** A connected socket, paused, to 127.0.0.1 (or ::1) of the pod that process `pod` holds. Rejects when refused. */
  async dial(pod: number, port: number): Promise<Socket> {
    const {child, ready} = this.helper(pod)
    await ready
    const id = ++this.counter
    return new Promise((resolve, reject) => {
      this.waiting.set(id, {resolve, reject})
      child.send({id, port}, (error) => {
        if (!error) return
        this.waiting.delete(id)
        reject(error)
      })
    })
  }

  /** Ends the helper of a pod. */
  forget(pod: number): void {
    this.helpers.get(pod)?.child.disconnect()
    this.helpers.delete(pod)
  }

  /** Ends all helpers. */
  close(): void {
    for (const pod of [...this.helpers.keys()]) this.forget(pod)
  }
}
