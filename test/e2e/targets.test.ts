import {randomBytes} from 'node:crypto'
import {writeFileSync} from 'node:fs'
import path from 'node:path'
import {afterAll, beforeAll, describe, expect, inject, test} from 'vitest'
import {installDefinition} from './support/definitions.ts'
import {harness, job} from './support/each-test.ts'
import {expectExit, expectFailure} from './support/harness.ts'
import {until} from './support/until.ts'

const node = path.join(import.meta.dirname, '../../node_modules/.bin/node')
const sandbox = inject('clusterKind') === 'sandbox'
const local = [node, '-e', `require('http').createServer((_, r) => r.end('{"who":"local"}')).listen(8080)`]

/** A pod that waits, and knows what made it. */
const template = (kind: string, restartPolicy?: string) => ({
  metadata: {labels: {made: kind}},
  spec: {
    terminationGracePeriodSeconds: 0,
    restartPolicy,
    containers: [
      {
        name: 'main',
        image: 'localhost/node:1',
        imagePullPolicy: 'IfNotPresent',
        args: ['-e', 'setInterval(() => {}, 1000)'],
        env: [{name: 'MADE_BY', value: kind}],
      },
    ],
  },
})
const selector = (kind: string) => ({matchLabels: {made: kind}})
const workload = (kind: string, apiVersion: string, spec: object) => ({
  apiVersion,
  kind,
  metadata: {name: `made-${kind.toLowerCase()}`},
  spec,
})
/** Kinds that the sandbox has no controllers for. */
const others = [
  workload('StatefulSet', 'apps/v1', {
    serviceName: 'none',
    selector: selector('StatefulSet'),
    template: template('StatefulSet'),
  }),
  workload('DaemonSet', 'apps/v1', {selector: selector('DaemonSet'), template: template('DaemonSet')}),
  workload('CronJob', 'batch/v1', {
    schedule: '* * * * *',
    concurrencyPolicy: 'Forbid',
    jobTemplate: {spec: {template: template('CronJob', 'Never')}},
  }),
]
const everywhere = [
  workload('ReplicaSet', 'apps/v1', {replicas: 1, selector: selector('ReplicaSet'), template: template('ReplicaSet')}),
  workload('Job', 'batch/v1', {template: template('Job', 'Never')}),
  {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: {name: 'made-service'},
    spec: {selector: {made: 'Job'}, ports: [{port: 1}]},
  },
]

const rolloutDefinition = {
  apiVersion: 'apiextensions.k8s.io/v1',
  kind: 'CustomResourceDefinition',
  metadata: {name: 'rollouts.argoproj.io'},
  spec: {
    group: 'argoproj.io',
    scope: 'Namespaced',
    names: {plural: 'rollouts', singular: 'rollout', kind: 'Rollout', listKind: 'RolloutList'},
    versions: [
      {
        name: 'v1alpha1',
        served: true,
        storage: true,
        schema: {openAPIV3Schema: {type: 'object', x_kubernetes_preserve_unknown_fields: true}},
      },
    ],
  },
}
const yaml = (objects: readonly object[]) => objects.map((object) => JSON.stringify(object)).join('\n---\n')

const namespace = `targets-${randomBytes(3).toString('hex')}`
/** Removes the definition of rollouts. */
let undefine: (() => Promise<unknown>) | undefined

/** The program's own words about the pod whose environment it has. */
async function madeBy(target: string): Promise<string | undefined> {
  const config = path.join(job.folder, 'mirrord.json')
  writeFileSync(config, '{"feature": {"network": {"incoming": "off"}}}')
  const result = await job.run([
    ...['ci', 'start', '--foreground', '-t', target, '-n', namespace, '-f', config],
    ...['--', 'sh', '-c', 'echo "made by $MADE_BY"'],
  ])
  expectExit(result, 'success')
  return /made by (\S*)/.exec(result.stdout)?.[1]
}

async function running(kind: string): Promise<void> {
  const ready = async () => {
    const {items} = await harness.cluster.core.listNamespacedPod({namespace, labelSelector: `made=${kind}`})
    return items.some(({status}) => status?.containerStatuses?.[0]?.ready)
  }
  await until(`a pod of the ${kind}`, ready, {timeout: 90_000})
}

