import {describe, expect, it} from 'vitest'
import {lookup, LookupError, type ReadConfig} from '../../../src/agent/dns/lookup.ts'
import {candidateNames, parseHosts, parseResolvConf} from '../../../src/agent/dns/resolver-config.ts'
import {fromErrno, toRemoteIo} from '../../../src/agent/os-error.ts'

describe('parseResolvConf', () => {
  it('reads what kubelet writes', () => {
    const text =
      'search a.svc.cluster.local svc.cluster.local\nnameserver 10.96.0.10\noptions ndots:5 timeout:3 attempts:4\n'
    expect(parseResolvConf(text)).toEqual({
      servers: ['10.96.0.10'],
      search: ['a.svc.cluster.local', 'svc.cluster.local'],
      ndots: 5,
      timeout: 3000,
      attempts: 4,
    })
  })

  it('has defaults, skips noise, brackets IPv6', () => {
    expect(parseResolvConf('# x\n; y\nrubbish\n')).toEqual({
      servers: ['127.0.0.1'],
      search: [],
      ndots: 1,
      timeout: 5000,
      attempts: 2,
    })
    expect(parseResolvConf('nameserver fe80::1%eth0\nnameserver bad\n').servers).toEqual(['[fe80::1%eth0]'])
    expect(parseResolvConf('search a b\ndomain c\n').search).toEqual(['c'])
    expect(parseResolvConf('options ndots:99 timeout:0 rotate').ndots).toBe(15)
  })
})

describe('candidateNames', () => {
  const config = {search: ['x.y', 'y'], ndots: 2}
  it('orders by the number of dots', () => {
    expect(candidateNames('a', config)).toEqual(['a.x.y', 'a.y', 'a'])
    expect(candidateNames('a.b.c', config)).toEqual(['a.b.c', 'a.b.c.x.y', 'a.b.c.y'])
    expect(candidateNames('a.', config)).toEqual(['a'])
  })
})

describe('lookup', () => {
  const files =
    (map: Record<string, string>): ReadConfig =>
    (path) =>
      map[path] === undefined
        ? Promise.reject(Object.assign(new Error('gone'), {code: 'ENOENT'}))
        : Promise.resolve(map[path])
  const options = {timeout: 1, attempts: 1}

  it('answers literals without any file, by family', async () => {
    expect(await lookup('10.0.0.1', 'both', files({}), options)).toEqual([{name: '10.0.0.1', ip: '10.0.0.1'}])
    expect(await lookup('10.0.0.1', 'v6', files({}), options)).toEqual([])
  })

  it('prefers the hosts file', async () => {
    const read = files({'/etc/hosts': '::1 localhost\n127.0.0.1 LocalHost # x\n', '/etc/resolv.conf': ''})
    expect(await lookup('localhost.', 'any', read, options)).toEqual([{name: 'localhost.', ip: '127.0.0.1'}])
    expect(await lookup('localhost', 'v6', read, options)).toEqual([{name: 'localhost', ip: '::1'}])
    expect([...parseHosts('bad x\n1.1.1.1 a b\n').keys()]).toEqual(['a', 'b'])
  })

  it('fails when the configuration cannot be read', async () => {
    const error = await lookup('a', 'v4', files({'/etc/hosts': ''}), options).catch((reason: unknown) => reason)
    expect(error).toBeInstanceOf(LookupError)
    expect((error as LookupError).kind).toEqual({type: 'notFound'})
  })
})

describe('os errors', () => {
  it('maps numbers to kinds as Rust does', () => {
    expect(fromErrno(111)).toEqual({rawOsError: 111, kind: {type: 'ConnectionRefused'}})
    expect(fromErrno(13)).toEqual({rawOsError: 13, kind: {type: 'PermissionDenied'}})
    expect(fromErrno(40).kind).toEqual({
      type: 'Unknown',
      value: 'filesystem loop or indirection limit (e.g. symlink loop)',
    })
    expect(fromErrno(9).kind).toEqual({type: 'Unknown', value: 'uncategorized error'})
  })

  it('understands what Node throws', () => {
    expect(toRemoteIo(Object.assign(new Error(), {code: 'EHOSTUNREACH', errno: -113})).rawOsError).toBe(113)
    expect(toRemoteIo(Object.assign(new Error(), {code: 'ENOTSUP'})).rawOsError).toBe(95)
    expect(toRemoteIo(new Error('x'))).toEqual({kind: {type: 'Other'}})
  })
})
