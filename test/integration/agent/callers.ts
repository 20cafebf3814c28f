// Calls a port of some addresses without a pause, and says which calls had neither an answer nor an error in time.
import {connect} from 'node:net'

const [port, ...hosts] = process.argv.slice(2)
/** A lost SYN is sent again after one second, then after two. */
const patience = 6000
const seen = new Set<string>()
let stopping = false
let answers = 0

/** One call: connects, asks, reads the first answer. */
function call(host: string): Promise<void> {
  return new Promise((resolve) => {
    const began = Date.now()
    const socket = connect({host, port: Number(port), noDelay: true})
    let state = 'connecting'
    const timer = setTimeout(() => {
      process.stdout.write(`hung ${state} to ${host} from ${socket.localPort}, begun at ${began}\n`)
      socket.destroy()
    }, patience)
    socket.once('connect', () => {
      state = 'connected'
      socket.write('x')
    })
    socket.once('data', (data) => {
      const who = data.toString().split(':')[0]!
      if (!seen.has(who)) process.stdout.write(`answered by ${who}\n`)
      seen.add(who)
      answers++
      // A reset: thousands of calls in TIME_WAIT would leave no port to call from.
      socket.resetAndDestroy()
    })
    socket.on('error', () => {})
    socket.on('end', () => socket.destroy())
    socket.once('close', () => {
      clearTimeout(timer)
      resolve()
    })
  })
}

async function caller(host: string): Promise<void> {
  while (!stopping) await call(host)
}

process.on('SIGTERM', () => {
  stopping = true
})
const progress = setInterval(() => {
  if (answers > 0) process.stdout.write(`${answers} answers\n`)
  answers = 0
}, 50)
await Promise.all(hosts.flatMap((host) => [caller(host), caller(host)]))
clearInterval(progress)
