import {afterEach, describe, expect, it} from 'vitest'
import {resolveConfig} from '../../../src/config/index.ts'
import {MirrordError} from '../../../src/errors/mirrord-error.ts'
import {
  accessNeeds,
  checkAccess,
  describeNeed,
  minorVersion,
  reviewAccess,
  rolesFor,
  whoAmI,
  type Cluster,
  type Need,
} from '../../../src/kube/index.ts'
import {clusterFor, fakeApi, type Answer, type FakeApi} from './fake-api.ts'

let api: FakeApi | undefined
let cluster: Cluster | undefined
afterEach(async () => {
  cluster?.client.close()
  await api?.close()
})

const configOf = async (file: object) => {
  const text = JSON.stringify(file)
  const {config} = await resolveConfig({
    flags: {'config-file': 'm.json'},
    env: {},
    cwd: '/',
    readFile: async () => text,
  })
  return config
}
const needsOf = async (file: object, minor?: number) =>
  accessNeeds(await configOf(file), {namespace: 'ctx', minor}).map((need) => describeNeed(need))
const inCtx = (...rights: string[]) => rights.map((right) => `${right} in the namespace "ctx"`)

describe('the rights of a run', () => {
  const job = ['create jobs.batch', 'delete jobs.batch', 'watch pods', 'list pods', 'get pods/portforward']

  it('are those of its calls: a workload, the agent as a Job in its own namespace', async () => {
    const file = {target: {path: 'deployment/web', namespace: 'shop'}, agent: {namespace: 'agents'}}
    expect(await needsOf(file, 34)).toEqual([
      'get deployments.apps in the namespace "shop"',
      'list pods in the namespace "shop"',
      ...job.map((right) => `${right} in the namespace "agents"`),
    ])
  })

  it('are each told once', async () => {
    expect(await needsOf({target: 'deployment/web'}, 34)).toEqual(
      inCtx(
        'get deployments.apps',
        'list pods',
        'create jobs.batch',
        'delete jobs.batch',
        'watch pods',
        'get pods/portforward',
      ),
    )
  })

  it.each([
    [35, true],
    [34, false],
    [undefined, true],
  ])('know that the upgrade is a create from Kubernetes 1.35 on: 1.%s', async (minor, create) => {
    const rights = await needsOf({target: 'pod/web-0'}, minor)
    expect(rights.some((right) => right.startsWith('create pods/portforward'))).toBe(create)
  })

  it.each([
    ['pod/web-0', ['get pods']],
    ['statefulset/web', ['get statefulsets.apps', 'list pods']],
    ['cronjob/web', ['get cronjobs.batch', 'list pods']],
    ['rollout/web', ['get rollouts.argoproj.io', 'list pods']],
    ['service/web', ['get services', 'list pods']],
    ['label/app=web', ['list pods']],
    ['targetless', []],
  ])('to find %s', async (target, rights) => {
    expect(await needsOf({target, agent: {namespace: 'agents'}})).toEqual(
      expect.arrayContaining(target === 'targetless' ? inCtx('create jobs.batch') : inCtx(...rights)),
    )
    const found = accessNeeds(await configOf({target}), {namespace: 'ctx'}).filter(({purpose}) =>
      purpose.includes('find'),
    )
    expect(found.map((need) => describeNeed(need))).toEqual(inCtx(...rights))
  })

  it('of an ephemeral agent are all where the target is, and none for jobs', async () => {
    const file = {target: {path: 'pod/web-0', namespace: 'shop'}, agent: {ephemeral: true, namespace: 'agents'}}
    expect(await needsOf(file, 34)).toEqual(
      [
        'get pods',
        'get pods/ephemeralcontainers',
        'update pods/ephemeralcontainers',
        'watch pods',
        'list pods',
        'get pods/portforward',
      ].map((right) => `${right} in the namespace "shop"`),
    )
  })

  it('are those of the clean-up too, where it is asked for', async () => {
    const rights = async (file: object, orphans: boolean) =>
      accessNeeds(await configOf(file), {namespace: 'ctx', minor: 34}, {orphans}).map((need) => describeNeed(need))
    const file = {target: {path: 'pod/web-0', namespace: 'shop'}, agent: {namespace: 'agents'}}
    expect(await rights(file, true)).toEqual([
      ...(await rights(file, false)),
      'list jobs.batch in the namespace "agents"',
    ])
    expect(await rights({agent: {namespace: 'agents'}, target: {namespace: 'shop'}}, true)).toEqual(
      expect.arrayContaining(['agents', 'shop'].map((name) => `list jobs.batch in the namespace "${name}"`)),
    )
  })

  it('hold the profile, of the cluster or of a namespace', async () => {
    expect(await needsOf({target: 'pod/x', profile: 'quiet'})).toContain(
      'get mirrordclusterprofiles.profiles.mirrord.metalbear.co',
    )
    expect(await needsOf({target: 'pod/x', profile: 'shop/quiet'})).toContain(
      'get mirrordprofiles.profiles.mirrord.metalbear.co in the namespace "shop"',
    )
  })
})

