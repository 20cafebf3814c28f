// Counts the visits of each client address in Redis and asks the service ip-info what it knows about the address.
// The word after the file name says in the answers who gives them; the deployed one is started with `deployed`.
import {createServer} from 'node:http'
import {Redis} from './redis.mjs'

const instance = process.argv[2] ?? 'local'
const redis = new Redis(process.env.REDIS_ADDRESS ?? 'redis:6379')
const infoUrl = process.env.INFO_URL ?? 'http://ip-info'

async function visit(address) {
  const [visits, answer] = await Promise.all([
    redis.integer('INCR', `visits:${address}`),
    fetch(`${infoUrl}/?address=${encodeURIComponent(address)}`),
  ])
  const info = (await answer.text()).trim()
  return {address, visits, info, release: process.env.RELEASE ?? 'unknown', instance, runtime: 'node'}
}

const server = createServer(async (request, response) => {
  const send = (status, body) => {
    response.writeHead(status, {'content-type': 'application/json'})
    response.end(`${JSON.stringify(body)}\n`)
  }
  if (request.url === '/health') return send(200, {ok: true})
  try {
    send(200, await visit(request.socket.remoteAddress.replace(/^::ffff:/, '')))
  } catch (error) {
    send(502, {error: error.cause?.message ?? error.message, instance})
  }
})

server.listen(Number(process.env.LISTEN_PORT ?? 8080), () => {
  console.log(`ip-visit-counter (${instance}) listens on ${server.address().port}`)
})

process.on('SIGTERM', () => process.exit(0))
