import {describe, expect, test} from 'vitest'
import {bucketOf, Recorder, type ReportStart} from '../../../src/report/recorder.ts'
import {LATENCY_BOUNDS_MS, OTHER, sessionReportSchema} from '../../../src/report/schema.ts'

const start: ReportStart = {
  version: '1.2.3',
  run: {provider: 'Some CI', url: 'https://robot:pass-word@ci.example/run/7?id=1'},
  mode: 'steal',
  session: {id: '0123abcd', name: 'web', job: '89abcdef', program: 'node', startedAt: '2026-01-01T00:00:00.000Z'},
}
/** A report as a reader gets it. */
const read = (recorder: Recorder) => sessionReportSchema.parse(JSON.parse(JSON.stringify(recorder.report())))
const get = {port: 80, method: 'GET', path: '/', stolen: true, status: 200, ms: 1}

describe('a report', () => {
  test('of a session in which nothing happened fits its schema', () => {
    expect(read(new Recorder(start))).toMatchObject({
      format: 1,
      version: '1.2.3',
      session: start.session,
      incoming: {mode: 'steal', ports: [], routes: []},
      outgoing: [],
      files: {fetched: [], written: []},
    })
  })

  test('sums connections and bytes of a destination, whose names it knows', () => {
    const recorder = new Recorder(start)
    recorder.name({name: 'db.example', failed: false, addresses: ['10.0.0.1', 'fd00::1']})
    recorder.name({name: 'db', failed: true, addresses: []})
    recorder.name({name: 'db.example', failed: false, addresses: ['10.0.0.1']})
    const one = recorder.connection({protocol: 'tcp', address: '10.0.0.1:5432', failed: false})
    const two = recorder.connection({protocol: 'tcp', address: '10.0.0.1:5432', failed: false})
    recorder.connection({protocol: 'tcp', address: '10.0.0.1:5432', failed: true})
    recorder.connection({protocol: 'udp', address: '[fd00::1]:5432', failed: false}).out(4)
    recorder.connection({protocol: 'unix', address: '/run/10.0.0.1:5432', failed: false})
    one.in(10)
    two.in(5)
    two.out(7)
    const none = {connections: 1, failed: 0, bytesIn: 0, bytesOut: 0}
    expect(read(recorder)).toMatchObject({
      outgoing: [
        {
          protocol: 'tcp',
          address: '10.0.0.1:5432',
          names: ['db.example'],
          connections: 2,
          failed: 1,
          bytesIn: 15,
          bytesOut: 7,
        },
        {...none, protocol: 'udp', address: '[fd00::1]:5432', names: ['db.example'], bytesOut: 4},
        {...none, protocol: 'unix', address: '/run/10.0.0.1:5432', names: []},
      ],
      dns: [
        {name: 'db.example', queries: 2, failed: 0},
        {name: 'db', queries: 1, failed: 1},
      ],
    })
  })

  test('counts requests by route, status and latency, and those without an answer', () => {
    const recorder = new Recorder(start)
    const bytes = recorder.incoming(80)
    bytes.in(100)
    bytes.out(200)
    recorder.request({...get, path: '/users/1', ms: 0.5})
    recorder.request({...get, path: '/users/2', status: 404, ms: 30})
    recorder.request({...get, path: '/users/3', status: undefined, ms: 99_999})
    recorder.request({...get, method: 'BREW', stolen: false, ms: 20_000.0004})
    const {incoming} = read(recorder)
    expect(incoming.ports).toEqual([{port: 80, connections: 1, bytesIn: 100, bytesOut: 200, stolen: 3, passed: 1}])
    expect(incoming.routes).toMatchObject([
      {method: 'GET', path: '/users/:id', port: 80, statuses: {200: 1, 404: 1, none: 1}, totalMs: 30.5, maxMs: 30},
      {method: OTHER, path: '/', statuses: {200: 1}, maxMs: 20_000},
    ])
    expect(incoming.routes.map(({latency}) => latency)).toEqual([
      [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0],
      [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1],
    ])
    recorder.connection({protocol: 'tcp', address: '10.0.0.1:80', failed: false}).out(7)
    expect(recorder.figures()).toEqual({requests: 3, connections: 1, bytesIn: 100, bytesOut: 207})
  })

  test('has its phases, its warnings, the exit and the failure without the output of the program', () => {
    const recorder = new Recorder(start)
    recorder.phase({name: 'target', text: 'Target found', ms: 0})
    recorder.warning('careful')
    recorder.session({pod: 'web-0', endedAt: '2026-01-01T00:00:01.000Z'})
    recorder.exit({code: 3})
    recorder.failure({
      code: 'PROGRAM_DIED',
      exit: 'programDied',
      what: 'It died.',
      next: ['Look.'],
      detail: 'PASSWORD=x',
    })
    const report = read(recorder)
    expect(report).toMatchObject({
      session: {pod: 'web-0'},
      phases: [{name: 'target', text: 'Target found', durationMs: 0}],
      warnings: ['careful'],
      exit: {code: 3},
      failure: {code: 'PROGRAM_DIED', exit: 70, what: 'It died.', next: ['Look.']},
    })
    expect(JSON.stringify(report)).not.toContain('PASSWORD')
  })

  test('sums in one row what there is no room for', () => {
    const recorder = new Recorder(start)
    for (let index = 0; index < 20_000; index++) {
      const word = [...index.toString(26)].map((digit) => String.fromCharCode(97 + Number.parseInt(digit, 26))).join('')
      recorder.connection({protocol: 'tcp', address: `${word}:80`, failed: false}).in(1)
      recorder.name({name: word, failed: false, addresses: [`10.0.${index >> 8}.${index & 255}`]})
      recorder.request({...get, path: `/${word}`, port: 1 + (index % 1000)})
      recorder.file({path: `/${word}`, bytes: 2, direction: 'fetched'})
      recorder.file({path: `/${word}`, bytes: 3, direction: 'written'})
      recorder.warning(word)
    }
    const report = read(recorder)
    const {outgoing, dns, incoming, files, warnings} = report
    expect(
      [outgoing, dns, incoming.routes, incoming.ports, files.fetched, files.written, warnings].map(
        (list) => list.length,
      ),
    ).toEqual([1001, 1001, 501, 501, 1001, 1001, 201])
    expect(outgoing.at(-1)).toMatchObject({protocol: 'tcp', address: OTHER, connections: 19_000, bytesIn: 19_000})
    expect(dns.at(-1)).toEqual({name: OTHER, queries: 19_000, failed: 0})
    expect(incoming.routes.at(-1)).toMatchObject({method: OTHER, path: OTHER, port: 0, statuses: {200: 19_500}})
    expect(files.fetched.at(-1)).toEqual({path: OTHER, bytes: 38_000})
    expect(files.written.at(-1)).toEqual({path: OTHER, bytes: 57_000})
    expect(warnings.at(-1)).toContain('19800')
    expect(incoming.ports[0]).toMatchObject({port: 0, stolen: 10_000})
  })

  test('never has user names, passwords and queries of URLs', () => {
    const recorder = new Recorder(start)
    const url = 'https://someone:pass-word@host.example/path?token=to-ken#frag-ment'
    recorder.warning(`could not reach ${url}, "${url}" or <${url}>`)
    recorder.phase({name: 'agent', text: url, ms: 1})
    recorder.failure({code: 'X', exit: 'unexpected', what: url, why: `${url} failed`, next: [`ask ${url}.`]})
    recorder.request({...get, path: url})
    recorder.request({...get, path: '/a?token=to-ken'})
    const report = read(recorder)
    expect(JSON.stringify(report)).not.toMatch(/someone|pass-word|to-ken|frag-ment|robot/)
    expect(report.warnings).toEqual([
      'could not reach https://host.example/path "https://host.example/path" or <https://host.example/path>',
    ])
    expect(report.run.url).toBe('https://ci.example/run/7?id=1')
  })
})

test('a latency is counted at the first bound that is not below it', () => {
  expect([0, 1, 1.01, 2, 10_000, 10_000.5].map(bucketOf)).toEqual([0, 0, 1, 1, 12, 13])
  expect(LATENCY_BOUNDS_MS).toHaveLength(13)
})
