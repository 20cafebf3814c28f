import {bodyOf, HttpMessages, type Body} from './http-messages.ts'
import type {TrafficObserver} from './observer.ts'

/** Requests of one connection that wait for their answers; clients that pipeline more than this are not followed. */
const MAX_PENDING = 128
/** A token (RFC 9110 5.6.2) of a method's usual length. */
const METHOD = "[!#$%&'*+.^_`|~\\w-]{1,24}"
const REQUEST_LINE = new RegExp(`^(${METHOD}) (\\S+) HTTP/1\\.[01]$`)
/** The beginning of a request line, however little of it is there. */
const REQUEST_START = new RegExp(`^${METHOD}(?: |$)`)
const RESPONSE_START = 'HTTP/1.'
const STATUS_LINE = /^HTTP\/1\.[01] ([1-5]\d\d)(?: |\r\n|$)/

interface Pending {
  method: string
  path: string
  began: number
}

/**
 * Tells of the requests of one raw connection by looking at its bytes in passing: they are neither kept nor changed. What is
 * not HTTP/1 (TLS, HTTP/2, an upgraded connection, anything malformed) is given up for good. No parser of a library fits:
 * Node's own is not public, http-parser-js keeps all headers and hands over every piece of a body.
 */
export class HttpWatch {
  readonly #port: number
  readonly #observer: TrafficObserver
  readonly #requests: HttpMessages
  readonly #responses: HttpMessages
  #pending: Pending[] = []
  #over = false

  constructor(port: number, observer: TrafficObserver) {
    this.#port = port
    this.#observer = observer
    this.#requests = new HttpMessages({begins: (start) => REQUEST_START.test(start), head: (text) => this.#asked(text)})
    this.#responses = new HttpMessages({
      begins: (start) => start.startsWith(RESPONSE_START.slice(0, start.length)),
      head: (text) => this.#answered(text),
    })
  }

  /** Bytes on their way to the program. */
  toProgram(bytes: Uint8Array): void {
    if (!this.#over && !this.#requests.push(bytes)) this.#giveUp()
  }

  /** Bytes of the program. */
  fromProgram(bytes: Uint8Array): void {
    if (!this.#over && !this.#responses.push(bytes)) this.#giveUp()
  }

  /** The connection has ended: what waits for an answer gets none. */
  end(): void {
    const pending = this.#pending
    this.#giveUp()
    for (const request of pending) this.#tell(request)
  }

  #giveUp(): void {
    this.#over = true
    this.#pending = []
  }

  #asked(head: string): Body {
    const [, method, path] = REQUEST_LINE.exec(firstLine(head)) ?? []
    if (method === undefined || path === undefined || this.#pending.length >= MAX_PENDING) return 'unknown'
    this.#pending.push({method, path, began: performance.now()})
    return bodyOf(head, 0)
  }

  #answered(head: string): Body {
    const status = Number(STATUS_LINE.exec(head)?.[1] ?? 0)
    const [request] = this.#pending
    if (status === 0 || !request) return 'unknown'
    if (status < 200 && status !== 101) return 0 // another answer follows
    this.#pending.shift()
    this.#tell(request, status)
    if (status === 101 || (request.method === 'CONNECT' && status < 300)) return 'unknown'
    return request.method === 'HEAD' || status === 204 || status === 304 ? 0 : bodyOf(head, 'rest')
  }

  #tell({method, path, began}: Pending, status?: number): void {
    this.#observer.request({port: this.#port, method, path, stolen: true, status, ms: performance.now() - began})
  }
}

function firstLine(head: string): string {
  const end = head.indexOf('\r\n')
  return end === -1 ? head : head.slice(0, end)
}
