/** What the matrix meets in the target: the deployment `matrix` with its files, sockets and Services. */

const program = `
const fs = require('fs'), net = require('net'), http = require('http'), dgram = require('dgram')
const root = '/srv/mirrord-matrix'
fs.mkdirSync(root + '/list/c', {recursive: true})
fs.mkdirSync(root + '/written', {recursive: true})
fs.writeFileSync(root + '/list/a', '')
fs.writeFileSync(root + '/list/b', '')
fs.writeFileSync(root + '/text', 'remote text\\n')
fs.chmodSync(root + '/text', 0o640)
net.createServer((socket) => {
  socket.on('error', () => {})
  socket.once('data', () => socket.end('pong\\n'))
}).listen(9001, '::')
const udp = dgram.createSocket('udp6')
udp.on('message', (data, from) => udp.send('pong', from.port, from.address))
udp.bind(9002, '::')
http.createServer((request, response) => {
  try {
    response.end(fs.readFileSync(request.url))
  } catch (error) {
    response.statusCode = 404
    response.end(error.message)
  }
}).listen(9003, '::')
http.createServer((request, response) => response.end('deployed')).listen(8080, '::')
process.on('SIGTERM', () => process.exit(0))
`
const service = (name: string, ...ports: object[]) => ({
  apiVersion: 'v1',
  kind: 'Service',
  metadata: {name},
  spec: {selector: {app: 'matrix'}, ports},
})

/** The manifests as YAML documents (JSON is YAML). */
export function matrixManifests(): string {
  return [
    {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: {name: 'matrix'},
      spec: {
        replicas: 1,
        selector: {matchLabels: {app: 'matrix'}},
        template: {
          metadata: {labels: {app: 'matrix'}},
          spec: {
            terminationGracePeriodSeconds: 2,
            containers: [
              {
                name: 'main',
                image: 'localhost/node:1',
                imagePullPolicy: 'IfNotPresent',
                args: ['-e', program],
                ports: [{containerPort: 8080}],
                readinessProbe: {tcpSocket: {port: 9003}, periodSeconds: 1},
              },
            ],
          },
        },
      },
    },
    service('matrix', {name: 'http', port: 80, targetPort: 8080}),
    service(
      'matrix-echo',
      {name: 'tcp', port: 9001, targetPort: 9001, protocol: 'TCP'},
      {name: 'udp', port: 9002, targetPort: 9002, protocol: 'UDP'},
    ),
    service('matrix-files', {name: 'http', port: 9003, targetPort: 9003}),
  ]
    .map((object) => JSON.stringify(object))
    .join('\n---\n')
}
