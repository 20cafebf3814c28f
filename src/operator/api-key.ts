import {X509Certificate, createPrivateKey} from 'node:crypto'
import {promisify} from 'node:util'
import {inflate} from 'node:zlib'
import {MirrordError} from '../errors/mirrord-error.ts'

/** What a CI API key holds. Both parts are secrets: the certificate alone authenticates (operator.md 3.9). */
export interface ApiKey {
  certificate: Uint8Array
  privateKey: Uint8Array
}

const prefix = 'mci-v1:'
/** A key is some 600 bytes; the limit keeps a crafted one from filling memory. */
const maxPayload = 64 * 1024

/**
 * Decodes a CI API key: `mci-v1:` and base64url without padding of a zlib stream of two byte strings, an X.509
 * certificate and a PKCS#8 private key in DER (operator.md 3.8). Throws a MirrordError, API_KEY_MALFORMED (exit apiKey),
 * which never holds a part of the key.
 */
export async function decodeApiKey(text: string): Promise<ApiKey> {
  if (text === '') throw malformed('The variable is set but empty; a CI secret that does not exist expands to that.')
  if (text !== text.trim()) throw malformed('It begins or ends with white space; check how the secret was stored.')
  if (!text.startsWith(prefix)) throw malformed(`It does not begin with "${prefix}".`)
  const encoded = text.slice(prefix.length)
  if (!/^[A-Za-z0-9_-]+$/.test(encoded) || encoded.length % 4 === 1)
    throw malformed('It holds characters that no key has.')
  let payload: Uint8Array
  try {
    payload = await promisify<Buffer, {maxOutputLength: number}, Buffer>(inflate)(Buffer.from(encoded, 'base64url'), {
      maxOutputLength: maxPayload,
    })
  } catch {
    throw malformed('It is damaged or cut off.')
  }
  const reader = {bytes: payload, at: 0}
  const certificate = readBytes(reader)
  const privateKey = readBytes(reader)
  if (!isCertificate(certificate)) throw malformed('The certificate inside is damaged.')
  if (!isPrivateKey(privateKey)) throw malformed('The private key inside is damaged.')
  return {certificate, privateKey}
}

/** One byte string with its length before it, as a little-endian varint of bincode. */
function readBytes(reader: {bytes: Uint8Array; at: number}): Uint8Array {
  const {bytes} = reader
  const first = bytes[reader.at++]
  if (first === undefined) throw malformed('It is cut off.')
  const width = {0xfb: 2, 0xfc: 4, 0xfd: 8}[first]
  let length = first
  if (width !== undefined) {
    if (reader.at + width > bytes.length) throw malformed('It is cut off.')
    length = 0
    for (let index = width - 1; index >= 0; index--) length = length * 256 + bytes[reader.at + index]!
    reader.at += width
  } else if (first > 0xfa) throw malformed('It is damaged.')
  if (length > bytes.length - reader.at) throw malformed('It is cut off.')
  const value = bytes.subarray(reader.at, reader.at + length)
  reader.at += length
  return value
}

function isCertificate(der: Uint8Array): boolean {
  try {
    new X509Certificate(der)
    return true
  } catch {
    return false
  }
}

/**
 * OpenSSL refuses the public key that version 2 of PKCS#8 (RFC 5958) appends, so only its frame is checked when the
 * library does not take it: an outer sequence that spans the whole, and the algorithm Ed25519 (1.3.101.112).
 */
function isPrivateKey(der: Uint8Array): boolean {
  try {
    createPrivateKey({key: Buffer.from(der), format: 'der', type: 'pkcs8'})
    return true
  } catch {
    const ed25519 = Buffer.from([0x06, 0x03, 0x2b, 0x65, 0x70])
    return der[0] === 0x30 && der[1] === der.length - 2 && Buffer.from(der).indexOf(ed25519) === 7
  }
}

function malformed(why: string): MirrordError {
  return new MirrordError({
    code: 'API_KEY_MALFORMED',
    exit: 'apiKey',
    what: 'The CI API key in MIRRORD_CI_API_KEY cannot be read.',
    why,
    next: [
      'Store the whole output of `mirrord ci api-key` as the secret, in one line.',
      'Unset MIRRORD_CI_API_KEY to run without the operator.',
    ],
  })
}