interface Review {
  kind: string
  spec: {namespace?: string; resourceAttributes?: Record<string, string>}
}

/** A cluster whose users have these rules; `allow` is another authorizer, which tells no rules. */
async function serve(
  rules: object[],
  allow: (attributes: Record<string, string>) => boolean = () => false,
  refuse?: Answer,
): Promise<Cluster> {
  api = await fakeApi(async (request) => {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk as Buffer)
    if (refuse) return refuse
    const {kind, spec} = JSON.parse(Buffer.concat(chunks).toString()) as Review
    if (kind === 'SelfSubjectReview') return {status: 201, body: {status: {userInfo: {username: 'ann'}}}}
    const status =
      kind === 'SelfSubjectRulesReview' ? {resourceRules: rules} : {allowed: allow(spec.resourceAttributes!)}
    return {status: 201, body: {status}}
  })
  cluster = await clusterFor(api.url, {namespace: 'ctx'})
  return cluster
}
const need = (verb: string, resource: string, group = '', namespace: string | undefined = 'ctx'): Need => ({
  ...{verb, resource, group, namespace, purpose: 'test'},
})
const verdicts = async (rules: object[], ...needs: Need[]) =>
  (await reviewAccess(await serve(rules), needs)).map(({verdict}) => verdict)

describe('reviewAccess', () => {
  it('asks for the rules of a namespace once, and one by one for what they do not give', async () => {
    const rules = [{verbs: ['get', 'list'], apiGroups: [''], resources: ['pods']}]
    const needs = [need('get', 'pods'), need('list', 'pods'), need('watch', 'pods'), need('create', 'jobs', 'batch')]
    const found = await reviewAccess(await serve(rules, ({verb}) => verb === 'create'), needs)
    expect(found.map(({verdict}) => verdict)).toEqual(['allowed', 'allowed', 'denied', 'allowed'])
    expect(api!.requests).toHaveLength(3)
  })

  it.each([
    [{verbs: ['*'], apiGroups: ['*'], resources: ['*']}, 'allowed'],
    [{verbs: ['get'], apiGroups: [''], resources: ['pods/portforward']}, 'allowed'],
    [{verbs: ['get'], apiGroups: [''], resources: ['*/portforward']}, 'allowed'],
    [{verbs: ['get'], apiGroups: [''], resources: ['pods']}, 'denied'],
    [{verbs: ['get'], apiGroups: ['apps'], resources: ['pods/portforward']}, 'denied'],
    [{verbs: ['create'], apiGroups: [''], resources: ['pods/portforward']}, 'denied'],
    [{verbs: ['get'], apiGroups: [''], resources: ['pods/portforward'], resourceNames: ['one']}, 'denied'],
  ])('takes the rule %j as the API server does', async (rule, verdict) => {
    expect(await verdicts([rule], need('get', 'pods/portforward'))).toEqual([verdict])
  })

  it('asks about objects of the cluster one by one, and names the subresource', async () => {
    const seen: Record<string, string>[] = []
    const given = await serve([], (attributes) => seen.push(attributes) > 0)
    await reviewAccess(given, [need('get', 'pods/portforward'), {...need('get', 'nodes'), namespace: undefined}])
    expect(seen).toEqual([
      {verb: 'get', group: '', resource: 'pods', subresource: 'portforward', namespace: 'ctx'},
      {verb: 'get', group: '', resource: 'nodes'},
    ])
  })

  it('does not know where the cluster refuses the question', async () => {
    const refused = await serve([], () => false, {status: 403, body: {message: 'no'}})
    expect((await reviewAccess(refused, [need('get', 'pods')])).map(({verdict}) => verdict)).toEqual(['unknown'])
    expect(await whoAmI(refused)).toBeUndefined()
  })

  it('tells who the credentials are for', async () => {
    expect(await whoAmI(await serve([]))).toBe('ann')
  })
})

