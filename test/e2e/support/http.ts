import http from 'node:http'

/** One answer to one request on a connection of its own. */
export interface Answer {
  status: number
  body: string
  /** The address from which the request was sent. */
  from: string
}

/** Sends one GET, or a POST when there is a body. Errors: those of the connection, and a timeout. */
export function request(url: string, {body, timeout = 5000}: {body?: string; timeout?: number} = {}): Promise<Answer> {
  return new Promise((resolve, reject) => {
    let from = ''
    const outgoing = http.request(
      url,
      {method: body === undefined ? 'GET' : 'POST', agent: false, timeout},
      (response) => {
        let text = ''
        response.setEncoding('utf8')
        response.on('data', (chunk: string) => {
          text += chunk
        })
        response.on('end', () => resolve({status: response.statusCode ?? 0, body: text, from}))
        response.on('error', reject)
      },
    )
    outgoing.on('socket', (socket) =>
      socket.once('connect', () => {
        from = socket.localAddress ?? ''
      }),
    )
    outgoing.on('timeout', () => outgoing.destroy(new Error(`No answer of ${url} within ${timeout} ms`)))
    outgoing.on('error', reject)
    outgoing.end(body)
  })
}
