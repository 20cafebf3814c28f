import path from 'node:path'
import {describe, expect, test} from 'vitest'
import {harness, job} from './support/each-test.ts'
import {expectExit} from './support/harness.ts'
import {until} from './support/until.ts'

const node = path.join(import.meta.dirname, '../../node_modules/.bin/node')
const server = `require('http').createServer((request, response) => response.end(JSON.stringify({
  who: 'local', fromPod: process.env.FROM_POD || '', host: require('os').hostname(),
}))).listen(8080)`

/** The agents' containers in the target's pod. */
async function containers() {
  const {status} = await harness.cluster.pod(harness.namespace, 'echo')
  return status?.ephemeralContainerStatuses ?? []
}

describe('--ephemeral-container', () => {
  test('[CLN-01] runs the agent in the pod of the target, where it ends with the session', async () => {
    const {metadata} = await harness.cluster.pod(harness.namespace, 'echo')
    const before = (await containers()).length
    const started = await job.start('--target', 'deployment/echo', '--ephemeral-container', '--', node, '-e', server)
    expectExit(started, 'success')
    expect(await harness.cluster.agents(harness.namespace)).toEqual([])
    expect((await containers()).filter(({state}) => state?.running)).toHaveLength(1)
    expect(await harness.who()).toMatchObject({who: 'local', fromPod: 'yes', host: metadata!.name})
    expectExit(await job.stop(), 'success')
    expect((await harness.who()).who).toBe('deployed')
    const left = await containers()
    expect(left).toHaveLength(before + 1)
    expect(left.every(({state}) => state?.terminated !== undefined)).toBe(true)
    await harness.nothingLeft(job)
  })

  test('ends its agent although the session is killed', async () => {
    const started = await job.start('--target', 'deployment/echo', '-e', '--', node, '-e', server)
    expectExit(started, 'success')
    // The trap's and the program's follow by themselves.
    process.kill(job.session().pid, 'SIGKILL')
    await harness.deployedAgain()
    await until('the end of the agent', async () => (await containers()).every(({state}) => !state?.running), {
      timeout: 20_000,
    })
    await job.stop()
    await harness.nothingLeft(job)
  })
})
