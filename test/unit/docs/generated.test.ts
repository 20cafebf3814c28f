import {readFileSync} from 'node:fs'
import path from 'node:path'
import {expect, test} from 'vitest'
import {pages} from '../../../scripts/docs.ts'
import {withGenerated} from '../../../scripts/lib/config-docs.ts'
import {quirks} from '../../../scripts/lib/quirks.ts'

const root = path.join(import.meta.dirname, '..', '..', '..')

test.each(Object.entries(pages))('%s is what npm run docs generates', (file, page) => {
  expect(readFileSync(path.join(root, file), 'utf8')).toBe(page())
})

test('every quirk of upstream has a decision', () => {
  expect(quirks.map(({id}) => id)).toEqual(Array.from({length: 28}, (_, index) => `Q${index + 1}`))
})

test('a generated part is renewed in its place, and a page without the place is an error', () => {
  const page = 'a\n<!-- generated x -->\nold\n<!-- end x -->\nb\n'
  const once = withGenerated(page, {x: () => 'new'})
  expect(once).toMatch(/^a\n<!-- generated x -->[^]*\nnew\n[^]*<!-- end x -->\nb\n$/)
  expect(once).not.toContain('old')
  expect(withGenerated(once, {x: () => 'new'})).toBe(once)
  expect(() => withGenerated('a', {x: () => 'new'})).toThrow('x')
})
