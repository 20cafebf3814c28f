import {randomBytes} from 'node:crypto'
import {writeFileSync} from 'node:fs'
import path from 'node:path'
import {promisify} from 'node:util'
import {execFile} from 'node:child_process'
import {PatchStrategy, setHeaderOptions} from '@kubernetes/client-node'
import {afterAll, beforeAll, describe, expect, inject, test} from 'vitest'
import {harness, job} from './support/each-test.ts'
import {expectExit, expectFailure} from './support/harness.ts'
import {changedKubeconfig} from './support/kubeconfig.ts'
import {until} from './support/until.ts'

const execute = promisify(execFile)
const root = path.join(import.meta.dirname, '../..')
const node = path.join(root, 'node_modules/.bin/node')
const run = path.join(root, 'bin/run.js')

const several = `ls-several-${randomBytes(3).toString('hex')}`
const empty = `ls-empty-${randomBytes(3).toString('hex')}`

/** A pod that only waits; `unready` never becomes ready. */
const pod = (name: string, containers: string[], unready = false) => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: {name},
  spec: {
    terminationGracePeriodSeconds: 0,
    containers: containers.map((container) => ({
      name: container,
      image: 'localhost/node:1',
      imagePullPolicy: 'IfNotPresent',
      args: ['-e', 'setInterval(() => {}, 1000)'],
      ...(unready ? {readinessProbe: {tcpSocket: {port: 9}}} : {}),
    })),
  },
})

beforeAll(async () => {
  const {cluster} = harness
  await Promise.all([several, empty].map((namespace) => cluster.createNamespace(namespace)))
  const pods = [
    pod('alone', ['app']),
    pod('pair', ['app', 'cache']),
    pod('meshed', ['istio-proxy', 'app']),
    pod('unready', ['app'], true),
  ]
  await cluster.create(several, pods.map((object) => JSON.stringify(object)).join('\n---\n'))
  const ready = async () => {
    const {items} = await cluster.core.listNamespacedPod({namespace: several})
    const names = items.filter(({status}) => status?.conditions?.some((c) => c.type === 'Ready' && c.status === 'True'))
    return names.length === 3 && items.every(({status}) => status?.phase === 'Running')
  }
  await until('the pods of the test', ready, {timeout: 60_000})
})
afterAll(() => Promise.all([several, empty].map((namespace) => harness.cluster.deleteNamespace(namespace))))

/** Whether a target is one of what every file finds in its namespace; other files of the worker have deployed more. */
const isFixture = (target: string) => /^(?:pod|deployment)\/(?:echo|info|plain)(?:-|$)/.test(target)

/** What `mirrord ls` prints as JSON. */
async function list(...args: string[]): Promise<string[]> {
  const result = await job.run(['ls', ...args])
  expectExit(result, 'success')
  expect(result.stderr).toBe('')
  return JSON.parse(result.stdout) as string[]
}

const kubeconfig = (change: {server?: string; token?: string; namespace?: string}) => {
  const file = path.join(job.folder, 'kubeconfig')
  writeFileSync(file, changedKubeconfig(harness, change))
  return {KUBECONFIG: file}
}

