/**
 * What a user sees of an API that fails. Every call of a start under each fault is in test/integration/kube/faults.test.ts; whole
 * suites run under a class of faults with MIRRORD_FAULT.
 */
import {readFileSync, writeFileSync} from 'node:fs'
import path from 'node:path'
import {afterEach, describe, expect, inject, test} from 'vitest'
import type {Fault} from '../../sandbox/api/faults.ts'
import {harness, job} from './support/each-test.ts'
import {FAULTY, faultClasses, setFaults} from './support/faults.ts'
import {expectExit, expectFailure} from './support/harness.ts'
import {changedKubeconfig} from './support/kubeconfig.ts'
import {node} from './support/programs.ts'

const server = [node, path.join(import.meta.dirname, 'programs/server.mjs'), '8080', 'local']
const target = ['--target', 'deployment/echo']
const long = Boolean(process.env.MIRRORD_LONG)
const match = {user: FAULTY}

describe.skipIf(inject('clusterKind') !== 'sandbox')('an API with faults', () => {
  const faults = (...list: Fault[]) => setFaults(harness.cluster, list)
  const hits = async () => (await setFaults(harness.cluster)).reduce((sum, fault) => sum + fault.hits, 0)
  afterEach(() => faults())

  const env = () => {
    const file = path.join(job.folder, 'kubeconfig')
    writeFileSync(file, changedKubeconfig(harness, {token: FAULTY}))
    return {KUBECONFIG: file}
  }
  const start = (...args: string[]) => job.run(['ci', 'start', ...target, ...args, '--', ...server], {env: env()})
  const stop = () => job.run(['ci', 'stop'], {env: env()})
  const log = () => readFileSync(path.join(job.outputFolders()[0]!, 'mirrord.log'), 'utf8')

  test.each(Object.keys(faultClasses).filter((name) => long || name === 'cut'))(
    '%s at every call, again and again: the start and the stop succeed, and the log tells of it',
    async (name) => {
      await faults(...faultClasses[name]!)
      expectExit(await start(), 'success')
      expect((await harness.who()).who).toBe('local')
      if (name !== 'slow') expect(log()).toMatch(/^\S+ before: .* Asking again in \d/m)
      if (name !== 'slow') expect(log()).toMatch(/^\S+ cluster: .* Asking again in \d/m)
      expectExit(await stop(), 'success')
      expect(await hits()).toBeGreaterThan(5)
      await faults()
      await harness.nothingLeft(job)
    },
  )

  test.each<[string, Fault, Parameters<typeof expectFailure>[1], string, RegExp[]]>([
    ['[EXIT-41] a 401', {match, effect: {answer: 401}}, 'unauthorized', 'UNAUTHORIZED', [/get version/]],
    [
      '[EXIT-40] a Job that cannot be made',
      {match: {...match, verb: 'create', resource: 'jobs'}, effect: {answer: 500}},
      'clusterUnreachable',
      'CLUSTER_ERROR',
      [/create jobs\.batch/, /HTTP 500/, /repeated/],
    ],
    [
      '[EXIT-40] cut connections',
      {match: {...match, verb: 'list', resource: 'pods'}, effect: {cut: 'before'}},
      'clusterUnreachable',
      'CLUSTER_CUT',
      [/list pods/],
    ],
    [
      '[EXIT-40] no WebSocket',
      {match: {...match, resource: 'pods/portforward'}, effect: {answer: 405}},
      'clusterUnreachable',
      'NO_TUNNEL',
      [/WebSocket/, /Kubernetes v\d/, /from 1\.6 on/],
    ],
  ])('%s ends the start with its code, names the call, and leaves nothing', async (_name, fault, exit, code, words) => {
    await faults(fault)
    expectFailure(await start(), exit, code, ...words)
    expect(await hits()).toBeGreaterThan(0)
    await faults()
    expect((await harness.who()).who).toBe('deployed')
    await harness.nothingLeft(job)
  })

  test('[EXIT-40] an old Kubernetes is warned of, by doctor too, and refused where no agent can be made', async () => {
    const old = {major: '1', minor: '20', gitVersion: 'v1.20.15'}
    await faults({match: {...match, path: '/version'}, effect: {answer: 200, body: old}})
    const doctor = await job.run(['doctor', ...target], {env: env()})
    expect(doctor.stdout).toMatch(/^! version +The cluster is Kubernetes v1\.20\.15, older than 1\.21/m)
    const result = await start('--ready-timeout', '60')
    expectExit(result, 'success')
    expect(result.stderr).toMatch(/^! The cluster is Kubernetes v1\.20\.15, older than 1\.21/m)
    expectExit(await stop(), 'success')
    expectFailure(await start('--ephemeral-container'), 'clusterUnreachable', 'CLUSTER_TOO_OLD', /needs 1\.23 or newer/)
    await harness.nothingLeft(job)
  })

  test('a stop that cannot delete the agent ends everything here, says what is left, and that ends by itself', async () => {
    expectExit(await start(), 'success')
    await faults({match: {...match, verb: 'delete'}, effect: {answer: 500}})
    const stopped = await stop()
    expectExit(stopped, 'success')
    expect(stopped.stderr).toMatch(
      /^! .*Job "mirrord-agent-\w+" in the namespace "e2e-\w+" could not be deleted.*HTTP 500/m,
    )
    expect(job.processes()).toEqual([])
    await harness.deployedAgain()
    await harness.nothingLeft(job)
  })

  test('a run in the foreground says the same when it ends', async () => {
    await faults({match: {...match, verb: 'delete'}, effect: {cut: 'before'}})
    const args = ['ci', 'start', ...target, '--foreground', '--', 'sh', '-c', 'exit 3']
    const result = await job.run(args, {env: env()})
    expect(result.code, result.output).toBe(3)
    expect(result.stderr).toMatch(/^! .*Job "mirrord-agent-\w+".* could not be deleted.*connection was cut/m)
    await faults()
    await harness.nothingLeft(job)
  })

  test.runIf(long)('a stop while nothing passes any more ends everything here', {timeout: 180_000}, async () => {
    expectExit(await start(), 'success')
    await faults({match, effect: {freeze: 0}, open: true}, {match, effect: {freeze: 'before'}})
    const stopped = await stop()
    expectFailure(stopped, 'agentLost', 'AGENT_LOST')
    expect(job.processes()).toEqual([])
    await harness.deployedAgain()
    await harness.nothingLeft(job)
  })
})
