import {constants} from 'node:os'
import {afterEach, beforeEach, describe, expect, it, vi} from 'vitest'
import {pickLoopbackAddress, SourcePorts} from '../../../src/proxy/addresses.ts'
import {composeEnvironment} from '../../../src/proxy/environment.ts'
import {connectErrno} from '../../../src/proxy/errno.ts'
import {FlowControl} from '../../../src/proxy/flow.ts'
import {nameservers, withDnsHosts, withNameserver} from '../../../src/proxy/resolver-files.ts'
import type {ResponseError} from '../../../src/protocol/index.ts'

const {errno} = constants

describe('resolver files', () => {
  const pod =
    '# made by kubelet\nsearch shop.svc.cluster.local svc.cluster.local\nnameserver 10.96.0.10\n\toptions ndots:5\n nameserver  fd00::a # second\r\n#nameserver 1.1.1.1\nnameserverx 2.2.2.2\n'

  it('has the nameservers in their order, comments apart', () => {
    expect(nameservers(pod)).toEqual(['10.96.0.10', 'fd00::a'])
    expect(nameservers('')).toEqual([])
  })

  it('gets one nameserver, and keeps the search list and the options of the pod', () => {
    const text = withNameserver(pod, '127.70.0.1')
    expect(nameservers(text)).toEqual(['127.70.0.1'])
    expect(text).toContain('search shop.svc.cluster.local svc.cluster.local\n')
    expect(text).toContain('options ndots:5\n')
    expect(text.endsWith('\n')).toBe(true)
  })

  it.each([
    [undefined, 'hosts: files dns\n'],
    ['passwd: files\nhosts: files resolve [!UNAVAIL=return] dns\n', 'passwd: files\nhosts: files dns\n'],
    ['  hosts : mdns\nhosts: db\n', 'hosts: files dns\n'],
    ['#hosts: x\n', '#hosts: x\nhosts: files dns\n'],
  ])('makes of nsswitch.conf %j the answers of files and DNS only', (local, expected) => {
    expect(withDnsHosts(local)).toBe(expected)
  })
})

describe('the environment of the program', () => {
  it('is local, then the pod, then override, then without what is unset', () => {
    const local = {A: 'local', B: 'local', C: 'local', D: 'local', PATH: '/bin'}
    const remote = new Map([
      ['B', 'pod'],
      ['C', 'pod'],
      ['D', 'pod'],
      ['E', ''],
    ])
    expect(
      composeEnvironment(local, remote, {override: {C: 'override', D: 'x', F: 'new'}, unset: ['D', 'd', 'G']}),
    ).toEqual({A: 'local', B: 'pod', C: 'override', E: '', F: 'new', PATH: '/bin'})
    expect(local.B).toBe('local')
  })

  it('does not hand on the credential of the CI', () => {
    const local = {MIRRORD_CI_API_KEY: 'secret', MIRRORD_KUBECONFIG_B64: 'secret', MIRRORD_CI_JOB: 'x'}
    expect(composeEnvironment(local, [], {})).toEqual({MIRRORD_CI_JOB: 'x'})
  })
})

describe('connectErrno', () => {
  const io = (type: string, rawOsError?: number) =>
    ({type: 'RemoteIO', value: {rawOsError, kind: {type}}}) as unknown as ResponseError

  it.each([
    [io('ConnectionRefused', errno.EHOSTUNREACH), errno.EHOSTUNREACH],
    [io('ConnectionRefused'), errno.ECONNREFUSED],
    [io('TimedOut'), errno.ETIMEDOUT],
    [io('HostUnreachable'), errno.EHOSTUNREACH],
    [io('NetworkUnreachable'), errno.ENETUNREACH],
    [io('PermissionDenied'), errno.EACCES],
    [io('Other'), errno.EIO],
    [{type: 'Remote', value: {type: 'ConnectTimedOut', value: {}}} as unknown as ResponseError, errno.ETIMEDOUT],
    [{type: 'Remote', value: {type: 'InvalidAddress'}} as unknown as ResponseError, errno.EINVAL],
    [{type: 'Forbidden', value: {}} as unknown as ResponseError, errno.EACCES],
    [{type: 'ForbiddenWithReason', value: {}} as unknown as ResponseError, errno.EACCES],
    [{type: 'IdsExhausted', value: 'x'} as unknown as ResponseError, errno.ENOMEM],
    [{type: 'NotImplemented'} as unknown as ResponseError, errno.EIO],
  ])('of %j is %i', (error, expected) => {
    expect(connectErrno(error)).toBe(expected)
  })
})

describe('local addresses', () => {
  it('are loopback addresses outside of what programs use', () => {
    for (let round = 0; round < 1000; round++) {
      const [first, second, , last] = pickLoopbackAddress().split('.').map(Number)
      expect(first).toBe(127)
      expect(second).toBeGreaterThanOrEqual(64)
      expect(second).toBeLessThan(128)
      expect(last).toBeGreaterThan(0)
      expect(last).toBeLessThan(255)
    }
  })

  it('have every unprivileged source port once in a round', () => {
    const ports = new SourcePorts()
    const round = 65_535 - 1024 + 1
    const seen = new Set(Array.from({length: round}, () => ports.next()))
    expect([seen.size, Math.min(...seen), Math.max(...seen)]).toEqual([round, 1024, 65_535])
  })
})

describe('FlowControl', () => {
  let calls: string[]
  let flow: FlowControl
  const [a, b] = [{}, {}]
  const reset = (name: string) => () => void calls.push(`reset ${name}`)

  beforeEach(() => {
    vi.useFakeTimers({toFake: ['setTimeout', 'clearTimeout']})
    calls = []
    flow = new FlowControl(
      {pause: () => void calls.push('pause'), resume: () => void calls.push('resume')},
      {slowBytes: 1000, stallMs: 15_000},
    )
  })
  afterEach(() => {
    vi.useRealTimers()
  })

  it('pauses the tunnel from the first slow stream until the last has taken half of its data', () => {
    flow.grown(a, 999, reset('a'))
    expect(calls).toEqual([])
    flow.grown(a, 1000, reset('a'))
    flow.grown(a, 2000, reset('a'))
    flow.grown(b, 1000, reset('b'))
    flow.shrunk(a, 501)
    flow.shrunk(a, 500)
    expect(calls).toEqual(['pause'])
    flow.shrunk(b, 0)
    expect(calls).toEqual(['pause', 'resume'])
  })

  it('resets a stream that takes nothing, and goes on when it is gone', () => {
    flow.grown(a, 1000, reset('a'))
    vi.advanceTimersByTime(15_000)
    expect(calls).toEqual(['pause', 'reset a'])
    flow.forget(a)
    expect(calls).toEqual(['pause', 'reset a', 'resume'])
  })

  it('is patient with a stream that takes little at a time', () => {
    flow.grown(a, 2000, reset('a'))
    for (let left = 1990; left > 500; left -= 10) {
      vi.advanceTimersByTime(14_000)
      flow.shrunk(a, left)
    }
    expect(calls).toEqual(['pause'])
  })

  it('wakes every stream that waits for the tunnel once, those that are gone not at all', () => {
    flow.waitForDrain(a, () => calls.push('a'))
    flow.waitForDrain(b, () => calls.push('b'))
    flow.forget(b)
    flow.drained()
    flow.drained()
    expect(calls).toEqual(['a'])
  })

  it('lets a stream wait again while it is being woken', () => {
    flow.waitForDrain(a, () => flow.waitForDrain(a, () => calls.push('again')))
    flow.drained()
    expect(calls).toEqual([])
    flow.drained()
    expect(calls).toEqual(['again'])
  })
})
