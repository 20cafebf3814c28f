import {readFileSync} from 'node:fs'
import path from 'node:path'
import {expect, test} from 'vitest'
import {pages} from '../../../scripts/docs.ts'

const root = path.join(import.meta.dirname, '..', '..', '..')

test.each(Object.entries(pages))('%s is what npm run docs generates', (file, page) => {
  expect(readFileSync(path.join(root, file), 'utf8')).toBe(page())
})
