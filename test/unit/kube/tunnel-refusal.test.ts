import {expect, test} from 'vitest'
import {isNoTunnel} from '../../../src/kube/tunnel-refusal.ts'

test.each<[string, number, string | undefined, string]>([
  ['a kubelet does not know the pod', 404, undefined, 'pod does not exist'],
  ['an older kubelet does not', 404, undefined, 'pod not found ("agent_ci")'],
  ['the API server does not', 404, 'Status', 'pods "agent" not found'],
  ['its sandbox is not there yet', 500, 'Status', 'error upgrading connection: sandbox not ready'],
])('%s: that passes', (_, code, kind, message) => {
  expect(isNoTunnel(code, {kind, message})).toBe(false)
})

test.each<[string, number, string | undefined, string]>([
  ['a gateway has no such page', 404, undefined, '404 page not found'],
  ['the API server has no such resource', 404, 'Status', 'the server could not find the requested resource'],
])('%s: that is no tunnel', (_, code, kind, message) => {
  expect(isNoTunnel(code, {kind, message})).toBe(true)
})
