import {expect, onTestFinished, test} from 'vitest'
import {podLeaves} from '../../../src/kube/index.ts'
import {testApi, testCluster} from './fake-api.ts'

const pod = (uid: string, change: object = {}) => ({
  metadata: {name: 'web-0', namespace: 'n', uid},
  status: {},
  ...change,
})

/** The pods of a watch, in order; the stream then stays open. */
async function leaves(...pods: object[]): Promise<string> {
  const api = await testApi((_request, response) => {
    for (const object of pods) response.write(`${JSON.stringify({type: 'MODIFIED', object})}\n`)
    return 'handled'
  })
  const ended = new AbortController()
  onTestFinished(() => ended.abort())
  return podLeaves(await testCluster(api.url), {name: 'web-0', namespace: 'n', uid: 'new'}, ended.signal)
}

// A watch may begin with a state of before the pod was made anew under its name, as a StatefulSet does.
test('the end of the pod that had the name before is none of ours', async () => {
  const old = pod('old', {metadata: {name: 'web-0', uid: 'old', deletionTimestamp: '2026-01-01T00:00:00Z'}})
  const why = await leaves(old, pod('new'), pod('new', {status: {phase: 'Failed', reason: 'Evicted'}}))
  expect(why).toBe('it has ended: Evicted')
})

test('a pod of another uid after ours has taken its name', async () => {
  expect(await leaves(pod('new'), pod('next'))).toBe('another pod has its name now')
})
