/** Segments of a path that are shown; what is behind them is `*`. */
const MAX_SEGMENTS = 12
const MAX_SEGMENT = 64
const MAX_WORD = 24

/**
 * The path of a request without what tells one resource from another: `/users/42?x=1` becomes `/users/:id`. A segment is
 * shown only when it looks like words that a programmer has chosen; the query, the fragment, parameters after `;` and, of an
 * absolute target, the authority are cut off.
 */
export function pathTemplate(target: string): string {
  const path = target.replace(/^[a-z][a-z\d+.-]*:\/\/[^/?#]*/i, '').replace(/[?#].*$/s, '')
  if (path === '' && target.includes('://')) return '/'
  if (!path.startsWith('/')) return '*' // of OPTIONS, the authority of CONNECT, or nothing that belongs here
  const segments = path.slice(1).split('/', MAX_SEGMENTS + 1)
  const shown = segments.slice(0, MAX_SEGMENTS).map((segment) => {
    const [name = ''] = segment.split(';', 1)
    return isChosen(name) ? name : ':id'
  })
  return `/${shown.join('/')}${segments.length > MAX_SEGMENTS ? '/*' : ''}`
}

/** Whether a segment was written by a programmer, rather than made from data. */
function isChosen(segment: string): boolean {
  if (segment === '' || /^v\d{1,3}(\.\d{1,2})?((alpha|beta|rc)\d{0,2})?$/i.test(segment)) return true
  if (segment.length > MAX_SEGMENT || /^[.\d_-]+$/.test(segment) || !/^[\w.~!$'()*+,-]+$/.test(segment)) return false
  return segment.split(/[^A-Za-z\d]+/).every((word) => isWord(word))
}

/** Letters with at most two digits in one place (`oauth2`, `i18n`); neither hexadecimal nor of wildly mixed case. */
function isWord(word: string): boolean {
  if (word.length > MAX_WORD || !/^[A-Za-z]*\d{0,2}[A-Za-z]*$/.test(word)) return false
  if (/^(?=.*\d)[\da-f]{8,}$/i.test(word)) return false
  const capitals = word.replace(/[^A-Z]/g, '').length
  return word.length < 8 || capitals === word.length || capitals <= 0.4 * word.length
}