describe('mirrord ls', () => {
  test('lists ready pods and their deployments, and no agents [LIF-18]', async () => {
    const program = [node, '-e', `require('http').createServer((_, r) => r.end('{"who":"local"}')).listen(8080)`]
    expectExit(await job.start('--target', 'deployment/echo', '--', ...program), 'success')
    const pods = await Promise.all(
      ['echo', 'info', 'plain'].map((name) => harness.cluster.pod(harness.namespace, name)),
    )
    const all = await list()
    expect(all.filter((target) => target.includes('mirrord-agent'))).toEqual([])
    const found = all.filter(isFixture)
    expect(found).toEqual([
      ...pods.map(({metadata}) => `pod/${metadata!.name}`).sort(),
      'deployment/echo',
      'deployment/info',
      'deployment/plain',
    ])
    for (const target of all) expect(target).toMatch(/^[a-z]+\/[^/]+(\/container\/[^/]+)?$/)
    expect((await list('--target-type', 'deployment')).filter(isFixture)).toEqual(found.slice(3))
    expectExit(await job.stop(), 'success')
    await harness.nothingLeft(job)
  })

  test('names the containers of a pod with several, but for sidecars [LIF-18]', async () => {
    const expected = ['pod/alone', 'pod/meshed', 'pod/pair/container/app', 'pod/pair/container/cache']
    expect(await list('-n', several)).toEqual(expected)
    expect(await list('--namespace', several, '-o', 'json')).toEqual(expected)
    const file = path.join(job.folder, 'mirrord.json')
    writeFileSync(file, JSON.stringify({target: {namespace: several}}))
    expect(await list('-f', file, '--json')).toEqual(expected)
    expect(await list('-n', several, '-t', 'deployment')).toEqual([])
  })

  /** Starts a session on the target, which need not listen, and ends it; gives what the start said. */
  async function startOn(target: string): Promise<string> {
    const args = ['--target', target, '-n', several, '--name', 'listed', '--ready', 'started']
    const result = await job.start(...args, '--', node, '-e', 'setInterval(() => {}, 1000)')
    expectExit(result, 'success')
    expectExit(await job.stop(), 'success')
    return result.stderr
  }

  test('names targets on which sessions start: each container itself', async () => {
    for (const target of await list('-n', several)) {
      const [, pod, , container] = target.split('/')
      const said = await startOn(target)
      expect(said).toContain(`is pod ${pod}, container ${container ?? 'app'}, in namespace ${several}`)
      expect(said).not.toContain('was chosen')
    }
    await harness.nothingLeft(job)
  })

  test('a pod of which no container is named: its default one, else the first, with a warning [LIF-26]', async () => {
    const said = await startOn('pod/pair')
    expect(said).toContain('container "app" was chosen; the pod also has cache')
    expect(said).toContain('is pod pair, container app,')
    const annotations = {'kubectl.kubernetes.io/default-container': 'cache'}
    await harness.cluster.core.patchNamespacedPod(
      {name: 'pair', namespace: several, body: {metadata: {annotations}}},
      setHeaderOptions('Content-Type', PatchStrategy.MergePatch),
    )
    const annotated = await startOn('pod/pair')
    expect(annotated).toContain('is pod pair, container cache,')
    expect(annotated).not.toContain('was chosen')
  })

  test('prints a table on a terminal', async () => {
    const args = [run, 'ls', '-n', several].join("' '")
    const {stdout} = await execute('script', ['-qec', `'${node}' '${args}'`, '/dev/null'], {
      env: {...job.env, NO_COLOR: '1'},
    })
    expect(stdout).toContain(`Targets in the namespace "${several}" of the context `)
    expect(stdout).toMatch(/TARGET +│ READY │ AGE/)
    expect(stdout).toMatch(/pod\/pair\/container\/cache │ 2\/2 +│ \d+[smh]/)
    const plain = await job.run(['ls', '-n', several, '-o', 'table'])
    expect(plain.stdout).toContain('pod/pair/container/cache')
    const none = await job.run(['ls', '-n', empty, '-o', 'table'])
    expect(none.stdout).toMatch(new RegExp(`^No targets in the namespace "${empty}" of the context ".*": no pod is`))
  })

  test('lists kinds that upstream lists with the operator alone, when they are asked for', async () => {
    const targets = await list('-t', 'service', '-t', 'replicaset')
    expect(targets.filter((target) => /^service\/(?:echo|info|plain)$/.test(target))).toHaveLength(3)
    expect(targets.filter((target) => /^replicaset\/(?:echo|info|plain)-/.test(target))).toHaveLength(3)
  })

  test('gives IDEs what they ask for by MIRRORD_LS_RICH_OUTPUT and MIRRORD_LS_TARGET_TYPES', async () => {
    const env = {MIRRORD_LS_RICH_OUTPUT: 'true', MIRRORD_LS_TARGET_TYPES: '["deployment"]'}
    const result = await job.run(['ls'], {env})
    expectExit(result, 'success')
    const rich = JSON.parse(result.stdout) as {targets: {path: string}[]; namespaces: string[]}
    expect(rich).toMatchObject({current_namespace: harness.namespace})
    const targets = ['echo', 'info', 'plain'].map((name) => ({path: `deployment/${name}`, available: true}))
    expect(rich.targets.filter(({path}) => isFixture(path))).toEqual(targets)
    expect(rich.targets.every(({path}) => path.startsWith('deployment/'))).toBe(true)
    expect(rich.namespaces).toEqual(expect.arrayContaining([harness.namespace, several, 'default']))
    expect(Object.keys(rich)).toEqual(['targets', 'current_namespace', 'namespaces'])
    // A flag says it for this once.
    expect(JSON.parse((await job.run(['ls', '-t', 'pod', '-n', empty], {env})).stdout)).toMatchObject({targets: []})
    const broken = await job.run(['ls'], {env: {MIRRORD_LS_TARGET_TYPES: 'pods'}})
    expectFailure(broken, 'configInvalid', 'TARGET_TYPE_INVALID', 'MIRRORD_LS_TARGET_TYPES')
  })

  test('says that a namespace has no targets', async () => {
    expect(await list('-n', empty)).toEqual([])
  })
})

