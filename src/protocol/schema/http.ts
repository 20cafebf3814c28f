import {ProtocolError} from '../errors.ts'
import {parseVersion} from '../semver.ts'
import type {Codec, TextKind} from './codec.ts'
import {string, u16} from './primitives.ts'
import type {Reader} from './reader.ts'
import {isUri} from './uri.ts'

/** HTTP versions as the wire spells them: `HTTP/2.0`, not `HTTP/2` (spec protocol.md 1.4). */
export const httpVersions = ['HTTP/0.9', 'HTTP/1.0', 'HTTP/1.1', 'HTTP/2.0', 'HTTP/3.0'] as const
export type HttpVersion = (typeof httpVersions)[number]

const token = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/

/** A string that must satisfy a predicate in both directions. */
function text<T extends string>(name: TextKind, accepts: (value: string) => boolean): Codec<T> {
  return {
    shape: {kind: 'text', name},
    read: (reader) => {
      const value = string.read(reader)
      if (!accepts(value)) throw new ProtocolError('BAD_VALUE', `${JSON.stringify(value)} is not a valid ${name}.`)
      return value as T
    },
    write: (writer, value) => {
      if (!accepts(value)) throw new ProtocolError('UNENCODABLE', `${JSON.stringify(value)} is not a valid ${name}.`)
      string.write(writer, value)
    },
  }
}

/** Any HTTP token; case is significant. */
export const method = text<string>('method', (value) => token.test(value))

export const uri = text<string>('uri', isUri)

export const httpVersion = text<HttpVersion>('httpVersion', (value) =>
  (httpVersions as readonly string[]).includes(value),
)

/** A semantic version as text, for example `1.29.0`. */
export const semver = text<string>('semver', (value) => parseVersion(value) !== undefined)

/** Response status, 100 to 999. */
export const statusCode: Codec<number> = {
  shape: {kind: 'range', min: 100, max: 999},
  read: (reader) => {
    const status = u16.read(reader)
    if (status < 100 || status > 999) throw new ProtocolError('BAD_VALUE', `${status} is not an HTTP status.`)
    return status
  },
  write: (writer, value) => {
    if (value < 100 || value > 999) throw new ProtocolError('UNENCODABLE', `${value} is not an HTTP status.`)
    u16.write(writer, value)
  },
}

/** One header line. The name is lower-case; the value holds one character (0-255) a byte, as in node:http. */
export type HeaderLine = readonly [name: string, value: string]

// Visible bytes, space and tab, and everything from 0x80 on (spec protocol.md 1.4).
const headerValue = /^[\t\x20-\x7e\x80-\xff]*$/
const maxNameLength = 0xffff

function readValue(reader: Reader): string {
  const value = reader.latin1(reader.length())
  if (!headerValue.test(value)) throw new ProtocolError('BAD_VALUE', 'An HTTP header value holds a control character.')
  return value
}

function readEntry(reader: Reader, lines: HeaderLine[]): void {
  const name = string.read(reader)
  if (!token.test(name) || name.length > maxNameLength) {
    throw new ProtocolError('BAD_VALUE', `${JSON.stringify(name.slice(0, 100))} is not an HTTP header name.`)
  }
  const values = reader.sequence<string[]>(
    () => [],
    (inner, items) => void items.push(readValue(inner)),
  )
  const lower = name.toLowerCase()
  for (const value of values) lines.push([lower, value])
}

function groupByName(lines: readonly HeaderLine[]): Map<string, string[]> {
  const groups = new Map<string, string[]>()
  for (const [name, value] of lines) {
    const lower = name.toLowerCase()
    const values = groups.get(lower)
    if (values) values.push(value)
    else groups.set(lower, [value])
  }
  return groups
}

/**
 * Header lines in order. On the wire: distinct lower-case names, each with the list of its values (spec protocol.md 1.4),
 * so lines of one name become adjacent; their order is kept.
 */
export const headers: Codec<readonly HeaderLine[]> = {
  shape: {kind: 'headers'},
  read: (reader) => reader.sequence<HeaderLine[]>(() => [], readEntry),
  write: (writer, lines) => {
    const groups = groupByName(lines)
    writer.varint(groups.size)
    for (const [name, values] of groups) {
      if (!token.test(name) || name.length > maxNameLength) {
        throw new ProtocolError('UNENCODABLE', `${JSON.stringify(name)} is not an HTTP header name.`)
      }
      writer.latin1(name)
      writer.varint(values.length)
      for (const value of values) {
        if (!headerValue.test(value)) {
          throw new ProtocolError('UNENCODABLE', `The value of the HTTP header ${name} cannot be sent.`)
        }
        writer.latin1(value)
      }
    }
  },
}
