#!/usr/local/bin/node
// Stands in for the agent in tests of src/kube: same command line and ready line, its own tiny protocol. The log level
// that the Job passes chooses what it does, because a Job's command is fixed. Built into an image by
//   ENTRYPOINT='["/mirrord-agent"]' <cluster>/image rootfs localhost/stand-in-agent:1 -- <node>:/usr/local/bin/node test/integration/kube/stand-in-agent.mjs:/mirrord-agent
import net from 'node:net'

const port = Number(process.argv[process.argv.indexOf('-l') + 1])
const mode = process.env.RUST_LOG
process.on('SIGTERM', () => process.exit(0))

// The first byte of a connection chooses: e echo, s<megabytes>\n source, k sink that never reads on.
function serve(socket) {
  socket.on('error', () => {})
  socket.once('data', (first) => {
    const kind = String.fromCharCode(first[0])
    if (kind === 'e') {
      socket.write(first)
      socket.pipe(socket)
    } else if (kind === 's') {
      const chunk = Buffer.alloc(65536, 7)
      let left = Number(first.subarray(1).toString()) * 16
      const more = () => {
        while (left > 0) {
          left--
          if (!socket.write(chunk)) return socket.once('drain', more)
        }
        socket.end()
      }
      more()
    } else {
      socket.write('k')
      socket.pause()
    }
  })
}

if (mode === 'die') {
  console.log('starting')
  console.error('cannot find the container runtime')
  process.exit(3)
} else if (mode === 'dirty') {
  console.log('Detected dirty iptables: chains of another agent')
  process.exit(1)
} else if (mode === 'mute') {
  console.log('waiting for ever')
  setInterval(() => {}, 1000)
} else {
  net.createServer({noDelay: true}, serve).listen(port, '::', () => console.log('agent ready - version 3.250.0'))
}
