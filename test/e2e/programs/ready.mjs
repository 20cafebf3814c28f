// A server that is up before it is ready: PORT, then a folder; it is ready (204, a line on stderr) when the file `go` is there.
import {existsSync, watch} from 'node:fs'
import http from 'node:http'

const [port, folder] = process.argv.slice(2)
let ready = false
const look = () => {
  if (ready || !existsSync(`${folder}/go`)) return
  ready = true
  console.error('\u001B[32mready\u001B[0m to serve')
}
watch(folder, look)
look()
http
  .createServer((request, response) => {
    if (request.url === '/health') console.log('asked for its health')
    response.writeHead(ready ? 204 : 503).end()
  })
  .listen(Number(port), () => console.log(`listens on ${port}`))
