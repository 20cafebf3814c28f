import {Errors} from '@oclif/core'
import {describe, expect, it} from 'vitest'
import {formatReport, ReportedError, reportOf} from '../../../src/cli/report.ts'
import {colorFor} from '../../../src/util/color.ts'
import {MirrordError, type ErrorReport} from '../../../src/errors/mirrord-error.ts'

const plain = colorFor(process.stderr, {NO_COLOR: '1'})
const report: ErrorReport = {
  code: 'TARGET_NOT_FOUND',
  exit: 'targetNotFound',
  what: 'There is no pod web.',
  why: 'The namespace has two pods:\nweb-0 and web-1.',
  next: ['Choose one of them.', 'Or name the deployment.'],
  detail: 'first line\nsecond line',
}

describe('formatReport', () => {
  it('says what, why, what next, the code and the details, in this order', () => {
    expect(formatReport(report, plain)).toBe(
      [
        'Error: There is no pod web.',
        '  Why:  The namespace has two pods:',
        '        web-0 and web-1.',
        '  Next: Choose one of them.',
        '        Or name the deployment.',
        '  Code: TARGET_NOT_FOUND (exit 43)',
        '',
        '  | first line',
        '  | second line',
      ].join('\n'),
    )
  })

  it('leaves out what is not known', () => {
    expect(formatReport({...report, why: undefined, detail: undefined}, plain)).not.toMatch(/Why|\|/)
  })
})

describe('reportOf', () => {
  it('gives the report of our errors, directly or through a hook', () => {
    expect(reportOf(new MirrordError(report))).toEqual(report)
    expect(reportOf(new ReportedError(new MirrordError(report)))).toEqual(report)
  })

  it('leaves usage errors and exits to oclif', () => {
    expect(reportOf(new Errors.CLIError('Nonexistent flag: --x'))).toBeUndefined()
    expect(reportOf(new Errors.ExitError(3))).toBeUndefined()
  })

  it('makes a report of a defect, so that it too has a code and a next step', () => {
    expect(reportOf(new TypeError('x is undefined'))).toMatchObject({code: 'UNEXPECTED', exit: 'unexpected'})
    expect(reportOf('a string')).toMatchObject({code: 'UNEXPECTED'})
  })
})

describe('ReportedError', () => {
  it('stops oclif with the exit code of the report', () => {
    const error = new ReportedError(new MirrordError(report))
    expect(error).toBeInstanceOf(Errors.CLIError)
    expect(error.oclif.exit).toBe(43)
    expect(new ReportedError(new TypeError('x')).oclif.exit).toBe(1)
  })
})
