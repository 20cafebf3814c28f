import type {FieldMeta} from './meta.ts'

/** How a key compares with upstream, as one word of the compatibility table and as a sentence. */
export interface Status {
  word: 'same' | 'better' | 'later' | 'refused' | 'no effect' | 'ours'
  text: string
}

/** The status of a key from its annotations. */
export function statusOf({later, inert, compare}: FieldMeta): Status {
  if (inert !== undefined) return {word: 'no effect', text: `no effect: ${inert}`}
  if (later)
    return {word: 'later', text: `not yet: ${later.map(({what, feature}) => `${what} (${feature})`).join('; ')}`}
  if (compare === 'ours') return {word: 'ours', text: 'only here'}
  if (typeof compare !== 'object') return {word: 'same', text: 'same'}
  return 'better' in compare
    ? {word: 'better', text: `better: ${compare.better}`}
    : {word: 'refused', text: `refused: ${compare.refused}`}
}
