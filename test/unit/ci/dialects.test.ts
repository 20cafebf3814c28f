import {describe, expect, it} from 'vitest'
import {annotationsOf} from '../../../src/ci/annotations.ts'
import {
  azureDialect,
  buildkiteDialect,
  githubDialect,
  gitlabDialect,
  teamcityDialect,
  travisDialect,
} from '../../../src/ci/dialects.ts'
import {formatOutputs} from '../../../src/ci/outputs.ts'

const now = new Date(1_700_000_000_999)
const name = 'mirrord_1'

describe('groups', () => {
  it.each([
    ['GitHub', githubDialect, '::group::mirrord ci start', '::endgroup::'],
    ['Azure', azureDialect, '##[group]mirrord ci start', '##[endgroup]'],
    [
      'GitLab',
      gitlabDialect,
      '\x1b[0Ksection_start:1700000000:mirrord_1[collapsed=true]\r\x1b[0Kmirrord ci start',
      '\x1b[0Ksection_end:1700000000:mirrord_1\r\x1b[0K',
    ],
    [
      'Travis',
      travisDialect,
      'travis_fold:start:mirrord_1\r\x1b[0Kmirrord ci start',
      'travis_fold:end:mirrord_1\r\x1b[0K',
    ],
    ['Buildkite', buildkiteDialect, '--- mirrord ci start', '+++ mirrord ci start'],
    [
      'TeamCity',
      teamcityDialect,
      "##teamcity[blockOpened name='mirrord ci start']",
      "##teamcity[blockClosed name='mirrord ci start']",
    ],
  ])('of %s', (_, dialect, open, close) => {
    expect(dialect.openGroup('mirrord ci start', name, now)).toBe(open)
    expect(dialect.closeGroup('mirrord ci start', name, now)).toBe(close)
  })

  it.each(
    Object.entries({githubDialect, azureDialect, gitlabDialect, travisDialect, buildkiteDialect, teamcityDialect}),
  )('of %s stay one line whatever the title holds', (_, dialect) => {
    const title = 'a\n::error::b\r\n##vso[task.complete]c'
    for (const line of [dialect.openGroup(title, name, now), dialect.closeGroup(title, name, now)]) {
      expect(line).not.toContain('\n')
      // A carriage return only where the format has one of its own.
      expect(line.replaceAll('\r\x1b[0K', '')).not.toContain('\r')
    }
  })
})

describe('errors', () => {
  const annotation = {title: 'mirrord: X, 1:2', message: '100% of\r\nit; [a]', file: 'ci/m,1.json', line: 3, column: 5}

  it.each([
    [
      githubDialect,
      '::error title=mirrord%3A X%2C 1%3A2,file=ci/m%2C1.json,line=3,col=5::100%25 of%0D%0Ait; [a]',
      '::error title=mirrord%3A X%2C 1%3A2::100%25 of%0D%0Ait; [a]',
    ],
    [
      azureDialect,
      '##vso[task.logissue type=error;sourcepath=ci/m,1.json;linenumber=3;columnnumber=5;code=mirrord: X, 1:2]100%AZP25 of%0D%0Ait; [a]',
      '##vso[task.logissue type=error;code=mirrord: X, 1:2]100%AZP25 of%0D%0Ait; [a]',
    ],
    [
      teamcityDialect,
      "##teamcity[message text='mirrord: X, 1:2: 100% of|r|nit; |[a|] (ci/m,1.json:3:5)' status='ERROR']",
      "##teamcity[message text='mirrord: X, 1:2: 100% of|r|nit; |[a|]' status='ERROR']",
    ],
  ])('are escaped, with and without their place', (dialect, withFile, without) => {
    expect(dialect.error!(annotation)).toBe(withFile)
    expect(dialect.error!({...annotation, file: undefined})).toBe(without)
  })

  it('cannot leave their property', () => {
    expect(azureDialect.error!({title: 'a]b;c=d', message: 'm'})).toBe(
      '##vso[task.logissue type=error;code=a%5Db%3Bc=d]m',
    )
    expect(teamcityDialect.error!({title: "a'b|", message: 'm'})).toBe(
      "##teamcity[message text='a|'b||: m' status='ERROR']",
    )
  })

  const report = {code: 'CONFIG_INVALID', exit: 'configInvalid', what: 'It is invalid.', next: ['Correct it.']} as const

  it('are one for each place at fault, relative to the repository', () => {
    const places = [
      {file: '/w/repo/ci/mirrord.json', line: 2, column: 3, message: 'tarket: is not a known key.'},
      {file: '/elsewhere/mirrord.json', line: 9, message: 'x: is not a known key.'},
    ]
    expect(annotationsOf({...report, places}, '/w/repo')).toEqual([
      {
        title: 'mirrord: CONFIG_INVALID',
        message: 'It is invalid. tarket: is not a known key.\nCorrect it.',
        file: 'ci/mirrord.json',
        line: 2,
        column: 3,
      },
      {title: 'mirrord: CONFIG_INVALID', message: 'It is invalid. x: is not a known key.\nCorrect it.'},
    ])
    expect(annotationsOf({...report, places}, undefined)[0]).not.toHaveProperty('file')
  })

  it('tell the whole without a place, but not the supporting lines', () => {
    expect(annotationsOf({...report, why: 'Because.', detail: 'log'}, '/w')).toEqual([
      {title: 'mirrord: CONFIG_INVALID', message: 'It is invalid. Because.\nCorrect it.'},
    ])
  })
})

describe('masks', () => {
  it('hide a value as the system wants it', () => {
    expect(githubDialect.mask!('a%\nb')).toBe('::add-mask::a%25%0Ab')
    expect(azureDialect.mask!('a%b')).toBe('##vso[task.setsecret]a%AZP25b')
    expect([gitlabDialect, travisDialect, buildkiteDialect, teamcityDialect].map(({mask}) => mask)).toEqual(
      Array(4).fill(undefined),
    )
  })
})

describe('outputs', () => {
  it('cannot set another output, whatever a value holds', () => {
    const text = formatOutputs({a: 'x\nb=y\nb<<E\nz\nE', c: ''})
    const [, first] = /^a<<(\S+)\n/.exec(text)!
    const [, second] = /^c<<(\S+)\n/m.exec(text)!
    expect(text).toBe(`a<<${first}\nx\nb=y\nb<<E\nz\nE\n${first}\nc<<${second}\n\n${second}\n`)
    expect(first).not.toBe(second)
  })
})
