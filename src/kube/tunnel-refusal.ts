import {MirrordError} from '../errors/mirrord-error.ts'
import {checkCluster, type Cluster} from './cluster.ts'
import type {Status} from './objects.ts'

/**
 * Whether a server that was asked for a WebSocket said that it opens none. Real ones answer 400 ("Upgrade request required"),
 * 405, or 404 without an object; kubelets and gateways a 403 that is no Status object, gateways also 426, 501 or a page. That
 * a pod or its sandbox is not there, yet or any more, comes as 400, 404 or 500 too, in other words; a kubelet's 404 as plain
 * text: "pod does not exist" (kubernetes/pkg/kubelet/server).
 */
export function isNoTunnel(code: number, {kind, message = ''}: Status): boolean {
  if (code < 400 || [405, 426, 501].includes(code)) return true
  if (code === 403) return kind !== 'Status'
  if (code === 404 && kind !== 'Status') return !/\bpod\b.*\b(?:not exist|not found)/i.test(message)
  if (code === 404) return message.includes('could not find the requested resource')
  return code === 400 && /upgrade|websocket/i.test(message)
}

/** How long the version, which only makes the error more telling, is waited for. */
const VERSION_MS = 3000

/** The error NO_TUNNEL (exit clusterUnreachable). The subprotocol is in Kubernetes since 1.6 (kubernetes/kubernetes#33684). */
export async function noTunnel(cluster: Cluster, code: number, {message}: Status): Promise<MirrordError> {
  const version = await checkCluster(cluster, {timeoutMs: VERSION_MS}).then(
    ({gitVersion}) => `The server is Kubernetes ${gitVersion}`,
    () => 'The version of the server cannot be read',
  )
  const said = message?.trim() ? ` and said: ${message.trim().replace(/[.!]?$/, '.')}` : '.'
  return new MirrordError({
    code: 'NO_TUNNEL',
    exit: 'clusterUnreachable',
    what: `The cluster at ${cluster.server} (context "${cluster.context}") opens no WebSocket for a port-forward.`,
    why: `It answered HTTP ${code}${said} ${version}; Kubernetes has port-forward over WebSocket from 1.6 on.`,
    next: [
      'Let what is between this machine and the API server (proxy, gateway, load balancer) pass WebSocket upgrades.',
      'If nothing is: upgrade the cluster. Some API servers before 1.30 are reported to refuse them (metalbear-co/mirrord#4918).',
      'That kubectl port-forward works proves nothing: it falls back to SPDY.',
    ],
  })
}