beforeAll(async () => {
  const {cluster} = harness
  await cluster.createNamespace(namespace)
  await cluster.create(namespace, yaml(sandbox ? everywhere : [...everywhere, ...others]))
  undefine = await installDefinition(cluster, rolloutDefinition)
  const rollout = workload('Rollout', 'argoproj.io/v1alpha1', {
    workloadRef: {apiVersion: 'apps/v1', kind: 'ReplicaSet', name: 'made-replicaset'},
  })
  // An established kind is served a moment later.
  await until('the rollout', () => cluster.create(namespace, yaml([rollout])).then(() => true), {timeout: 30_000})
})
afterAll(async () => {
  await undefine?.()
  await harness.cluster.deleteNamespace(namespace)
})

describe('the environment of', () => {
  test.each([
    ['replicaset/made-replicaset', 'ReplicaSet'],
    ['job/made-job', 'Job'],
    ['service/made-service', 'Job'],
    ['label/made=Job', 'Job'],
    ['rollout/made-rollout', 'ReplicaSet'],
  ])('[LIF-21] %s', async (target, kind) => {
    await running(kind)
    expect(await madeBy(target)).toBe(kind)
    await harness.nothingLeft(job)
  })

  test.skipIf(sandbox).each([
    ['statefulset/made-statefulset', 'StatefulSet'],
    ['daemonset/made-daemonset', 'DaemonSet'],
    ['cronjob/made-cronjob', 'CronJob'],
  ])('%s (a real cluster)', async (target, kind) => {
    await running(kind)
    expect(await madeBy(target)).toBe(kind)
    await harness.nothingLeft(job)
  })
})

describe('the traffic of', () => {
  test.each(['service/echo', 'label/app=echo'])('%s', async (target) => {
    expectExit(await job.start('--target', target, '--', ...local), 'success')
    expect((await harness.who()).who).toBe('local')
    expectExit(await job.stop(), 'success')
    expect((await harness.who()).who).toBe('deployed')
    await harness.nothingLeft(job)
  })
})

describe('[EXIT-43] [EXIT-44] what cannot be a target', () => {
  test.each([
    ['service/eco', 'targetNotFound', 'TARGET_NOT_FOUND', 'Did you mean "service/echo"?'],
    ['label/app=nothing', 'targetNotFound', 'TARGET_NOT_FOUND', 'There is no pod with the labels app=nothing'],
    ['rollout/web', 'targetNotFound', 'TARGET_NOT_FOUND', 'There is no rollout "web"'],
    ['replicaset/none', 'targetNotFound', 'TARGET_NOT_FOUND', /The namespace has: .*echo-/],
    ['service/slow', 'targetNotReady', 'TARGET_NOT_READY', 'None of the pods of the service "slow"'],
  ] as const)('%s', async (target, exit, code, words) => {
    expectFailure(await job.start('--target', target, '--', 'true'), exit, code, words)
    await harness.nothingLeft(job)
  })
})

describe('without a target', () => {
  /** A program that serves, and tells what the API server of the cluster answers. */
  const program = `
    const server = require('http').createServer((_, response) => response.end('{"who":"local"}')).listen(0, () => {
      console.log('serves at ' + server.address().port)
      require('https').get('https://kubernetes.default/api', {rejectUnauthorized: false}, (answer) =>
        console.log('kubernetes answers ' + answer.statusCode + ' as ' + require('os').hostname()))
    })`

  test('[LIF-19] [LIF-20] [INC-24] the cluster is reached through an agent of its own class, and a server is local', async () => {
    const file = path.join(job.folder, 'mirrord.json')
    writeFileSync(file, JSON.stringify({agent: {priority_class: 'system-cluster-critical'}}))
    const started = await job.start('-f', file, '--steal', '--', node, '-e', program)
    expectExit(started, 'success')
    expect(started.output.match(/There is no target/g)).toHaveLength(1)
    const {items} = await harness.cluster.core.listNamespacedPod({
      namespace: harness.namespace,
      labelSelector: 'app=mirrord',
    })
    expect(items.map(({spec}) => [spec?.priorityClassName, spec?.hostPID ?? false])).toEqual([
      ['system-cluster-critical', false],
    ])
    const output = async () => (await job.run(['ci', 'logs'])).stdout
    await until('the answer of the API server', async () => (await output()).includes('kubernetes answers '))
    // Without credentials; a cluster may let nobody ask.
    expect(await output()).toMatch(/kubernetes answers (200|401|403)/)
    const port = Number(/serves at (\d+)/.exec(await output())![1])
    const answer = await fetch(`http://127.0.0.1:${port}/`)
    expect(await answer.json()).toEqual({who: 'local'})
    expectExit(await job.stop(), 'success')
    await harness.nothingLeft(job)
  })
})
