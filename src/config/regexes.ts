import type * as z from 'zod'
import {compilePatterns, patternReplacer, PatternError} from '../patterns/index.ts'
import {list, placeOf, text, textMap} from './scalars.ts'

/** A list of patterns in the syntax of Rust's `regex` crate, each verified. */
export const regexes = () =>
  list().superRefine((entries, context) => {
    for (const [index, pattern] of entries.entries()) {
      const path = placeOf(index, entries)
      refuse(context, () => compilePatterns([{pattern, label: 1, ignoreCase: true}]), {path})
    }
  })

/** A map from such patterns to replacements. */
export const regexMap = () =>
  textMap().superRefine((entries, context) => {
    for (const [index, [pattern, replacement]] of Object.entries(entries).entries()) {
      refuse(context, () => patternReplacer(pattern, replacement), {subject: which(index, Object.keys(entries))})
    }
  })

/** A pattern in the syntax of the `fancy-regex` crate: as those, with look-around and back-references. */
export const fancyRegex = () =>
  text().superRefine((pattern, context) => {
    refuse(context, () => compileFancy(pattern))
  })

/** A map from patterns with look-around and back-references to texts. */
export const fancyRegexMap = () =>
  textMap().superRefine((entries, context) => {
    for (const [index, pattern] of Object.keys(entries).entries()) {
      refuse(context, () => compileFancy(pattern), {subject: which(index, Object.keys(entries))})
    }
  })

/**
 * Verifies a pattern that may look around: what `regex` lacks is taken out (a look-around and an atomic group become plain
 * groups, a back-reference becomes nothing), which keeps everything else at its place, and the rest is compiled.
 */
function compileFancy(pattern: string): void {
  const plain = pattern.replace(/\\(?:[1-9]\d*|k<\w+>|[^])|\(\?(?:<?[=!]|>)/g, (part) =>
    part.startsWith('(') ? '(?:' : /^\\(?:[1-9]|k<)/.test(part) ? '' : part,
  )
  try {
    compilePatterns([{pattern: plain, label: 1, ignoreCase: true}])
  } catch (error) {
    throw error instanceof PatternError ? new PatternError(pattern, error.reason) : error
  }
}

const which = (index: number, {length}: readonly string[]) => (length === 1 ? 'the pattern' : `pattern ${index + 1}`)

/** The pattern itself is not told: patterns of headers hold secrets. */
function refuse(
  context: z.RefinementCtx,
  compile: () => unknown,
  {subject = 'the pattern', path}: {subject?: string; path?: number[]} = {},
): void {
  try {
    compile()
  } catch (error) {
    if (!(error instanceof PatternError)) throw error
    context.addIssue({code: 'custom', path, message: `${subject} cannot be used: ${error.reason}`})
  }
}
