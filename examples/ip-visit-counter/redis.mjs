import {connect} from 'node:net'

/** A Redis client for commands whose answer is an integer: one connection, answers in the order of the commands. */
export class Redis {
  #waiting = []
  #socket

  constructor(address) {
    const [host, port] = address.split(':')
    this.host = host
    this.port = Number(port ?? 6379)
  }

  integer(...words) {
    return new Promise((resolve, reject) => {
      this.#socket ??= this.#open()
      this.#waiting.push({resolve, reject})
      this.#socket.write(
        `*${words.length}\r\n${words.map((word) => `$${Buffer.byteLength(word)}\r\n${word}\r\n`).join('')}`,
      )
    })
  }

  #open() {
    const socket = connect(this.port, this.host)
    let text = ''
    socket.on('data', (chunk) => {
      text += chunk
      for (let end; (end = text.indexOf('\r\n')) >= 0; text = text.slice(end + 2)) {
        const answer = text.slice(0, end)
        const {resolve, reject} = this.#waiting.shift()
        if (answer.startsWith(':')) resolve(Number(answer.slice(1)))
        else reject(new Error(`Redis answered ${answer}`))
      }
    })
    const lost = (error) => {
      if (this.#socket === socket) this.#socket = undefined
      for (const {reject} of this.#waiting.splice(0)) reject(error ?? new Error('Redis closed the connection'))
    }
    socket.on('error', lost)
    socket.on('close', () => lost())
    return socket
  }
}