describe('checkAccess', () => {
  const check = async (rules: object[], allow?: (attributes: Record<string, string>) => boolean) => {
    const error = await checkAccess(await serve(rules, allow), await configOf({target: 'deployment/web'}), {
      gitVersion: 'v1.35.0',
      minor: '35',
    }).then(
      () => undefined,
      (thrown: unknown) => thrown,
    )
    if (error !== undefined && !(error instanceof MirrordError)) throw error as Error
    return error?.report
  }

  it('lets pass who has every right', async () => {
    expect(await check([{verbs: ['*'], apiGroups: ['*'], resources: ['*']}])).toBeUndefined()
  })

  it('names every missing right at once', async () => {
    const report = await check([{verbs: ['*'], apiGroups: [''], resources: ['pods', 'pods/portforward']}])
    expect(report).toMatchObject({code: 'FORBIDDEN', exit: 'forbidden'})
    expect(report!.what).toContain('lack 3 rights')
    expect(report!.detail!.split('\n')).toEqual([
      'get deployments.apps in the namespace "ctx": to find the target',
      'create jobs.batch in the namespace "ctx": to start the agent',
      'delete jobs.batch in the namespace "ctx": to end the agent',
    ])
    expect(report!.next.join()).toContain('mirrord doctor --rbac')
  })

  it('names a single one in its first sentence', async () => {
    const report = await check([], ({verb, resource}) => verb !== 'delete' || resource !== 'jobs')
    expect(report!.what).toBe('The credentials may not delete jobs.batch in the namespace "ctx".')
    expect(report!.why).toContain('end the agent')
  })

  it.each([
    ['35', 35],
    ['27+', 27],
    [undefined, undefined],
    ['', undefined],
  ])('reads the minor version %j', (minor, number) => {
    expect(minorVersion({gitVersion: 'v1', minor})).toBe(number)
  })
})

describe('rolesFor', () => {
  const cases = [need('get', 'pods'), need('list', 'pods'), need('create', 'jobs', 'batch')]

  it('gives one role a namespace with its binding, to a service account', () => {
    const [role, binding, ...others] = rolesFor(cases, 'system:serviceaccount:ci:runner') as [
      Record<string, unknown> & {metadata: {name: string}},
      Record<string, unknown>,
    ]
    expect(others).toEqual([])
    expect(role).toMatchObject({
      kind: 'Role',
      metadata: {namespace: 'ctx'},
      rules: [
        {apiGroups: [''], resources: ['pods'], verbs: ['get', 'list']},
        {apiGroups: ['batch'], resources: ['jobs'], verbs: ['create']},
      ],
    })
    expect(binding).toMatchObject({
      kind: 'RoleBinding',
      metadata: role.metadata,
      roleRef: {apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name: role.metadata.name},
      subjects: [{kind: 'ServiceAccount', namespace: 'ci', name: 'runner'}],
    })
  })

  it('gives objects of the cluster by a cluster role, to a user', () => {
    const roles = rolesFor([{...need('get', 'nodes'), namespace: undefined}, ...cases], 'ann') as {kind: string}[]
    expect(roles.map(({kind}) => kind)).toEqual(['ClusterRole', 'ClusterRoleBinding', 'Role', 'RoleBinding'])
    expect(roles[1]).toMatchObject({subjects: [{kind: 'User', name: 'ann'}]})
    expect(roles[0]).not.toHaveProperty('metadata.namespace')
  })

  it('never takes the name of a role with other rules or for somebody else', () => {
    const name = (needs: Need[], user: string) => (rolesFor(needs, user)[0] as {metadata: {name: string}}).metadata.name
    expect(name(cases, 'ann')).toBe(name(cases, 'ann'))
    expect(new Set([name(cases, 'ann'), name(cases, 'bob'), name(cases.slice(1), 'ann')]).size).toBe(3)
  })
})
