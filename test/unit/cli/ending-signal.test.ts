import {describe, expect, it} from 'vitest'
import {endingSignal} from '../../../src/cli/ending-signal.ts'
import type {MirrordError} from '../../../src/errors/mirrord-error.ts'

describe('the signal of a stop', () => {
  it.each([
    ['SIGINT', 'SIGINT'],
    ['int', 'SIGINT'],
    ['Term', 'SIGTERM'],
    ['sigkill', 'SIGKILL'],
  ])('%s is %s', (text, signal) => {
    expect(endingSignal(text)).toBe(signal)
  })

  it.each(['15', '', 'STOP', 'SIGCONT', 'SIG', 'SIGSIGINT', 'WINCH', '-9'])(
    '"%s" is refused, with what there is',
    (text) => {
      let thrown: unknown
      try {
        endingSignal(text)
      } catch (error) {
        thrown = error
      }
      expect(thrown).toMatchObject({report: {code: 'SIGNAL_UNKNOWN', exit: 'usage'}})
      expect((thrown as MirrordError).report.next[0]).toContain('SIGINT')
    },
  )
})
