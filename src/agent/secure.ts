import {X509Certificate} from 'node:crypto'
import type {Socket} from 'node:net'
import {connect, type TLSSocket} from 'node:tls'

/**
 * Prepares TLS with reversed roles (agent.md 2.9): the agent is the TLS client on the connections it accepts and trusts
 * exactly one certificate.
 * @param pem the certificate; of several blocks the first counts
 * @returns wraps an accepted socket
 * @throws Error when the text is no certificate or names nobody
 */
export function tlsClient(pem: string): (socket: Socket) => TLSSocket {
  const certificate = new X509Certificate(pem)
  const name = /(?:^|, )(DNS|IP Address):([^,]+)/.exec(certificate.subjectAltName ?? '')?.[2]
  if (name === undefined) throw new Error('the certificate has no DNS name or IP address')
  return (socket) => connect({socket, ca: certificate.toString(), host: name, servername: isName(name) ? name : ''})
}

/** Server name indication is for names; an address is checked all the same, from `host`. */
function isName(text: string): boolean {
  return !/^[\d.]+$/.test(text) && !text.includes(':')
}
