import {compareTexts} from '../util/compare-texts.ts'

/**
 * The candidates most like `word`, best first: at most `limit`, and only those within a third of the word's length (at
 * least 2; 1 for words of three letters) in edit distance, or that contain the word or are contained in it.
 */
export function nearest(word: string, candidates: Iterable<string>, limit = 3): string[] {
  const wanted = word.toLowerCase()
  const reach = wanted.length <= 3 ? 1 : Math.max(2, Math.floor(wanted.length / 3))
  const scored: {candidate: string; score: number}[] = []
  for (const candidate of candidates) {
    const other = candidate.toLowerCase()
    const score = distance(wanted, other)
    const contains = wanted.length > 2 && other.length > 2 && (other.includes(wanted) || wanted.includes(other))
    if (score <= reach || contains) scored.push({candidate, score: contains ? Math.min(score, reach) : score})
  }
  return scored
    .sort((a, b) => a.score - b.score || compareTexts(a.candidate, b.candidate))
    .slice(0, limit)
    .map(({candidate}) => candidate)
}

/** Edit distance with swaps of neighbours counted once: typing errors are mostly those. */
function distance(a: string, b: string): number {
  let before: number[] = []
  let previous = Array.from({length: b.length + 1}, (_, index) => index)
  for (let i = 1; i <= a.length; i++) {
    const current = [i]
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1]
      let best = Math.min(previous[j]! + 1, current[j - 1]! + 1, previous[j - 1]! + (same ? 0 : 1))
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) best = Math.min(best, before[j - 2]! + 1)
      current.push(best)
    }
    before = previous
    previous = current
  }
  return previous[b.length]!
}
