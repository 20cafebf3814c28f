/** The port of `plain`, which no other test uses: without interception a program must have its target's own port on this machine. */
export const PLAIN_PORT = 28_080

/**
 * What the tests deploy: `echo`, the target; `plain`, the same for programs without interception; `info`, which the local
 * programs ask; `slow`, whose pod never becomes ready.
 */

const echo = `
const who = process.argv[1]
require('http').createServer((request, response) => {
  let bytes = 0
  request.on('data', (chunk) => { bytes += chunk.length })
  request.on('end', () => response.end(JSON.stringify({
    who, fromPod: process.env.FROM_POD || '', peer: request.socket.remoteAddress.replace(/^::ffff:/, ''), bytes,
  })))
}).listen(Number(process.argv[2]))
process.on('SIGTERM', () => process.exit(0))
`
const info = `
require('http').createServer((request, response) => response.end('info of the cluster')).listen(8080)
process.on('SIGTERM', () => process.exit(0))
`

interface App {
  name: string
  args: string[]
  port?: number
  env?: Record<string, string>
  ready: object
}

function app({name, args, port = 8080, env = {}, ready}: App): object[] {
  return [
    {
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
                args,
                env: Object.entries(env).map(([key, value]) => ({name: key, value})),
                ports: [{containerPort: port}],
                readinessProbe: {...ready, periodSeconds: 1},
              },
            ],
          },
        },
      },
    },
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: {name},
      spec: {selector: {app: name}, ports: [{port: 80, targetPort: port}]},
    },
  ]
}

/** The manifests as YAML documents (JSON is YAML). */
export function manifests(): string {
  const tcp = {tcpSocket: {port: 8080}}
  return [
    ...app({name: 'echo', args: ['-e', echo, 'deployed', '8080'], env: {FROM_POD: 'yes'}, ready: tcp}),
    ...app({
      name: 'plain',
      args: ['-e', echo, 'deployed', String(PLAIN_PORT)],
      port: PLAIN_PORT,
      env: {FROM_POD: 'yes'},
      ready: {tcpSocket: {port: PLAIN_PORT}},
    }),
    ...app({name: 'info', args: ['-e', info], ready: tcp}),
    ...app({name: 'slow', args: ['-e', info], ready: {tcpSocket: {port: 9}}}),
  ]
    .map((object) => JSON.stringify(object))
    .join('\n---\n')
}
