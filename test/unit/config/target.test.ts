import {describe, expect, it} from 'vitest'
import {formatTarget, nearest, parseTarget} from '../../../src/config/index.ts'
import type {MirrordError} from '../../../src/errors/mirrord-error.ts'

const refusal = (text: string) => {
  try {
    parseTarget(text)
  } catch (error) {
    return (error as MirrordError).report
  }
  throw new Error(`${text} was accepted`)
}

describe('parseTarget', () => {
  it.each([
    ['targetless', {kind: 'targetless'}],
    ['pod/a', {kind: 'pod', name: 'a'}],
    ['deployment/a', {kind: 'deployment', name: 'a'}],
    ['deploy/a/container/b', {kind: 'deployment', name: 'a', container: 'b'}],
  ])('reads %s', (text, target) => {
    expect(parseTarget(text)).toEqual(target)
  })

  it('writes what it reads', () => {
    for (const text of ['targetless', 'pod/a', 'deployment/a/container/b']) {
      expect(formatTarget(parseTarget(text))).toBe(text)
    }
  })

  it.each([
    ['web', 'did you mean pod/<name> or deployment/<name>?'],
    ['', 'empty'],
    ['pod', 'lacks a name'],
    ['pod/', 'malformed'],
    ['deployments/web', 'did you mean deployment/<name>'],
    ['pod/a/b', 'malformed'],
    ['pod/a/container', 'malformed'],
    ['pod/a/container/', 'malformed'],
    ['pod/a/containers/b', 'malformed'],
    ['pod/a/container/b/c', 'malformed'],
    ['node/x', 'no kind of target'],
    ['pod/..', 'cannot be a name'],
    ['pod/Web', 'cannot be a name'],
    ['pod/a/container/b c', 'cannot be a name'],
  ])('refuses %j with the likely meaning', (text, words) => {
    const {exit, code, why} = refusal(text)
    expect([exit, code]).toEqual(['configInvalid', 'TARGET_INVALID'])
    expect(why).toContain(words)
  })

  it.each(['rollout/x', 'job/x', 'cronjob/x', 'statefulset/x', 'service/x', 'replicaset/x', 'label/a=b,c=d'])(
    'says of %s that it comes later',
    (text) => {
      expect(refusal(text)).toMatchObject({exit: 'configUnsupported', code: 'TARGET_KIND_UNSUPPORTED'})
    },
  )
})

describe('nearest', () => {
  it.each([
    ['imagee', ['ttl', 'image', 'images'], 'image'],
    ['stratup_timeout', ['startup_timeout', 'communication_timeout'], 'startup_timeout'],
    ['Agent', ['agent', 'api'], 'agent'],
    ['web', ['web-frontend', 'db'], 'web-frontend'],
    ['xyz', ['agent', 'target'], undefined],
  ])('%s', (word, candidates, expected) => {
    expect(nearest(word, candidates, 1)[0]).toBe(expected)
  })
})
