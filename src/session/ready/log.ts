import {stripVTControlCharacters} from 'node:util'
import {compilePatterns, patternMatcher} from '../../patterns/index.ts'
import {followOutput} from '../output-lines.ts'
import type {Probe} from './probe.ts'

/** A line of the program's output, colours taken out, matches a pattern; every line since its start counts. */
export function logProbe(pattern: string, outputDirectory: string): Probe {
  const label = `a line of output that matches /${pattern}/`
  return {
    label,
    hints: ['Read the last output below: the line may be worded otherwise, or be held in a buffer of the program.'],
    wait: (signal, tell) =>
      new Promise((resolve, reject) => {
        const matches = patternMatcher(compilePatterns([{pattern, label: 1}]))
        const settle = () => {
          signal.removeEventListener('abort', aborted)
          follower.close()
        }
        const aborted = () => {
          settle()
          reject(signal.reason as Error)
        }
        tell('there is no output yet')
        const follower = followOutput(outputDirectory, (line) => {
          if (matches(stripVTControlCharacters(line)) === 0) return tell('no line matched so far')
          settle()
          resolve(`a line matches /${pattern}/`)
        })
        if (signal.aborted) aborted()
        else signal.addEventListener('abort', aborted)
      }),
  }
}
