import {randomBytes} from 'node:crypto'
import {writeFileSync} from 'node:fs'
import path from 'node:path'
import {RbacAuthorizationV1Api, type V1Role} from '@kubernetes/client-node'
import {afterAll, afterEach, beforeAll, describe, expect, inject, test} from 'vitest'
import {parseAllDocuments} from 'yaml'
import {harness, job} from './support/each-test.ts'
import {expectExit, expectFailure} from './support/harness.ts'
import {changedKubeconfig} from './support/kubeconfig.ts'
import {until} from './support/until.ts'

const node = path.join(import.meta.dirname, '../../node_modules/.bin/node')
const server = [node, '-e', `require('http').createServer((_, r) => r.end('{"who":"local"}')).listen(8080)`]
const user = `bare-${randomBytes(3).toString('hex')}`

interface Diagnosis {
  checks: {name: string; state: string; text: string; code?: string}[]
  missing: {verb: string; resource: string}[]
}

let token: string
let rbac: RbacAuthorizationV1Api
/** The roles of the test at hand, to be removed after it. */
const made: string[] = []

// The sandbox has no roles: its users are denied resources as a whole.
describe.skipIf(inject('clusterKind') === 'sandbox')('a service account without rights (a real cluster)', () => {
  beforeAll(async () => {
    const {core, config} = harness.cluster
    const {namespace} = harness
    rbac = config.makeApiClient(RbacAuthorizationV1Api)
    await core.createNamespacedServiceAccount({namespace, body: {metadata: {name: user}}})
    const request = {namespace, name: user, body: {spec: {audiences: [], expirationSeconds: 3600}}}
    token = (await core.createNamespacedServiceAccountToken(request)).status!.token!
  })
  afterEach(async () => {
    const {namespace} = harness
    for (const name of made.splice(0)) {
      await rbac.deleteNamespacedRoleBinding({namespace, name})
      await rbac.deleteNamespacedRole({namespace, name})
    }
  })
  afterAll(() => harness.cluster.core.deleteNamespacedServiceAccount({namespace: harness.namespace, name: user}))

  const env = () => {
    const file = path.join(job.folder, 'kubeconfig')
    writeFileSync(file, changedKubeconfig(harness, {token}))
    return {KUBECONFIG: file}
  }
  const doctor = (...args: string[]) => job.run(['doctor', '--target', 'deployment/echo', ...args], {env: env()})
  const start = (...args: string[]) =>
    job.run(['ci', 'start', '--target', 'deployment/echo', ...args, '--', ...server], {env: env()})

  /** Applies what `doctor --rbac` prints. */
  async function apply(yaml: string): Promise<V1Role> {
    await harness.cluster.create(harness.namespace, yaml)
    const [role] = parseAllDocuments(yaml).map((document) => document.toJS() as V1Role)
    made.push(role!.metadata!.name!)
    return role!
  }

  /** Waits until the cluster's authorizer has seen the roles. */
  const missing = (count: number, ...args: string[]) =>
    until(`${count} missing rights`, async () => {
      const {stdout} = await doctor('--json', ...args)
      const diagnosis = JSON.parse(stdout) as Diagnosis
      return diagnosis.missing.length === count ? diagnosis : undefined
    })

  describe.each([
    ['as a Job', []],
    ['as an ephemeral container', ['--ephemeral-container']],
  ])('with the agent %s', (_name, flags) => {
    test('[EXIT-42] is told of every missing right at once, before anything is made', async () => {
      const result = await start(...flags)
      expectFailure(
        result,
        'forbidden',
        'FORBIDDEN',
        /lack \d+ rights/,
        'get deployments.apps',
        'mirrord doctor --rbac',
      )
      await harness.nothingLeft(job)
    })

    test('runs with the role that doctor prints, and with nothing of it to spare', async () => {
      const printed = await doctor('--rbac', ...flags)
      expectExit(printed, 'success')
      expect(printed.stderr).toContain(`system:serviceaccount:${harness.namespace}:${user}`)
      const role = await apply(printed.stdout)
      const {checks} = await missing(0, ...flags)
      expect(checks.filter(({state}) => state === 'failed')).toEqual([])
      expectExit(await start(...flags), 'success')
      expect((await harness.who()).who).toBe('local')
      expectExit(await job.run(['ci', 'stop'], {env: env()}), 'success')
      await harness.nothingLeft(job)

      const rules = role.rules!
      for (const [index, rule] of rules.entries())
        for (const verb of rule.verbs) {
          const less = rules.map((other, at) =>
            at === index ? {...other, verbs: other.verbs.filter((one) => one !== verb)} : other,
          )
          const body = {...role, rules: less.filter(({verbs}) => verbs.length > 0)}
          await rbac.replaceNamespacedRole({namespace: harness.namespace, name: role.metadata!.name!, body})
          await missing(1, ...flags)
          const group = rule.apiGroups![0] === '' ? '' : `.${rule.apiGroups![0]}`
          const words = `The credentials may not ${verb} ${rule.resources![0]}${group} in the namespace`
          expectFailure(await start(...flags), 'forbidden', 'FORBIDDEN', words)
        }
      await harness.nothingLeft(job)
    })
  })
})

test('doctor looks at everything and makes nothing', async () => {
  const result = await job.run(['doctor', '--target', 'deployment/echo', '--json'])
  expectExit(result, 'success')
  const {checks, missing} = JSON.parse(result.stdout) as Diagnosis
  expect(missing).toEqual([])
  expect(checks.filter(({state}) => state === 'failed')).toEqual([])
  const names = new Set(checks.map(({name}) => name))
  for (const name of [
    'kernel',
    'interception',
    'disk',
    'kubeconfig',
    'server',
    'clock',
    'credentials',
    'right',
    'target',
  ])
    expect(names).toContain(name)
  await harness.nothingLeft(job)
})

describe('doctor ends with the code of what is wrong, and tells the rest too', () => {
  test.each([
    ['[EXIT-43] the target', ['-t', 'deployment/nothing'], {}, 'targetNotFound', 'target', /^✓ server/m],
    ['[EXIT-33] the kubeconfig', ['-t', 'pod/x'], {KUBECONFIG: '/none'}, 'kubeconfig', 'kubeconfig', /^- server/m],
  ] as const)('%s', async (_name, args, more, exit, failed, words) => {
    const result = await job.run(['doctor', ...args], {env: more})
    expectExit(result, exit)
    expect(result.stdout).toMatch(new RegExp(`^✗ ${failed} `, 'm'))
    expect(result.stdout).toMatch(/^ +Next: /m)
    expect(result.stdout).toMatch(words)
  })
})
