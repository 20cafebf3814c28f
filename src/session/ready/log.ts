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
        let lines = 0
        tell('no line of output yet')
        const follower = followOutput(outputDirectory, (line) => {
          lines++
          if (matches(stripVTControlCharacters(line)) === 0)
            return tell(`none of ${lines === 1 ? 'one line' : `${lines} lines`} matched`)
          settle()
          resolve(`a line matches /${pattern}/`)
        })
        // The first look may have found the line already.
        const aborted = () => {
          settle()
          reject(signal.reason as Error)
        }
        function settle() {
          signal.removeEventListener('abort', aborted)
          queueMicrotask(() => follower.close())
        }
        if (signal.aborted) aborted()
        else signal.addEventListener('abort', aborted)
      }),
  }
}
