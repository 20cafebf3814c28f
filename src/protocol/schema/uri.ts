/**
 * Whether a text is a request target that the reference implementation (the Rust `http` crate) accepts: origin form
 * (`/a?b`), absolute form (`http://host/a`), authority form (`host:1`) or `*`. Anything else kills the whole connection
 * at the peer (spec protocol.md 1.4), so it is checked in both directions. At most 65,534 bytes.
 */
export function isUri(text: string): boolean {
  if (text === '*' || text === '/') return true
  if (text.length === 0 || Buffer.byteLength(text) > 65_534) return false
  if (text.startsWith('/')) return pathAndQuery.test(text)
  const scheme = /^([A-Za-z0-9+.~-]+):\/\//.exec(text)
  if (!scheme) return isAuthority(text)
  if (scheme[1]!.length > 64) return false
  const rest = text.slice(scheme[0].length)
  const end = rest.search(/[/?#]/)
  const authority = end === -1 ? rest : rest.slice(0, end)
  return isAuthority(authority) && (end === -1 || pathAndQuery.test(rest.slice(end)))
}

/** Path characters, then optionally a query, then optionally a fragment (which the peer drops without looking). */
const pathAndQuery = /^[!$-;=@-_a-z|~"{}\x7f-\u{10ffff}]*(\?[!$-;=?-~\x7f-\u{10ffff}]*)?(#[^]*)?$/u

const authorityCharacters = /^[!$&'()*+,\-.0-9:;=@A-Z[\]_a-z~%]+$/

/** `userinfo@host:port`; the userinfo may hold colons and percent escapes, host and port may not. */
function isAuthority(text: string): boolean {
  if (!authorityCharacters.test(text) || text.endsWith('@')) return false
  const brackets = text.replace(/[^[\]]/g, '')
  if (brackets !== '' && brackets !== '[]') return false
  const host = text.slice(Math.max(text.lastIndexOf('@'), text.lastIndexOf(']')) + 1)
  return !host.includes('%') && host.split(':').length <= 2
}
