import {expect, test} from 'vitest'

import type {Json} from '../../../sandbox/api/types.ts'
import {jsonPatch, mergePatch, strategicMerge} from '../../../sandbox/api/patch.ts'

test('merge patch: null deletes, lists are replaced', () => {
  expect(mergePatch({a: 1, b: {c: 2, d: [1]}}, {a: null, b: {d: [2]}})).toEqual({b: {c: 2, d: [2]}})
})

test('strategic merge finds list elements by their key', () => {
  const target: Json = {
    containers: [
      {name: 'a', image: '1', ports: [{containerPort: 80, name: 'x'}]},
      {name: 'b', image: '1'},
    ],
  }
  const patch: Json = {
    containers: [
      {name: 'a', image: '2', ports: [{containerPort: 81}]},
      {name: 'b', $patch: 'delete'},
      {name: 'c', image: '3'},
    ],
  }
  expect(strategicMerge(target, patch)).toEqual({
    containers: [
      {name: 'a', image: '2', ports: [{containerPort: 80, name: 'x'}, {containerPort: 81}]},
      {name: 'c', image: '3'},
    ],
  })
})

test('strategic merge directives', () => {
  const target = {
    finalizers: ['a', 'b'],
    strategy: {type: 'RollingUpdate', rollingUpdate: {x: 1}},
    env: [{name: 'A'}, {name: 'B'}],
    args: ['1', '2'],
  }
  const patch = {
    '$deleteFromPrimitiveList/finalizers': ['a'],
    strategy: {$retainKeys: ['type'], type: 'Recreate'},
    '$setElementOrder/env': [{name: 'C'}, {name: 'A'}, {name: 'B'}],
    env: [{name: 'C'}],
    args: ['3'],
  }
  expect(strategicMerge(target, patch)).toEqual({
    finalizers: ['b'],
    strategy: {type: 'Recreate'},
    env: [{name: 'C'}, {name: 'A'}, {name: 'B'}],
    args: ['3'],
  })
})

test('JSON patch', () => {
  const target = {a: [1, 2], 'b/c': {d: 1}}
  const result = jsonPatch(target, [
    {op: 'test', path: '/a/0', value: 1},
    {op: 'add', path: '/a/-', value: 3},
    {op: 'remove', path: '/a/0'},
    {op: 'move', from: '/b~1c/d', path: '/e'},
  ])
  expect(result).toEqual({a: [2, 3], 'b/c': {}, e: 1})
  expect(target.a).toEqual([1, 2])
  expect(() => jsonPatch(target, [{op: 'remove', path: '/none'}])).toThrow(/does not apply/)
})
