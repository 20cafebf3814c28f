import {randomBytes} from 'node:crypto'
import {writeFileSync} from 'node:fs'
import path from 'node:path'
import {afterAll, beforeAll, describe, expect, test} from 'vitest'
import {harness, job} from './support/each-test.ts'
import {expectExit, expectFailure} from './support/harness.ts'
import {inNetwork, processInPod, rules} from './support/rules.ts'

const node = path.join(import.meta.dirname, '../../node_modules/.bin/node')
const local = [node, '-e', `require('http').createServer((_, r) => r.end('{"who":"local"}')).listen(8080)`]

/** A chain of an older agent, in the table that an agent would use: legacy where the kernel takes it, else nft (agent.md 5.7). */
function leaveRule(pid: number): void {
  const into = (program: string) => {
    for (const args of [
      ['-N', 'MIRRORD_INPUT'],
      ['-A', 'PREROUTING', '-j', 'MIRRORD_INPUT'],
    ])
      inNetwork(pid, program, ['--wait', '-t', 'nat', ...args])
  }
  try {
    into('iptables-legacy')
  } catch {
    into('iptables-nft')
  }
}

describe('rules that a killed agent left in the pod', () => {
  let inPod: number | undefined
  beforeAll(() => {
    inPod = processInPod(harness.podAddress)
  })

  test('[CLN-04] [CLN-05] refuse a steal and stay as they are; agent.clean_iptables_on_start removes them', async (context) => {
    // The pod runs on another machine: nothing can be put into it from here.
    if (inPod === undefined) return context.skip()
    const before = rules(inPod)
    leaveRule(inPod)
    const left = rules(inPod)
    expect(left).not.toEqual(before)
    const refused = await job.start('--target', 'deployment/echo', '--', ...local)
    expectFailure(refused, 'agentDirty', 'AGENT_DIRTY', 'agent.clean_iptables_on_start')
    expect(rules(inPod)).toEqual(left)
    const file = path.join(job.folder, 'mirrord.json')
    writeFileSync(file, JSON.stringify({target: 'deployment/echo', agent: {clean_iptables_on_start: true}}))
    expectExit(await job.start('-f', file, '--', ...local), 'success')
    expect((await harness.who()).who).toBe('local')
    expectExit(await job.stop(), 'success')
    expect(rules(inPod)).toEqual(before)
    await harness.nothingLeft(job)
  })
})

describe('a workload of several pods', () => {
  const namespace = `twins-${randomBytes(3).toString('hex')}`
  const target = ['-t', 'deployment/twins', '-n', namespace]

  beforeAll(async () => {
    const labels = {app: 'twins'}
    const main = {
      name: 'main',
      image: 'localhost/node:1',
      imagePullPolicy: 'IfNotPresent',
      args: ['-e', `require('http').createServer((_, r) => r.end('deployed')).listen(8080)`],
      readinessProbe: {httpGet: {path: '/', port: 8080}, periodSeconds: 1},
    }
    const template = {metadata: {labels}, spec: {terminationGracePeriodSeconds: 0, containers: [main]}}
    await harness.cluster.createNamespace(namespace)
    const spec = {replicas: 2, selector: {matchLabels: labels}, template}
    await harness.cluster.apps.createNamespacedDeployment({namespace, body: {metadata: {name: 'twins'}, spec}})
    await harness.cluster.waitAvailable(namespace, 'twins')
  })
  afterAll(() => harness.cluster.deleteNamespace(namespace))

  const podOf = (said: string) => /is pod (\S+), container main/.exec(said)?.[1]

  test('[EXIT-52] [LIF-27] of which one is taken by another session: the next one is, until there is none', async () => {
    const [second, third] = [harness.job(), harness.job()]
    try {
      const first = await job.start(...target, '--', ...local)
      expectExit(first, 'success')
      expect(first.stderr).toContain('the readiness or liveness probes of the pod ask port 8080')
      expect(first.stderr).toContain('deployment/twins has another ready pod')
      const next = await second.start(...target, '--', ...local)
      expectExit(next, 'success')
      expect(next.stderr).toContain(`pod ${podOf(first.stderr)} carries redirect rules of another agent`)
      const pods = [...next.stderr.matchAll(/is pod (\S+), container main/g)].map(([, pod]) => pod)
      expect(pods).toHaveLength(2)
      expect(pods[0]).toBe(podOf(first.stderr))
      expect(pods[1]).not.toBe(pods[0])
      const status = await second.run(['ci', 'status', '--json'])
      expect(status.stdout).toContain(pods[1])
      expectFailure(
        await third.start(...target, '--', ...local),
        'agentDirty',
        'AGENT_DIRTY',
        'All 2 ready pods of the target',
        `They are ${pods.join(', ')}`,
      )
      for (const one of [second, job]) expectExit(await one.stop(), 'success')
      await harness.nothingLeft(job)
    } finally {
      await harness.finish(second)
      await harness.finish(third)
    }
  })
})
