// Says in one line what an address tells about itself. The visit counter asks it by its cluster name.
import {createServer} from 'node:http'
import {BlockList, isIP} from 'node:net'

const local = new BlockList()
for (const [network, bits] of [
  ['10.0.0.0', 8],
  ['127.0.0.0', 8],
  ['172.16.0.0', 12],
  ['192.168.0.0', 16],
  ['100.64.0.0', 10],
]) {
  local.addSubnet(network, bits, 'ipv4')
}
local.addSubnet('fc00::', 7, 'ipv6')

function describe(address) {
  const version = isIP(address)
  if (version === 0) return `${address} is no address`
  const kind = local.check(address, version === 6 ? 'ipv6' : 'ipv4') ? 'a private' : 'a public'
  return `${address} is ${kind} IPv${version} address`
}

createServer((request, response) => {
  const address = new URL(request.url, 'http://ip-info').searchParams.get('address') ?? ''
  response.end(`${describe(address)}\n`)
}).listen(Number(process.env.LISTEN_PORT ?? 8080))

process.on('SIGTERM', () => process.exit(0))
