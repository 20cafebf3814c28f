import {ofNumber, ofText, type Filter} from './filter-kinds.ts'

const entities: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#x27;',
  '/': '&#x2F;',
}
const xmlEntities: typeof entities = {...entities, "'": '&apos;', '/': '/'}
const escaped = (text: string, with_: typeof entities) => text.replaceAll(/[&<>"'/]/g, (char) => with_[char]!)

/** Tera's filters for pages and sentences. A configuration has no need of most, but upstream takes them. */
export const markup: Readonly<Record<string, Filter>> = {
  escape: ofText((text) => escaped(text, entities)),
  escape_xml: ofText((text) => escaped(text, xmlEntities)),
  striptags: ofText((text) => text.replaceAll(/<!--[^]*?-->|<[^>]*>/g, '')),
  spaceless: ofText((text) => text.replaceAll(/>\s+</g, '><')),
  linebreaksbr: ofText((text) => text.replaceAll(/\r?\n/g, '<br>')),
  indent: ofText(
    (text, given) => {
      const prefix = given.text('prefix', '    ')
      const [first, blank] = [given.flag('first'), given.flag('blank')]
      const indented = (line: string, index: number) => (index === 0 ? first : blank || line.trim() !== '')
      return text
        .split('\n')
        .map((line, index) => (indented(line, index) ? prefix + line : line))
        .join('\n')
    },
    ['prefix', 'first', 'blank'],
  ),
  pluralize: ofNumber(
    (number, given) => (Math.abs(number) === 1 ? given.text('singular', '') : given.text('plural', 's')),
    ['singular', 'plural'],
  ),
}
