import {chmodSync} from 'node:fs'
import net from 'node:net'
import type {ErrorReport} from '../errors/mirrord-error.ts'
import {readLines, writeLine} from '../util/json-lines.ts'
import {delay, within} from '../util/time.ts'
import type {LiveFigures, SessionRecord} from './state.ts'

/** A client that does not read its answer for this long is dropped. */
const CLOSE_MS = 1000

/** What another command asks of a running session. */
export type ControlRequest =
  | {type: 'status'}
  /** The record now and after each change, until the session ends. */
  | {type: 'watch'}
  /** `signal` is the first one to the program's tree; SIGTERM when it is not said. */
  | {type: 'stop'; graceMs: number; signal?: NodeJS.Signals}
  /** A stop that is under way may take no longer than this from now on. */
  | {type: 'hurry'; graceMs: number}

/**
 * What the session answers. `stopped` comes when everything is gone; the session's process ends right after it. Requests and
 * fields are only ever added: a session does not answer a request that it does not know, and both sides ignore unknown fields,
 * so that one version's commands can stop another's sessions.
 */
export type ControlReply = {type: 'status'; record: SessionRecord; live?: LiveFigures} | ({type: 'stopped'} & LastWord)

/** What a session that has ended tells those that stopped it: it may have removed its directory by then. */
export interface LastWord {
  failure?: ErrorReport
  /** What it could not undo, and who does. */
  warnings?: readonly string[]
  /** Its `report.json`. */
  report?: string
}

/** The session's side of the control socket. */
export interface ControlHandlers {
  status(): {record: SessionRecord; live?: LiveFigures}
  /** Tells the record now and after each change; returns what ends that. */
  watch(tell: (record: SessionRecord) => void): () => void
  /** Resolves when the session has ended. */
  stop(graceMs: number, signal?: NodeJS.Signals): Promise<LastWord>
  hurry(graceMs: number): void
}

/** Serves the control socket; connections of other users are refused by the directory's and the socket's mode. */
export async function serveControl(socketPath: string, handlers: ControlHandlers): Promise<{close(): Promise<void>}> {
  const connections = new Set<net.Socket>()
  const server = net.createServer((socket) => {
    connections.add(socket)
    socket.on('close', () => connections.delete(socket))
    readLines<ControlRequest | null>(
      socket,
      (request) => {
        switch (request?.type) {
          case 'status':
            return writeLine(socket, {type: 'status', ...handlers.status()} satisfies ControlReply)
          case 'watch':
            socket.once(
              'close',
              handlers.watch((record) => writeLine(socket, {type: 'status', record} satisfies ControlReply)),
            )
            return
          case 'hurry':
            return handlers.hurry(request.graceMs)
          case 'stop':
            handlers.stop(request.graceMs, request.signal).then(
              (word) => socket.end(`${JSON.stringify({type: 'stopped', ...word} satisfies ControlReply)}\n`),
              () => socket.destroy(),
            )
        }
      },
      () => socket.end(),
    )
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(socketPath, resolve)
  })
  chmodSync(socketPath, 0o600)
  return {
    /** Lets answers that are on their way reach their clients, for at most a second. */
    async close() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()))
      // The answers to `stop` are written by promise reactions that are queued already; they run before this one.
      await delay(0)
      for (const socket of connections) socket.end()
      await within(CLOSE_MS, closed)
      for (const socket of connections) socket.destroy()
    },
  }
}

/** A client of one session's control socket. Errors: those of connect(2), ENOENT and ECONNREFUSED when nobody serves it. */
export async function connectControl(
  socketPath: string,
  handlers: {reply(reply: ControlReply): void; closed(): void},
): Promise<{send(request: ControlRequest): void; close(): void}> {
  const socket = net.connect(socketPath)
  await new Promise<void>((resolve, reject) => {
    socket.once('error', reject)
    socket.once('connect', resolve)
  })
  readLines<ControlReply>(socket, handlers.reply, handlers.closed)
  return {send: (request) => writeLine(socket, request), close: () => socket.destroy()}
}
