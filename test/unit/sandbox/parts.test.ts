import {expect, test} from 'vitest'

import {parsePath, parseTarget} from '../../../sandbox/api/request.ts'
import {misfits, settle} from '../../../sandbox/api/schema.ts'
import type {Schema} from '../../../sandbox/api/schema.ts'
import {parseFieldSelector, parseLabelSelector} from '../../../sandbox/api/selectors.ts'
import {Store} from '../../../sandbox/api/store.ts'
import {R} from '../../../sandbox/api/resources.ts'
import type {Endpoints, Obj, Service} from '../../../sandbox/api/types.ts'
import {decodeProtobuf} from '../../../sandbox/api/protobuf.ts'
import {age} from '../../../sandbox/api/tables.ts'
import {expand} from '../../../sandbox/kubelet/environment.ts'
import {clusterAnswer} from '../../../sandbox/net/dns.ts'
import {serviceRules} from '../../../sandbox/net/services.ts'

const meta = (name: string, namespace?: string) => ({
  name,
  namespace,
  uid: '',
  resourceVersion: '',
  creationTimestamp: '',
})

test('label selectors', () => {
  const labels = {app: 'web', tier: 'front'}
  const holds = (text: string) => parseLabelSelector(text)(labels)
  for (const text of [
    '',
    'app=web',
    'app==web,tier',
    'app in (a, web)',
    'app notin (a,b)',
    '!none',
    'app!=x',
    'none!=x',
  ])
    expect(holds(text), text).toBe(true)
  for (const text of ['app=x', 'none', '!app', 'app in (a)', 'app notin (web)', 'none=x'])
    expect(holds(text), text).toBe(false)
  expect(() => holds('a b c')).toThrow(/unable to parse/)
})

test('field selectors know their fields', () => {
  const pod: Obj = {apiVersion: 'v1', kind: 'Pod', metadata: meta('p'), status: {phase: 'Running'}}
  expect(parseFieldSelector('status.phase=Running,metadata.name!=q', ['status.phase'])(pod)).toBe(true)
  expect(() => parseFieldSelector('spec.x=1', [])).toThrow(/field label not supported/)
})

test('paths', () => {
  const store = new Store()
  const target = (path: string) => parseTarget(store, parsePath(path)!)
  expect(target('/api/v1/namespaces/a')).toMatchObject({resource: R.namespaces, name: 'a'})
  expect(target('/api/v1/namespaces/a/pods/p/log')).toMatchObject({
    resource: R.pods,
    namespace: 'a',
    name: 'p',
    subresource: 'log',
  })
  expect(target('/api/v1/namespaces/a/finalize')).toMatchObject({
    resource: R.namespaces,
    name: 'a',
    subresource: 'finalize',
  })
  for (const path of ['/api/v1/pods/p', '/apis/apps/v2/deployments', '/apis/none/v1/things'])
    expect(() => target(path)).toThrow(/could not find/)
  for (const path of ['/version', '/api/v2/pods', '/apis/apps/v1']) expect(parsePath(path)).toBeUndefined()
})

test('custom objects are pruned, filled in and checked by their schema', () => {
  const schema: Schema = {
    type: 'object',
    required: ['spec'],
    properties: {
      metadata: {type: 'object'},
      spec: {
        type: 'object',
        properties: {
          changes: {type: 'array', items: {type: 'object', properties: {kind: {type: 'string', enum: ['a', 'b']}}}},
          level: {type: 'integer', default: 3},
          port: {'x-kubernetes-int-or-string': true},
          labels: {type: 'object', additionalProperties: {type: 'string'}},
          open: {type: 'object', 'x-kubernetes-preserve-unknown-fields': true},
        },
      },
    },
  }
  const object = {
    extra: 1,
    spec: {changes: [{kind: 'a', more: 1}], labels: {x: 'y'}, open: {any: 1}, port: 'http', toString: 1},
  }
  settle(schema, object)
  expect(object).toEqual({
    spec: {changes: [{kind: 'a'}], labels: {x: 'y'}, open: {any: 1}, port: 'http', level: 3},
  })
  expect(misfits(schema, object, '')).toEqual([])
  const wrong = {spec: {changes: [{kind: 'c'}, 1], level: 'high', labels: {x: 1}, port: true}}
  expect(misfits(schema, wrong, '').map(({field}) => field)).toEqual([
    'spec.changes[0].kind',
    'spec.changes[1]',
    'spec.level',
    'spec.labels.x',
    'spec.port',
  ])
  expect(misfits(schema, {}, '')).toMatchObject([{reason: 'FieldValueRequired', field: 'spec'}])
})

