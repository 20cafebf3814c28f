import type {Pod} from '../api/types.ts'

export const CLUSTER_DOMAIN = 'cluster.local'

/** The files below /etc that a kubelet writes for a pod, by name. `dns` is the cluster's name server. */
export function etcFiles(pod: Pod, ip: string, dns: string): Record<string, string> {
  const {namespace, name} = pod.metadata
  const hostname = pod.spec.hostname ?? name
  const domain = pod.spec.subdomain && `${pod.spec.subdomain}.${namespace}.svc.${CLUSTER_DOMAIN}`
  const search = [`${namespace}.svc.${CLUSTER_DOMAIN}`, `svc.${CLUSTER_DOMAIN}`, CLUSTER_DOMAIN].join(' ')
  const hosts = [
    '# Kubernetes-managed hosts file.',
    '127.0.0.1\tlocalhost',
    '::1\tlocalhost ip6-localhost ip6-loopback',
    `${ip}\t${domain ? `${hostname}.${domain}\t` : ''}${hostname}`,
    ...(pod.spec.hostAliases ?? []).map((alias) => `${alias.ip}\t${alias.hostnames.join('\t')}`),
    '',
  ]
  return {
    'resolv.conf': `search ${search}\nnameserver ${dns}\noptions ndots:5\n`,
    hosts: hosts.join('\n'),
    hostname: `${hostname}\n`,
  }
}