describe('mirrord ls refuses', () => {
  test('[EXIT-43] a namespace that does not exist', async () => {
    const near = `${empty.slice(0, -1)}x`
    const result = await job.run(['ls', '-n', near])
    expectFailure(result, 'targetNotFound', 'NAMESPACE_NOT_FOUND', `"${near}"`, `Did you mean "${empty}`)
    expect(result.stdout).toBe('')
  })

  test('[EXIT-40] a cluster that cannot be reached', async () => {
    const result = await job.run(['ls'], {env: kubeconfig({server: 'https://127.0.0.1:9'})})
    expectFailure(result, 'clusterUnreachable', 'CLUSTER_REFUSED', '127.0.0.1:9')
  })

  test('[EXIT-41] credentials that the cluster does not accept', async () => {
    expectFailure(await job.run(['ls'], {env: kubeconfig({token: 'expired'})}), 'unauthorized', 'UNAUTHORIZED')
  })

  test('[EXIT-2] a type that is none', async () => {
    expectFailure(await job.run(['ls', '-t', 'pods']), 'usage', 'TARGET_TYPE_INVALID', '"pods"')
  })

  // Other clusters have no users whom the tests may take rights from.
  describe.skipIf(inject('clusterKind') !== 'sandbox')('without the right', () => {
    test('[EXIT-42] to list pods', async () => {
      const result = await job.run(['ls'], {env: kubeconfig({token: 'blind'})})
      const what = `The credentials may not list pods in the namespace "${harness.namespace}".`
      expectFailure(result, 'forbidden', 'FORBIDDEN', what, 'Grant the verb "list" on "pods"')
    })

    test('[EXIT-42] to list deployments that were asked for; else it lists the pods and warns', async () => {
      const env = kubeconfig({token: 'restricted'})
      const result = await job.run(['ls', '-t', 'deployment'], {env})
      expectFailure(result, 'forbidden', 'FORBIDDEN', 'may not list deployments.apps')
      const pods = await job.run(['ls'], {env})
      expectExit(pods, 'success')
      expect((JSON.parse(pods.stdout) as string[]).every((target) => target.startsWith('pod/'))).toBe(true)
      expect(pods.stderr).toContain('Not listed: The credentials may not list deployments.apps in the namespace')
    })

    test('to list namespaces: the current one is named, with a warning', async () => {
      const env = {...kubeconfig({token: 'blind'}), MIRRORD_LS_RICH_OUTPUT: 'true'}
      const result = await job.run(['ls', '-t', 'deployment'], {env})
      expectExit(result, 'success')
      expect(JSON.parse(result.stdout)).toMatchObject({namespaces: [harness.namespace]})
      expect(result.stderr).toContain('may not list namespaces')
    })
  })
})
