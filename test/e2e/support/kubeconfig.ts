import type {Harness} from './harness.ts'

/** A kubeconfig for the tests' cluster with one thing changed, as text. An empty token means no credentials. */
export function changedKubeconfig(
  {cluster: {config}, namespace: own}: Harness,
  change: {server?: string; token?: string; namespace?: string},
): string {
  const cluster = config.getCurrentCluster()!
  const {server = cluster.server, token = 'expired', namespace = own} = change
  return JSON.stringify({
    apiVersion: 'v1',
    kind: 'Config',
    'current-context': 'test',
    contexts: [{name: 'test', context: {cluster: 'test', user: 'test', namespace}}],
    clusters: [
      {
        name: 'test',
        cluster: {
          server,
          ...(cluster.caData ? {'certificate-authority-data': cluster.caData} : {}),
          ...(cluster.caFile ? {'certificate-authority': cluster.caFile} : {}),
        },
      },
    ],
    users: [{name: 'test', user: token === '' ? {} : {token}}],
  })
}
