import {randomBytes} from 'node:crypto'
import {writeFileSync} from 'node:fs'
import path from 'node:path'
import {afterAll, beforeAll, describe, expect, inject, test} from 'vitest'
import {harness, job} from './support/each-test.ts'
import {expectExit, expectFailure} from './support/harness.ts'
import {changedKubeconfig} from './support/kubeconfig.ts'
import type {Job} from './support/mirrord.ts'
import {until} from './support/until.ts'

const suffix = randomBytes(3).toString('hex')
const strict = `strict-${suffix}`
const full = `full-${suffix}`
const busy = `busy-${suffix}`

/** Starts on the deployed program with this section `agent`. */
function start(agent: object) {
  const file = path.join(job.folder, 'mirrord.json')
  writeFileSync(file, JSON.stringify({target: 'deployment/echo', agent}))
  return job.run(['ci', 'start', '-f', file, '--', 'true'])
}

beforeAll(async () => {
  const {core} = harness.cluster
  await Promise.all([strict, full, busy].map((name) => harness.cluster.createNamespace(name)))
  const labels = {'pod-security.kubernetes.io/enforce': 'restricted'}
  const {metadata} = await core.readNamespace({name: strict})
  await core.replaceNamespace({
    name: strict,
    body: {metadata: {...metadata, labels: {...metadata?.labels, ...labels}}},
  })
  const quota = (pods: string) => ({metadata: {name: `pods-${pods}`}, spec: {hard: {pods}}})
  await core.createNamespacedResourceQuota({namespace: full, body: quota('0')})
  const main = {name: 'main', image: 'localhost/node:1', args: ['-e', 'setInterval(() => {}, 1000)']}
  const spec = {terminationGracePeriodSeconds: 0, containers: [{...main, imagePullPolicy: 'IfNotPresent'}]}
  await core.createNamespacedPod({namespace: busy, body: {metadata: {name: 'only'}, spec}})
  const user = {...spec, securityContext: {runAsUser: 1000, runAsNonRoot: true}}
  await core.createNamespacedPod({namespace: busy, body: {metadata: {name: 'user'}, spec: user}})
  await core.createNamespacedResourceQuota({namespace: busy, body: quota('2')})
})
afterAll(() => Promise.all([strict, full, busy].map((name) => harness.cluster.deleteNamespace(name))))

describe('an agent that the cluster does not let run is told with the setting that helps', () => {
  test('[EXIT-54] by Pod Security', async () => {
    expectFailure(
      await start({namespace: strict}),
      'agentRefused',
      'AGENT_REFUSED_POD_SECURITY',
      'violates PodSecurity',
      'host namespaces',
      'Choose an agent.namespace',
      '| Events:',
    )
    await harness.nothingLeft(job)
  })

  test('[EXIT-55] by a quota', async () => {
    expectFailure(
      await start({namespace: full}),
      'agentQuota',
      'AGENT_QUOTA',
      'exceeded quota: pods-0',
      'agent.resources',
    )
    await harness.nothingLeft(job)
  })

  test('[EXIT-54] by a service account that is not there', async () => {
    expectFailure(
      await start({service_account: 'nobody'}),
      'agentRefused',
      'AGENT_SERVICE_ACCOUNT',
      /serviceaccounts? "nobody" not found/,
      'agent.service_account',
    )
    await harness.nothingLeft(job)
  })

  test('[EXIT-56] by rights that it lacks, in its own words', async () => {
    expectFailure(
      await start({disabled_capabilities: ['SYS_ADMIN']}),
      'agentEnded',
      'AGENT_RIGHTS',
      'Operation not permitted',
      'agent.privileged: true',
      'Log of the agent:',
    )
    await harness.nothingLeft(job)
  })
})

describe('an ephemeral agent in a pod that runs as another user than root', () => {
  const targets = {target: {path: 'pod/user', namespace: busy}}
  const run = (agent: object) => {
    const file = path.join(job.folder, 'mirrord.json')
    writeFileSync(file, JSON.stringify({...targets, agent: {ephemeral: true, ...agent}}))
    return job.run(['exec', '--steal', '-f', file, '--', 'sh', '-c', 'true'])
  }

  test('lacks rights, and has them with agent.privileged', async () => {
    expectFailure(await run({}), 'agentLost', 'REMOTE_FILE', 'Set agent.privileged to true')
    expectExit(await run({privileged: true}), 'success')
  })
})

describe('ci stop --orphans', () => {
  /** A start whose agent waits for the quota to be freed, once its Job is there. */
  async function waiting(of: Job): Promise<void> {
    const file = path.join(of.folder, 'mirrord.json')
    writeFileSync(file, JSON.stringify({target: 'deployment/echo', agent: {namespace: busy}}))
    const jobs = () => harness.cluster.agents(busy)
    const before = (await jobs()).length
    of.spawn(['ci', 'start', '-f', file, '--', 'true'])
    await until('the Job of the agent', async () => (await jobs()).length > before, {timeout: 20_000})
  }
  const orphans = (...args: string[]) => job.stop('--orphans', '-a', busy, ...args)

  test('removes the agent of a killed runner, leaves that of a living one, and has nothing to do then', async () => {
    const [killed, living] = [harness.job(), harness.job()]
    try {
      await waiting(killed)
      await waiting(living)
      const agents = await harness.cluster.agents(busy)
      expect(agents).toHaveLength(2)
      for (const {pid} of killed.processes()) process.kill(pid, 'SIGKILL')
      await until('the end of the killed job', () => killed.processes().length === 0)
      const first = await orphans()
      expectExit(first, 'success')
      expect(first.stdout).toMatch(
        /^Removed mirrord-agent-\w+ in the namespace "busy-.*on this machine and has died\.$/m,
      )
      expect(first.stdout).toMatch(/^Left mirrord-agent-\w+ .* its session may still run\.$/m)
      expect(await harness.cluster.agents(busy)).toHaveLength(1)
      expect(living.processes().length).toBeGreaterThan(0)
      const second = await orphans('--json')
      expectExit(second, 'success')
      expect(JSON.parse(second.stdout)).toMatchObject({orphans: {removed: [], kept: [{namespace: busy}]}, exit: 0})
      expectExit(await living.stop(), 'success')
      expect((await orphans()).stdout).toContain(`No orphans: no dead runner of this user has left an agent`)
    } finally {
      killed.dispose()
      await living.stop('--grace', '0')
      living.dispose()
    }
  })

  // Other clusters have no user whom the tests may take rights from.
  test.runIf(inject('clusterKind') === 'sandbox')('[EXIT-42] names the right that is missing', async () => {
    const file = path.join(job.folder, 'kubeconfig')
    writeFileSync(file, changedKubeconfig(harness, {token: 'jobless'}))
    const result = await job.run(['ci', 'stop', '--orphans'], {env: {KUBECONFIG: file}})
    expectFailure(result, 'forbidden', 'FORBIDDEN', 'list jobs.batch')
  })

  test('[EXIT-2] takes the place of the cluster only with it', async () => {
    expectFailure(await job.stop('--context', 'x'), 'usage', 'USAGE', '--orphans')
  })
})
