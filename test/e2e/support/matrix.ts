/** What the matrix meets in the cluster: the target `matrix` with its files, and `matrix-echo`, which it talks to. */

/** Answers `pong` and the peer's address, on TCP 9001 and UDP 9002. */
const echo = `
const net = require('net'), dgram = require('dgram')
const plain = (address) => address.replace('::ffff:', '')
net.createServer((socket) => {
  socket.on('error', () => {})
  socket.once('data', () => socket.end('pong ' + plain(socket.remoteAddress) + '\\n'))
}).listen(9001, '::')
const udp = dgram.createSocket('udp6')
udp.on('message', (data, from) => udp.send('pong ' + plain(from.address), from.port, from.address))
udp.bind(9002, '::')
process.on('SIGTERM', () => process.exit(0))
`
const target = `${echo}
const fs = require('fs'), http = require('http')
const root = '/srv/mirrord-matrix'
fs.mkdirSync(root + '/list/c', {recursive: true})
fs.mkdirSync(root + '/written', {recursive: true})
fs.writeFileSync(root + '/list/a', '')
fs.writeFileSync(root + '/list/b', '')
fs.writeFileSync(root + '/text', 'remote text\\n')
fs.chmodSync(root + '/text', 0o640)
http.createServer((request, response) => {
  try {
    response.end(fs.readFileSync(request.url))
  } catch (error) {
    response.statusCode = 404
    response.end(error.message)
  }
}).listen(9003, '::')
http.createServer((request, response) => response.end('deployed')).listen(8080, '::')
`
const deployment = (name: string, program: string, port: number) => ({
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  metadata: {name},
  spec: {
    replicas: 1,
    selector: {matchLabels: {app: name}},
    template: {
      metadata: {labels: {app: name}},
      spec: {
        terminationGracePeriodSeconds: 2,
        containers: [
          {
            name: 'main',
            image: 'localhost/node:1',
            imagePullPolicy: 'IfNotPresent',
            args: ['-e', program],
            // A busy machine must not take the pod out of its Service, whose address then refuses connections.
            readinessProbe: {tcpSocket: {port}, periodSeconds: 1, timeoutSeconds: 20},
          },
        ],
      },
    },
  },
})
const service = (name: string, app: string, ...ports: object[]) => ({
  apiVersion: 'v1',
  kind: 'Service',
  metadata: {name},
  spec: {selector: {app}, ports},
})

/** The manifests as YAML documents (JSON is YAML). */
export function matrixManifests(): string {
  return [
    deployment('matrix', target, 8080),
    deployment('matrix-echo', echo, 9001),
    service('matrix', 'matrix', {name: 'http', port: 80, targetPort: 8080}),
    service('matrix-files', 'matrix', {name: 'http', port: 9003, targetPort: 9003}),
    service(
      'matrix-echo',
      'matrix-echo',
      {name: 'tcp', port: 9001, targetPort: 9001, protocol: 'TCP'},
      {name: 'udp', port: 9002, targetPort: 9002, protocol: 'UDP'},
    ),
  ]
    .map((object) => JSON.stringify(object))
    .join('\n---\n')
}