test('ages as kubectl prints them', () => {
  const at = (seconds: number) => age('2026-01-01T00:00:00Z', Date.parse('2026-01-01T00:00:00Z') + seconds * 1000)
  expect([5, 119, 200, 3600, 36_000, 200_000, 90_000_000].map(at)).toEqual([
    '5s',
    '119s',
    '3m20s',
    '60m',
    '10h',
    '2d7h',
    '2y',
  ])
})

test('variables in commands', () => {
  expect(expand('a $(X) $$(X) $(Y) $', {X: '1'})).toBe('a 1 $(X) $(Y) $')
})

test('protobuf: a namespace as kubectl sends it, and rubbish', () => {
  const field = (number: number, bytes: Buffer) =>
    Buffer.concat([Buffer.from([(number << 3) | 2, bytes.length]), bytes])
  const text = (number: number, value: string) => field(number, Buffer.from(value))
  const label = field(11, Buffer.concat([text(1, 'a'), text(2, 'b')]))
  const body = Buffer.concat([
    Buffer.from('k8s\0'),
    field(1, Buffer.concat([text(1, 'v1'), text(2, 'Namespace')])),
    field(2, field(1, Buffer.concat([text(1, 'team'), label]))),
  ])
  expect(decodeProtobuf(body)).toEqual({
    apiVersion: 'v1',
    kind: 'Namespace',
    metadata: {name: 'team', labels: {a: 'b'}},
  })
  for (let length = 0; length < body.length; length++) {
    try {
      decodeProtobuf(body.subarray(0, length))
    } catch (error) {
      expect((error as Error).message).toContain('broken protobuf')
    }
  }
})

test('service rules: random choice, refusal without backends, hairpin', () => {
  const service: Service = {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: meta('s', 'd'),
    spec: {type: 'ClusterIP', clusterIP: '10.0.0.1', ports: [{port: 80, protocol: 'TCP', targetPort: 8080}]},
  }
  const endpoints: Endpoints = {
    apiVersion: 'v1',
    kind: 'Endpoints',
    metadata: meta('s', 'd'),
    subsets: [{addresses: [{ip: '10.1.0.1'}, {ip: '10.1.0.2'}], ports: [{port: 8080, protocol: 'TCP'}]}],
  }
  const rules = serviceRules([service], () => endpoints, '10.1.0.9', '10.0.0.0/24').split('\n')
  expect(rules).toContain(
    '-A SVC-0 -p tcp -m statistic --mode random --probability 0.50000000 -j DNAT --to-destination 10.1.0.1:8080',
  )
  expect(rules).toContain('-A SVC-0 -p tcp -j DNAT --to-destination 10.1.0.2:8080')
  expect(rules).toContain('-A HAIRPIN -s 10.1.0.1/32 -d 10.1.0.1/32 -j MASQUERADE')
  const none = serviceRules([service], () => undefined, '10.1.0.9', '10.0.0.0/24')
  expect(none).toContain('-A SERVICES -d 10.0.0.1/32 -p tcp -m tcp --dport 80 -j REJECT --reject-with tcp-reset')
})

test('cluster names', () => {
  const store = new Store()
  store.create(R.namespaces, {apiVersion: 'v1', kind: 'Namespace', metadata: meta('d')})
  store.create<Service>(R.services, {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: meta('s', 'd'),
    spec: {type: 'ClusterIP', clusterIP: '10.0.0.1', ports: [{name: 'http', port: 80, protocol: 'TCP', targetPort: 1}]},
  })
  const ask = (name: string, type = 'A') => clusterAnswer(store, {name, type})
  expect(ask('S.d.svc.cluster.local')?.answers).toEqual([
    {type: 'A', name: 'S.d.svc.cluster.local', ttl: 5, data: '10.0.0.1'},
  ])
  expect(ask('_http._tcp.s.d.svc.cluster.local', 'SRV')?.answers[0]?.data).toMatchObject({
    port: 80,
    target: 's.d.svc.cluster.local',
  })
  expect(ask('s.d.svc.cluster.local', 'AAAA')).toEqual({exists: true, answers: []})
  expect(ask('x.d.svc.cluster.local')).toEqual({exists: false, answers: []})
  expect(ask('example.org')).toBeUndefined()
})

test('the store: versions, conflicts, history', () => {
  const store = new Store()
  const made = store.create<Obj>(R.configmaps, {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: meta('m', 'd'),
    data: {a: '1'},
  })
  const next = store.update(R.configmaps, {...made, data: {a: '2'}})
  expect(Number(next.metadata.resourceVersion)).toBeGreaterThan(Number(made.metadata.resourceVersion))
  expect(() => store.update(R.configmaps, {...made, data: {a: '3'}})).toThrow(/has been modified/)
  expect(store.update(R.configmaps, next)).toBe(next)
  expect(store.since('/configmaps', Number(made.metadata.resourceVersion)).map((change) => change.type)).toEqual([
    'MODIFIED',
  ])
})
