// closing.mjs PORT URL: listens on the name localhost; after the first request it stops listening, fetches URL, prints what
// came and ends.
import {createServer} from 'node:http'

const [port, url] = process.argv.slice(2)
const server = createServer((request, response) => {
  response.setHeader('connection', 'close')
  response.end(JSON.stringify({who: `local at ${server.address().port}`}))
  server.close(async () => console.log(await (await fetch(url)).text()))
})
server.listen(Number(port), 'localhost', () => console.log('listening'))
