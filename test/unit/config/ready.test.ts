import {describe, expect, it} from 'vitest'
import {resolveConfig} from '../../../src/config/index.ts'
import {isLoopback, parseHttp, parseTcp} from '../../../src/config/ready.ts'
import type {MirrordError} from '../../../src/errors/mirrord-error.ts'

describe('a port', () => {
  it.each([
    ['8080', 'localhost', 8080],
    [':8080', 'localhost', 8080],
    ['127.0.0.1:80', '127.0.0.1', 80],
    ['[::1]:65535', '::1', 65_535],
    ['db.example:5432', 'db.example', 5432],
  ])('%s', (text, host, port) => expect(parseTcp(text)).toEqual({host, port}))

  it.each(['', '0', '65536', 'http', '::1:80', '[nonsense]:80', '80/tcp', '-1'])('not %j', (text) =>
    expect(() => parseTcp(text)).toThrow('expected [HOST:]PORT'),
  )
})

describe('a URL', () => {
  const any: [number, number][] = [[200, 399]]
  it.each<[string, string, [number, number][]]>([
    ['http://localhost:8080/health', 'http://localhost:8080/health', any],
    [':8080/health', 'http://localhost:8080/health', any],
    ['8080', 'http://localhost:8080/', any],
    ['https://127.0.0.1/=401', 'https://127.0.0.1/', [[401, 401]]],
    [
      'http://localhost/=2xx,404',
      'http://localhost/',
      [
        [200, 299],
        [404, 404],
      ],
    ],
    ['http://localhost/?a=b', 'http://localhost/?a=b', any],
    ['http://localhost/?code=200=2xx', 'http://localhost/?code=200', [[200, 299]]],
  ])('%s', (text, url, status) => expect(parseHttp(text)).toEqual({url, status}))

  it.each(['localhost:8080', 'ftp://localhost/', '', 'http://', '/health'])('not %j', (text) =>
    expect(() => parseHttp(text)).toThrow('expected a URL'),
  )
})

it('tells hosts that mean this machine', () => {
  for (const host of ['localhost', '127.0.0.1', '127.9.8.7', '0.0.0.0', '[::1]', '::1', '::', 'LOCALHOST'])
    expect(isLoopback(host), host).toBe(true)
  for (const host of ['db', '10.0.0.1', 'localhost.example', '[fe80::1]', '128.0.0.1'])
    expect(isLoopback(host), host).toBe(false)
})

describe('ci.ready', () => {
  const resolve = async (ready: unknown, flags: Record<string, unknown> = {}) => {
    const {config} = await resolveConfig({
      flags: {'config-file': 'm.json', ...flags},
      env: {},
      cwd: '/',
      readFile: async () => JSON.stringify({ci: {ready}}),
    })
    return config.ci.ready
  }
  const refused = (ready: unknown, flags?: Record<string, unknown>) =>
    resolve(ready, flags).then(
      () => expect.unreachable('it was accepted'),
      ({report}: MirrordError) => [report.code, report.why ?? report.detail],
    )

  it('has a timeout of two minutes and no probe by default', async () => {
    expect(await resolve(undefined)).toEqual({timeout: 120})
  })

  it('takes the short forms, single values and lists', async () => {
    expect(await resolve('listening')).toEqual({state: 'listening', timeout: 120})
    expect(await resolve({tcp: 80, http: {url: ':81/', status: 204}, log: 'up', exec: 'true', timeout: 5})).toEqual({
      tcp: [{host: 'localhost', port: 80}],
      http: [{url: 'http://localhost:81/', status: [[204, 204]]}],
      log: ['up'],
      exec: ['true'],
      timeout: 5,
    })
    const lists = await resolve({tcp: [80, '::1'.length], http: [':1/', {url: ':2/'}], log: ['a;b', 'c']})
    expect(lists).toMatchObject({tcp: [{port: 80}, {port: 3}], log: ['a;b', 'c']})
    expect(lists.http).toHaveLength(2)
  })

  it('takes flags, several of each, as they are', async () => {
    expect(
      await resolve(undefined, {
        'ready-tcp': ['80', '81'],
        'ready-log': ['a;b'],
        'ready-exec': ['x; y'],
        'ready-timeout': '9',
      }),
    ).toEqual({
      tcp: [
        {host: 'localhost', port: 80},
        {host: 'localhost', port: 81},
      ],
      log: ['a;b'],
      exec: ['x; y'],
      timeout: 9,
    })
  })

  it('lets the probes of the command line replace those of the file, but keeps its timeout', async () => {
    expect(await resolve({http: ':80/', log: 'x', timeout: 7}, {ready: 'started'})).toEqual({
      state: 'started',
      timeout: 7,
    })
    expect(await resolve({http: ':80/', timeout: 7}, {'ready-timeout': '8'})).toMatchObject({timeout: 8, http: [{}]})
  })

  it.each([
    ['soon', 'ci.ready'],
    [{tcp: 'http'}, 'ci.ready.tcp'],
    [{tcp: 0}, 'ci.ready.tcp'],
    [{http: 'localhost:80'}, 'ci.ready.http'],
    [{http: {url: ':80', status: '6xx'}}, 'ci.ready.http'],
    [{http: {uri: ':80'}}, 'ci.ready.http'],
    [{log: '('}, 'ci.ready.log'],
    [{exec: ''}, 'ci.ready.exec'],
    [{timeout: 0}, 'ci.ready.timeout'],
    [{file: '/x'}, 'ci.ready.file'],
  ])('names the key of %j', async (ready, key) => {
    const [code, why] = (await refused(ready)) as [string, string]
    expect(code).toBe('CONFIG_INVALID')
    expect(why).toContain(key)
  })

  it('names the flag of a bad pattern', async () => {
    const [code, why] = (await refused(undefined, {'ready-log': ['(']})) as [string, string]
    expect(code).toBe('CONFIG_INVALID')
    expect(why).toContain('flag --ready-log')
  })
})
