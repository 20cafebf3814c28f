import {describe, expect, it} from 'vitest'
import {resolveConfig} from '../../../src/config/index.ts'
import type {ResolvedTarget} from '../../../src/kube/index.ts'
import {targetWarnings} from '../../../src/session/target-warnings.ts'

const pod: ResolvedTarget = {
  ...{target: 'deployment/web', name: 'web-1', namespace: 'n', ips: ['10.0.0.1'], node: 'node-1', others: []},
  ...{
    container: 'app',
    containers: ['app', 'cache'],
    containerGuessed: false,
    containerId: 'abc',
    runtime: 'containerd',
  },
  ...{shareProcessNamespace: false, probePorts: []},
}
const warnings = async (change: Partial<ResolvedTarget>, file: object = {}) => {
  const text = JSON.stringify({target: 'deployment/web', ...file})
  const {config} = await resolveConfig({
    flags: {'config-file': 'm.json'},
    env: {},
    cwd: '/',
    incomingDefault: 'steal',
    readFile: async () => text,
  })
  return targetWarnings({...pod, ...change}, config).join('\n')
}
const off = {feature: {network: {incoming: 'off'}}}

describe('what is told of the chosen pod', () => {
  it('is nothing where nothing is to be known', async () => {
    expect(await warnings({})).toBe('')
  })

  it('[LIF-26] is the container, where it was guessed', async () => {
    expect(await warnings({containerGuessed: true})).toBe('container "app" was chosen; the pod also has cache')
  })

  it('[LIF-27] are the ports of its probes, which an unfiltered steal takes too', async () => {
    expect(await warnings({probePorts: [80]})).toContain('probes of the pod ask port 80:')
    expect(await warnings({probePorts: [80, 81]})).toContain('ask the ports 80, 81:')
    expect(await warnings({probePorts: [80]}, off)).toBe('')
    const ports = {feature: {network: {incoming: {mode: 'steal', ports: [81]}}}}
    expect(await warnings({probePorts: [80]}, ports)).toBe('')
    expect(await warnings({probePorts: [80, 81]}, ports)).toContain('ask port 81:')
  })

  it('are the other pods, which go on answering', async () => {
    expect(await warnings({others: ['web-2']})).toContain('deployment/web has another ready pod')
    expect(await warnings({others: ['web-2', 'web-3']})).toContain('deployment/web has 2 more ready pods')
    expect(await warnings({others: ['web-2']}, off)).toBe('')
  })

  it('is a mesh in which only a privileged agent redirects', async () => {
    expect(await warnings({mesh: 'istio-ambient'})).toContain('agent.privileged: true')
    expect(await warnings({mesh: 'istio-ambient'}, {agent: {privileged: true}})).toBe('')
    expect(await warnings({mesh: 'istio'})).toBe('')
  })
})
