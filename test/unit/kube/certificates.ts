// First: the certificate library wants Reflect's metadata functions before it is loaded.
import '../../../sandbox/api/reflect.ts'
import {webcrypto} from 'node:crypto'
import * as x509 from '@peculiar/x509'

const algorithm = {name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256'}
const day = 24 * 60 * 60 * 1000

/** A certificate authority and server certificates of it, all in PEM. */
export async function authority() {
  x509.cryptoProvider.set(webcrypto)
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])
  const root = await x509.X509CertificateGenerator.createSelfSigned({
    name: 'CN=test authority',
    keys,
    notBefore: new Date(Date.now() - day),
    notAfter: new Date(Date.now() + day),
    signingAlgorithm: algorithm,
    extensions: [new x509.BasicConstraintsExtension(true, 1, true)],
  })
  let serial = 1
  return {
    ca: root.toString('pem'),
    async issue(names: x509.JsonGeneralName[], validity: {from?: number; to?: number} = {}) {
      const own = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])
      const certificate = await x509.X509CertificateGenerator.create({
        serialNumber: `0${++serial}`,
        subject: 'CN=test server',
        issuer: root.subject,
        notBefore: new Date(Date.now() + (validity.from ?? -day)),
        notAfter: new Date(Date.now() + (validity.to ?? day)),
        publicKey: own.publicKey,
        signingKey: keys.privateKey,
        signingAlgorithm: algorithm,
        extensions: [new x509.SubjectAlternativeNameExtension(names)],
      })
      const pkcs8 = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', own.privateKey)).toString('base64')
      return {
        cert: certificate.toString('pem'),
        key: `-----BEGIN PRIVATE KEY-----\n${pkcs8}\n-----END PRIVATE KEY-----\n`,
      }
    },
  }
}
