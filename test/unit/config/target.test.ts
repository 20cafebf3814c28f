import {describe, expect, it} from 'vitest'
import {formatTarget, namedKinds, nearest, readTargetText, type TargetPath} from '../../../src/config/index.ts'

const problem = (text: string) => {
  const reading = readTargetText(text)
  if ('problem' in reading) return reading.problem
  throw new Error(`${text} was accepted`)
}

describe('readTargetText', () => {
  const targets: [string, TargetPath][] = [
    ['targetless', {kind: 'targetless'}],
    ...namedKinds.map((kind) => [`${kind}/a`, {kind, name: 'a'}] as [string, TargetPath]),
    ['deploy/a/container/b', {kind: 'deployment', name: 'a', container: 'b'}],
    ['label/app=web', {kind: 'label', labels: {app: 'web'}}],
    [
      'label/app=web,x.io/tier=,a=1/container/b',
      {kind: 'label', labels: {app: 'web', 'x.io/tier': '', a: '1'}, container: 'b'},
    ],
  ]
  it.each(targets)('reads %s', (text, target) => {
    expect(readTargetText(text)).toEqual({target})
  })

  it('writes what it reads', () => {
    for (const text of ['targetless', 'pod/a', 'deployment/a/container/b', 'cronjob/a', 'label/a=b,c=d/container/e']) {
      const reading = readTargetText(text)
      expect('target' in reading && formatTarget(reading.target)).toBe(text)
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
    ['label', 'lacks a name'],
    ['label/', 'written label/<key>=<value>'],
    ['label/app', 'written label/<key>=<value>'],
    ['label/a=1,a=2', 'stands twice'],
    ['label/a=b c', 'value of a label'],
    ['label/-a=b', 'name of a label'],
  ])('refuses %j with the likely meaning', (text, words) => {
    expect(problem(text)).toContain(words)
  })
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
