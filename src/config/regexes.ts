import type {z} from 'zod'
import {compilePatterns, patternReplacer, PatternError} from '../patterns/index.ts'
import {list, text, textMap} from './scalars.ts'

/** A list of patterns in the syntax of Rust's `regex` crate, each verified. */
export const regexes = () =>
  list().superRefine((entries, context) => {
    for (const pattern of entries) refuse(context, () => compilePatterns([{pattern, label: 1, ignoreCase: true}]))
  })

/** A map from such patterns to replacements. */
export const regexMap = () =>
  textMap().superRefine((entries, context) => {
    for (const [pattern, replacement] of Object.entries(entries)) {
      refuse(context, () => patternReplacer(pattern, replacement))
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
    for (const pattern of Object.keys(entries)) refuse(context, () => compileFancy(pattern))
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

function refuse(context: z.RefinementCtx, compile: () => unknown): void {
  try {
    compile()
  } catch (error) {
    if (!(error instanceof PatternError)) throw error
    context.addIssue({code: 'custom', message: error.message})
  }
}
