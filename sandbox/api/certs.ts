import './reflect.ts'
import {randomBytes, webcrypto} from 'node:crypto'

import * as x509 from '@peculiar/x509'

const ALGORITHM = {name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256'} as const
const DAY = 86_400_000

export interface KeyPair {
  /** PEM. */
  cert: string
  /** PEM, PKCS#8. */
  key: string
}

export interface Authority {
  cert: string
  /** A certificate for the API server, for these addresses and names. */
  server(hosts: string[], notAfter?: Date): Promise<KeyPair>
  /** A client certificate: the user is the common name, groups are organisations, as Kubernetes reads them. */
  client(user: string, groups: string[], notAfter?: Date): Promise<KeyPair>
}

async function pem(key: webcrypto.CryptoKey): Promise<string> {
  const der = await webcrypto.subtle.exportKey('pkcs8', key)
  return x509.PemConverter.encode(der, 'PRIVATE KEY')
}

/** Makes a new certificate authority (ECDSA P-256, one year), kept in memory only. */
export async function createAuthority(): Promise<Authority> {
  x509.cryptoProvider.set(webcrypto)
  const generate = async () => await webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify'])
  const serial = () => `00${randomBytes(8).toString('hex')}`
  const notBefore = new Date(Date.now() - DAY)
  const year = new Date(Date.now() + 365 * DAY)
  const keys = await generate()
  const root = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: serial(),
    name: 'CN=mirrord-sandbox-ca',
    notBefore,
    notAfter: year,
    keys,
    signingAlgorithm: ALGORITHM,
    extensions: [
      new x509.BasicConstraintsExtension(true, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
    ],
  })
  const issue = async (
    subject: x509.JsonName,
    usage: string,
    notAfter: Date,
    extra: x509.Extension[],
  ): Promise<KeyPair> => {
    const pair = await generate()
    const certificate = await x509.X509CertificateGenerator.create({
      serialNumber: serial(),
      subject,
      issuer: root.subject,
      notBefore: notAfter < notBefore ? new Date(notAfter.getTime() - DAY) : notBefore,
      notAfter,
      publicKey: pair.publicKey,
      signingKey: keys.privateKey,
      signingAlgorithm: ALGORITHM,
      extensions: [
        new x509.BasicConstraintsExtension(false, undefined, true),
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
        new x509.ExtendedKeyUsageExtension([usage]),
        ...extra,
      ],
    })
    return {cert: certificate.toString('pem'), key: await pem(pair.privateKey)}
  }
  return {
    cert: root.toString('pem'),
    server: (hosts, notAfter = year) =>
      issue([{CN: ['mirrord-sandbox']}], x509.ExtendedKeyUsage.serverAuth, notAfter, [
        new x509.SubjectAlternativeNameExtension(
          hosts.map((value) => ({type: /^[\d.]+$|:/.test(value) ? ('ip' as const) : ('dns' as const), value})),
        ),
      ]),
    client: (user, groups, notAfter = year) =>
      issue([...groups.map((group) => ({O: [group]})), {CN: [user]}], x509.ExtendedKeyUsage.clientAuth, notAfter, []),
  }
}
