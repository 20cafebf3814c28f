// local.mjs PORT URL: answers with the text of URL, its LD_PRELOAD, and the libraries of this name that it has loaded.
import {readFileSync} from 'node:fs'
import {createServer} from 'node:http'

const [port, url] = process.argv.slice(2)
const {LD_PRELOAD: preload = ''} = process.env
createServer(async (request, response) => {
  const maps = readFileSync('/proc/self/maps', 'utf8')
  const text = await (await fetch(url)).text().catch(String)
  response.end(JSON.stringify({who: 'local', text, preload, loaded: preload !== '' && maps.includes(preload)}))
}).listen(Number(port), '127.0.0.1')
