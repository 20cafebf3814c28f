import {ApiError} from './status.ts'

/**
 * How one field of a message is read. `[type]` is a list, `{map}` a map with string keys; a string names a scalar or
 * another message.
 */
type Field = [name: string, type: string | [string] | {map: string}]
type Message = Record<number, Field>

/**
 * Messages that kubectl's typed commands send although everything else is JSON (`create namespace|configmap|secret|
 * serviceaccount|token`, `auth can-i`). Field numbers: generated.proto of the API groups.
 */
const messages: Record<string, Message> = {
  ObjectMeta: {
    1: ['name', 'string'],
    2: ['generateName', 'string'],
    3: ['namespace', 'string'],
    11: ['labels', {map: 'string'}],
    12: ['annotations', {map: 'string'}],
    14: ['finalizers', ['string']],
  },
  Namespace: {1: ['metadata', 'ObjectMeta']},
  ConfigMap: {
    1: ['metadata', 'ObjectMeta'],
    2: ['data', {map: 'string'}],
    3: ['binaryData', {map: 'bytes'}],
    4: ['immutable', 'bool'],
  },
  Secret: {
    1: ['metadata', 'ObjectMeta'],
    2: ['data', {map: 'bytes'}],
    3: ['type', 'string'],
    4: ['stringData', {map: 'string'}],
    5: ['immutable', 'bool'],
  },
  ServiceAccount: {1: ['metadata', 'ObjectMeta'], 4: ['automountServiceAccountToken', 'bool']},
  SelfSubjectAccessReview: {1: ['metadata', 'ObjectMeta'], 2: ['spec', 'AccessSpec']},
  AccessSpec: {1: ['resourceAttributes', 'ResourceAttributes'], 2: ['nonResourceAttributes', 'PathAttributes']},
  ResourceAttributes: {
    1: ['namespace', 'string'],
    2: ['verb', 'string'],
    3: ['group', 'string'],
    4: ['version', 'string'],
    5: ['resource', 'string'],
    6: ['subresource', 'string'],
    7: ['name', 'string'],
  },
  PathAttributes: {1: ['path', 'string'], 2: ['verb', 'string']},
  SelfSubjectRulesReview: {1: ['metadata', 'ObjectMeta'], 2: ['spec', 'RulesSpec']},
  RulesSpec: {1: ['namespace', 'string']},
  SelfSubjectReview: {1: ['metadata', 'ObjectMeta']},
  TokenRequest: {1: ['metadata', 'ObjectMeta'], 2: ['spec', 'TokenSpec']},
  TokenSpec: {1: ['audiences', ['string']], 4: ['expirationSeconds', 'int']},
  DeleteOptions: {
    1: ['gracePeriodSeconds', 'int'],
    2: ['preconditions', 'Preconditions'],
    3: ['orphanDependents', 'bool'],
    4: ['propagationPolicy', 'string'],
    5: ['dryRun', ['string']],
  },
  Preconditions: {1: ['uid', 'string'], 2: ['resourceVersion', 'string']},
  TypeMeta: {1: ['apiVersion', 'string'], 2: ['kind', 'string']},
  Unknown: {1: ['typeMeta', 'TypeMeta'], 2: ['raw', 'raw']},
}

const MAGIC = Buffer.from('k8s\0')
export const PROTOBUF = 'application/vnd.kubernetes.protobuf'

const broken = () => new ApiError(400, 'BadRequest', 'the object provided is unrecognized: broken protobuf')

class Reader {
  private readonly bytes: Buffer
  private at = 0
  constructor(bytes: Buffer) {
    this.bytes = bytes
  }
  get more(): boolean {
    return this.at < this.bytes.length
  }
  varint(): number {
    let value = 0n
    for (let shift = 0n; shift < 70n; shift += 7n) {
      const byte = this.bytes[this.at++]
      if (byte === undefined) throw broken()
      value |= BigInt(byte & 127) << shift
      if (byte < 128) return Number(BigInt.asIntN(64, value))
    }
    throw broken()
  }
  chunk(length = this.varint()): Buffer {
    if (length < 0 || this.at + length > this.bytes.length) throw broken()
    this.at += length
    return this.bytes.subarray(this.at - length, this.at)
  }
}

function scalar(type: string, value: number | Buffer): unknown {
  if (typeof value === 'number') return type === 'bool' ? value !== 0 : value
  if (type === 'string') return value.toString()
  if (type === 'bytes') return value.toString('base64')
  return type === 'raw' ? value : decode(type, value)
}

function decode(name: string, bytes: Buffer): Record<string, unknown> {
  const message = messages[name]!
  const result: Record<string, unknown> = {}
  const reader = new Reader(bytes)
  while (reader.more) {
    const tag = reader.varint()
    const wire = tag & 7
    if (![0, 1, 2, 5].includes(wire)) throw broken()
    const value = wire === 0 ? reader.varint() : reader.chunk(wire === 1 ? 8 : wire === 5 ? 4 : undefined)
    const field = message[tag >> 3]
    if (!field) continue
    const [key, type] = field
    if (typeof type === 'string') result[key] = scalar(type, value)
    else if (Array.isArray(type))
      ((result[key] ??= [] as unknown[]), result[key] as unknown[]).push(scalar(type[0], value))
    else {
      messages[`map of ${type.map}`] ??= {1: ['key', 'string'], 2: ['value', type.map]}
      const entry = decode(`map of ${type.map}`, value as Buffer) as {key?: string; value?: unknown}
      result[key] = {...(result[key] as object | undefined), [entry.key ?? '']: entry.value ?? ''}
    }
  }
  return result
}

/** The object in a protobuf body, in its JSON form; undefined for a kind that is not in the table. Throws 400. */
export function decodeProtobuf(body: Buffer): Record<string, unknown> | undefined {
  if (!body.subarray(0, 4).equals(MAGIC)) throw broken()
  const {typeMeta, raw} = decode('Unknown', body.subarray(4)) as {
    typeMeta?: {apiVersion?: string; kind?: string}
    raw?: Buffer
  }
  const kind = typeMeta?.kind
  if (!kind || !Object.hasOwn(messages, kind)) return undefined
  return {...typeMeta, ...decode(kind, raw ?? Buffer.alloc(0))}
}
