import {stringify} from 'yaml'

import type {Authority} from './api/certs.ts'

/** A kubeconfig with one context; `user` is its user entry. */
export function kubeconfigText(server: string, ca: string, name: string, user: object): string {
  const b64 = Buffer.from(ca).toString('base64')
  return stringify({
    apiVersion: 'v1',
    kind: 'Config',
    'current-context': 'mirrord-sandbox',
    clusters: [{name: 'mirrord-sandbox', cluster: {server, 'certificate-authority-data': b64}}],
    users: [{name, user}],
    contexts: [{name: 'mirrord-sandbox', context: {cluster: 'mirrord-sandbox', user: name, namespace: 'default'}}],
  })
}

const base64 = (text: string) => Buffer.from(text).toString('base64')

/** The user entry of a new client certificate. */
export async function certificateUser(
  authority: Authority,
  name: string,
  groups: string[],
  notAfter?: Date,
): Promise<object> {
  const pair = await authority.client(name, groups, notAfter)
  return {'client-certificate-data': base64(pair.cert), 'client-key-data': base64(pair.key)}
}
