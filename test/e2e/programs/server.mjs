// server.mjs PORT NAME: the program of the end-to-end tests for Node. What the four programs answer is the same:
//   GET /           who answers, a variable of the pod, the peer's address, how many bytes the body had
//   GET /ask/HOST   the addresses of HOST, and what http://HOST/ answers
//   GET /exit/N     the process ends with status N
import {lookup} from 'node:dns/promises'
import {createServer} from 'node:http'

const [port, who] = process.argv.slice(2)

async function answer(request, bytes) {
  const [, verb, word] = request.url.split('/')
  if (verb === 'exit') process.exit(Number(word))
  if (verb === 'ask') {
    const found = await lookup(word, {all: true, family: 4})
    const text = await (await fetch(`http://${word}/`)).text()
    return {who, addresses: found.map(({address}) => address), answer: text}
  }
  const peer = request.socket.remoteAddress.replace(/^::ffff:/, '')
  return {who, fromPod: process.env.FROM_POD ?? '', peer, bytes}
}

createServer(async (request, response) => {
  let bytes = 0
  for await (const chunk of request) bytes += chunk.length
  response.end(
    JSON.stringify(await answer(request, bytes).catch((error) => ({who, error: String(error.cause ?? error)}))),
  )
}).listen(Number(port), () => console.log(`${who} listens on ${port}`))
