import {constants} from 'node:fs'
import {expect, it} from 'vitest'
import {openFlags} from '../../../src/agent/files/open-flags.ts'

const {O_RDONLY, O_WRONLY, O_RDWR, O_APPEND, O_CREAT, O_TRUNC, O_EXCL} = constants

/** Options by the first letters of their names; N is create_new. */
const options = (letters: string) => ({
  read: letters.includes('r'),
  write: letters.includes('w'),
  append: letters.includes('a'),
  truncate: letters.includes('t'),
  create: letters.includes('c'),
  createNew: letters.includes('N'),
})

it.each([
  ['r', O_RDONLY],
  ['w', O_WRONLY],
  ['rw', O_RDWR],
  ['a', O_WRONLY | O_APPEND],
  ['wa', O_WRONLY | O_APPEND],
  ['ra', O_RDWR | O_APPEND],
  ['rwa', O_RDWR | O_APPEND],
  ['wc', O_WRONLY | O_CREAT],
  ['wt', O_WRONLY | O_TRUNC],
  ['wtc', O_WRONLY | O_CREAT | O_TRUNC],
  ['rwtc', O_RDWR | O_CREAT | O_TRUNC],
  ['wN', O_WRONLY | O_CREAT | O_EXCL],
  ['wtcN', O_WRONLY | O_CREAT | O_EXCL],
  ['ac', O_WRONLY | O_APPEND | O_CREAT],
  ['atN', O_WRONLY | O_APPEND | O_CREAT | O_EXCL],
  ['', undefined],
  ['c', undefined],
  ['rc', undefined],
  ['rt', undefined],
  ['rN', undefined],
  ['at', undefined],
  ['watc', undefined],
])("opens as Rust's OpenOptions do: %s", (letters, flags) => {
  expect(openFlags(options(letters))).toBe(flags)
})
