import {createHash} from 'node:crypto'
import {afterEach, describe, expect, it} from 'vitest'
import {deathOf, removeOrphans, type Cluster} from '../../../src/kube/index.ts'
import {identify} from '../../../src/util/process.ts'
import {refusal} from '../../refusal.ts'
import {clusterFor, fakeApi, type FakeApi} from './fake-api.ts'

const now = Date.parse('2026-01-01T12:00:00Z')
const ago = (seconds: number) => new Date(now - seconds * 1000).toISOString()
const elsewhere = {pid: 7, startTime: '9', bootId: 'another', namespace: 'pid:[1]', host: 'runner-7'}
const here = identify(process.pid)!
const gone = {...here, startTime: '1'}

interface Made {
  seconds?: number
  process?: object
  start?: string
  ended?: number
  ttl?: number
}
const job = ({seconds = 3600, process = elsewhere, start = '60', ended, ttl = 1}: Made = {}) => ({
  metadata: {
    name: 'mirrord-agent-x',
    creationTimestamp: ago(seconds),
    labels: {'mirrord-for-ci/session': 's1', 'mirrord-for-ci/job': 'j1', 'mirrord-for-ci/host': 'runner-7'},
    annotations: {
      'mirrord-for-ci/process': JSON.stringify(process),
      ...(start ? {'mirrord-for-ci/start-seconds': start} : {}),
    },
  },
  spec: {ttlSecondsAfterFinished: ttl},
  status: ended === undefined ? {} : {conditions: [{type: 'Failed', status: 'True', lastTransitionTime: ago(ended)}]},
})
const pod = (state?: object) => ({
  metadata: {labels: {'job-name': 'mirrord-agent-x'}},
  status: {containerStatuses: state ? [{name: 'mirrord-agent', state}] : undefined},
})

describe('a session is dead', () => {
  it.each([
    [
      'whose process was on this machine and is gone',
      job({process: gone, seconds: 1}),
      [pod({running: {}})],
      /has died/,
    ],
    ['whose pod was never made, long after its start', job(), [], /never started/],
    ['whose pod waits for its image, long after its start', job(), [pod({waiting: {reason: 'x'}})], /never started/],
    ['whose agent has ended, and whose Job was to be gone', job({ended: 120}), [], /has ended/],
  ])('%s', (_name, made, pods, words) => {
    expect(deathOf(made, pods, now)).toMatch(words)
  })
})

describe('a session may live', () => {
  it.each([
    ['whose process runs here, whatever its pod does', job({process: here}), []],
    ['whose agent runs', job(), [pod({running: {}})]],
    ['whose start may go on', job({seconds: 100}), []],
    ['whose start has no known end', job({start: ''}), []],
    ['whose finished Job is kept for its log', job({ended: 120, ttl: 600}), []],
    ['whose agent has just ended', job({ended: 5}), []],
    [
      'of another boot, which may be another machine of the same name',
      job({process: {...here, bootId: 'x'}}),
      [pod({running: {}})],
    ],
    ['whose process is told without its namespace', job({process: {...gone, namespace: undefined}, seconds: 1}), []],
  ])('%s', (_name, made, pods) => {
    expect(deathOf(made, pods, now)).toBeUndefined()
  })

  it('of whom nobody knows whether it is this user’s', () => {
    expect(deathOf(job(), [], now, false)).toBeUndefined()
    expect(deathOf(job({process: gone}), [], now, false)).toMatch(/has died/)
  })
})

let api: FakeApi
let cluster: Cluster | undefined
afterEach(async () => {
  if (!cluster) return
  cluster.client.close()
  cluster = undefined
  await api.close()
})

/** A cluster with these Jobs; `refuse` gives the status of a request that is refused. */
async function serve(jobs: object[], refuse: (request: string) => number | undefined = () => undefined) {
  api = await fakeApi(({method, url = ''}) => {
    const status = refuse(`${method} ${url}`)
    const headers = {date: new Date(now).toUTCString()}
    if (status !== undefined) return {status, body: {message: 'User "ann" cannot do that'}}
    if (method === 'POST') return {status: 201, body: {status: {userInfo: {username: 'ann'}}}}
    if (url.includes('/jobs?')) return {headers, body: {items: jobs}}
    return {headers, body: {items: []}}
  })
  cluster = await clusterFor(api.url, {namespace: 'ctx'})
  return cluster
}

describe('removeOrphans', () => {
  it('looks for this user’s only, deletes the dead, and leaves the others', async () => {
    const living = job({process: here})
    living.metadata.name = 'mirrord-agent-y'
    const {removed, kept, failed} = await removeOrphans(await serve([job(), living]), ['ci'])
    expect(removed).toMatchObject([
      {name: 'mirrord-agent-x', namespace: 'ci', owner: 'session s1, job j1, on runner-7'},
    ])
    expect(kept.map(({name}) => name)).toEqual(['mirrord-agent-y'])
    expect(failed).toEqual([])
    const digest = createHash('sha256').update('ann').digest('hex').slice(0, 16)
    expect(api.requests.find((request) => request.includes('/jobs?'))).toContain(`mirrord-for-ci/user=${digest}`)
    expect(api.requests.filter((request) => request.startsWith('DELETE'))).toEqual([
      'DELETE /apis/batch/v1/namespaces/ci/jobs/mirrord-agent-x',
    ])
  })

  it('does not look at pods where there is no Job', async () => {
    expect(await removeOrphans(await serve([]), ['ci'])).toMatchObject({removed: [], kept: [], failed: []})
    expect(api.requests.some((request) => request.includes('/pods'))).toBe(false)
  })

  it('names the right that is missing', async () => {
    const refusing = await serve([job()], (request) => (request.includes('/jobs?') ? 403 : undefined))
    const report = await refusal(removeOrphans(refusing, ['ci']))
    expect(report).toMatchObject({
      exit: 'forbidden',
      what: 'The credentials may not list jobs.batch in the namespace "ci".',
    })
  })

  it('tells what could not be deleted', async () => {
    const refusing = await serve([job()], (request) => (request.startsWith('DELETE') ? 403 : undefined))
    const {removed, failed} = await removeOrphans(refusing, ['ci'])
    expect(removed).toEqual([])
    expect(failed[0]!.error.report.what).toContain('may not delete jobs.batch')
  })
})
