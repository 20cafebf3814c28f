/** Every call of a start and its end, on the sandbox with a real agent, under each fault of the API. */
import {readFileSync, writeFileSync} from 'node:fs'
import {afterAll, beforeAll, describe, expect, test} from 'vitest'
import type {Fault, FaultEffect, FaultMatch} from '../../../sandbox/api/faults.ts'
import {resolveConfig} from '../../../src/config/index.ts'
import {
  checkAccess,
  checkCluster,
  connectAgent,
  createAgent,
  deleteAgent,
  loadCluster,
  resolveTarget,
  waitForAgentGone,
  type Agent,
  type Cluster,
} from '../../../src/kube/index.ts'
import type {ExitCodeName} from '../../../src/errors/exit-codes.ts'
import {ClientSession} from '../../../src/protocol/index.ts'
import type {Client} from '../sandbox/cluster.ts'
import {cluster as startCluster, DEPLOYMENTS, JOBS, PODS, webServer} from '../sandbox/cluster.ts'
import type {Deployment, Obj, Pod} from '../../../sandbox/api/types.ts'
import {until} from '../../e2e/support/until.ts'
import {refusal} from '../../refusal.ts'

/** What a start and a stop ask, in their order, and how an error names it. */
const calls: {name: string; match: FaultMatch; words: string; end?: true}[] = [
  {name: 'the version', match: {path: '/version'}, words: 'get version'},
  {name: 'the rules', match: {resource: 'selfsubjectrulesreviews'}, words: 'create selfsubjectrulesreviews'},
  {name: 'a right', match: {resource: 'selfsubjectaccessreviews'}, words: 'create selfsubjectaccessreviews'},
  {name: 'the target', match: {verb: 'get', resource: 'deployments'}, words: 'get deployments.apps "web"'},
  {name: 'its pods', match: {verb: 'list', resource: 'pods'}, words: 'list pods'},
  {name: 'the Job', match: {verb: 'create', resource: 'jobs'}, words: 'create jobs.batch'},
  {name: "the agent's pod", match: {verb: 'watch', resource: 'pods'}, words: 'watch pods'},
  {name: 'the tunnel', match: {resource: 'pods/portforward'}, words: 'get pods/portforward'},
  {name: 'the end of the Job', match: {verb: 'delete', resource: 'jobs'}, words: 'delete jobs.batch', end: true},
]

/** What is over when it is asked again. */
const transient: Record<string, FaultEffect> = {
  'a 429': {answer: 429},
  'a 429 that says when': {answer: 429, retryAfter: 1},
  'a 500': {answer: 500},
  'a 503': {answer: 503, retryAfter: 0},
  'a 504': {answer: 504, body: '<html>gateway timeout</html>'},
  'a late answer': {delay: 1200},
  'a late body': {delay: 1200, at: 'body'},
  'a slow body': {trickle: 2},
  'a cut before anything was done': {cut: 'before'},
  'a cut after all was done': {cut: 'after'},
  'a cut within the answer': {cut: 30},
}

/** Where a right is to be asked for by itself, no rule must have given it. */
function ofRights({resource}: FaultMatch, user: string): Fault[] {
  if (resource !== 'selfsubjectaccessreviews') return []
  const none = {answer: 201, body: {status: {resourceRules: []}}}
  return [{match: {user, resource: 'selfsubjectrulesreviews'}, effect: none}]
}

const long = Boolean(process.env.MIRRORD_LONG)

describe.skipIf(process.getuid?.() !== 0)('the API with faults (root)', () => {
  let client: Client
  /** A user for every case, so that cases at the same time do not meet each other's faults. */
  const users = Array.from({length: 40}, (_, index) => `user-${index}`)

  beforeAll(async () => {
    client = await startCluster({tokens: users.map((name) => ({name, groups: [], token: name}))})
    await client.create(DEPLOYMENTS, webServer('web', 1).deployment)
    await client.until<Deployment>(DEPLOYMENTS, 'web', (found) => found?.status?.availableReplicas === 1)
  })
  afterAll(() => client?.sandbox.stop())

  /** Goes the whole way of a start and a stop; what was told of repetitions goes to `notes`. */
  async function wholeWay(
    user: string,
    notes: string[] = [],
    startupMs = 20_000,
    {server, ephemeral = false}: {server?: string; ephemeral?: boolean} = {},
  ): Promise<void> {
    const kubeconfig = await client.sandbox.kubeconfigFor({name: user, token: user})
    const text = readFileSync(kubeconfig, 'utf8')
    if (server !== undefined) writeFileSync(kubeconfig, text.replaceAll(client.sandbox.server, server))
    const choice = {kubeconfig, startup_retry: {min_ms: 20, max_ms: 100, max_retries: 2}}
    const cluster = await loadCluster(choice, {}, (text) => notes.push(text))
    try {
      await start(cluster, startupMs, ephemeral)
    } finally {
      cluster.client.close()
    }
  }

  async function start(cluster: Cluster, timeoutMs: number, ephemeral: boolean): Promise<void> {
    const {config} = await resolveConfig({
      flags: {
        target: 'deployment/web',
        'agent-image': 'localhost/mirrord-agent:sandbox',
        'ephemeral-container': ephemeral,
      },
      env: {},
      cwd: '/',
    })
    await checkAccess(cluster, config, await checkCluster(cluster))
    const target = await resolveTarget(cluster, {kind: 'deployment', name: 'web'})
    const agent = await createAgent(cluster, {target, agent: config.agent, sessionId: 's', namespace: 'default'})
    const {answer: session} = await connectAgent(cluster, agent, {
      handshake: (channel) => ClientSession.open(channel),
      timeoutMs,
    })
    expect((await session.getEnv({filter: []})).type).toBe('Ok')
    session.close()
    await endOf(cluster, agent)
  }

  async function endOf(cluster: Cluster, agent: Agent): Promise<void> {
    await deleteAgent(cluster, agent)
    expect(await waitForAgentGone(cluster, agent)).toBe(true)
  }

  const jobs = async () => {
    const {body} = await client.call<Obj & {items: Obj[]}>('GET', JOBS)
    return body.items.map(({metadata}) => metadata.name)
  }
  /** Agents that nobody could delete end by themselves, which takes them a moment. */
  const jobsGone = () => until('the end of the Jobs', async () => (await jobs()).length === 0)

  // Once everything on each call, or, in the short form, each call with one fault and each fault on one call.
  const cases = calls.flatMap((call, c) =>
    Object.entries(transient)
      .filter((_, t) => long || t === c || (t >= calls.length && c === 5))
      .map(([fault, effect]) => ({fault, effect, ...call})),
  )
  test.each(cases)('$fault of $name is met by asking again', async ({effect, match, words}) => {
    const [user] = users
    client.sandbox.faults.set([{match: {...match, user}, effect, times: 1}, ...ofRights(match, user!)])
    const notes: string[] = []
    await wholeWay(user!, notes)
    expect(client.sandbox.faults.list[0]!.hits).toBeGreaterThan(0)
    // A watch that is cut is begun again; what is late is only waited for.
    if ('answer' in effect) expect(notes.join('\n')).toContain(words)
    await expect(jobs()).resolves.toEqual([])
  })

  test('every call fails once, and some again', async () => {
    const [user] = users
    client.sandbox.faults.set([{match: {user}, effect: {answer: 503}, times: 1, every: 3}])
    const notes: string[] = []
    await wholeWay(user!, notes)
    expect(notes.length).toBeGreaterThanOrEqual(calls.length)
    await expect(jobs()).resolves.toEqual([])
  })

  test('an ephemeral container is added once, however often it is asked for', async () => {
    const [user] = users
    const match = {user, resource: 'pods/ephemeralcontainers'}
    client.sandbox.faults.set([
      {match: {...match, verb: 'get'}, effect: {answer: 503}, times: 1},
      {match: {...match, verb: 'update'}, effect: {cut: 'after'}, times: 1},
    ])
    await wholeWay(user!, [], 20_000, {ephemeral: true})
    for (const {hits} of client.sandbox.faults.list) expect(hits).toBe(1)
    const {body} = await client.call<Obj & {items: Pod[]}>('GET', PODS)
    const added = body.items.flatMap(({spec}) => spec.ephemeralContainers ?? [])
    expect(added).toHaveLength(1)
  })

  describe('what stays wrong ends the start with the code of its cause, names the call, and leaves nothing', () => {
    // In the words of RBAC: others are those of policies.
    const message = 'it is forbidden: User "u" cannot get resource "it" in API group "" in the namespace "default"'
    const noRight = {kind: 'Status', apiVersion: 'v1', status: 'Failure', reason: 'Forbidden', code: 403, message}
    /** As `transient`, each with what it means on most calls; reviews that are refused are done without. */
    const permanent: {fault: string; effect: FaultEffect; code: string; exit: ExitCodeName; but?: string}[] = [
      {fault: 'a 401', effect: {answer: 401}, code: 'UNAUTHORIZED', exit: 'unauthorized'},
      {fault: 'a 403', effect: {answer: 403, body: noRight}, code: 'FORBIDDEN', exit: 'forbidden'},
      {fault: 'a 500', effect: {answer: 500}, code: 'CLUSTER_ERROR', exit: 'clusterUnreachable'},
      {fault: 'a 503', effect: {answer: 503}, code: 'CLUSTER_ERROR', exit: 'clusterUnreachable'},
      {fault: 'a cut', effect: {cut: 'before'}, code: 'CLUSTER_CUT', exit: 'clusterUnreachable'},
      {fault: 'a cut after all was done', effect: {cut: 'after'}, code: 'CLUSTER_CUT', exit: 'clusterUnreachable'},
      {
        fault: 'a page',
        effect: {answer: 200, body: '<html>'},
        code: 'CLUSTER_NOT_KUBERNETES',
        exit: 'clusterUnreachable',
      },
    ]
    const rows = calls.flatMap((call, c) =>
      permanent.filter((_, p) => long || (p + c) % permanent.length === 0).map((fault) => ({...fault, ...call})),
    )
    test.each(rows)('$fault of $name', async ({effect, match, words, code, exit, name}) => {
      const [user] = users
      client.sandbox.faults.set([{match: {...match, user}, effect}, ...ofRights(match, user!)])
      const review = match.resource?.startsWith('selfsubject')
      if (code === 'FORBIDDEN' && review) {
        await wholeWay(user!)
        return expect(client.sandbox.faults.list[0]!.hits).toBeGreaterThan(0)
      }
      // Most of these are waited out; before its end fails, a Job must have begun.
      const report = await refusal(wholeWay(user!, [], name === 'the end of the Job' ? 20_000 : 2000))
      const text = [report.what, report.why, report.detail].join('\n')
      expect(client.sandbox.faults.list[0]!.hits).toBeGreaterThan(0)
      client.sandbox.faults.set([])
      await jobsGone()
      // What opens no tunnel, or none in time, has codes of its own.
      if (name === 'the tunnel' && !['UNAUTHORIZED', 'FORBIDDEN'].includes(code)) {
        expect(report).toMatchObject({code: /^(AGENT_UNREACHABLE|NO_TUNNEL)$/.exec(report.code)?.[0], exit})
      } else expect(report).toMatchObject({code, exit})
      if (report.code !== 'NO_TUNNEL') expect(text).toContain(words)
      expect(report.next.length).toBeGreaterThan(0)
    })

    test('of all at once: nothing is asked for ever', async () => {
      const [user] = users
      client.sandbox.faults.set([{match: {user}, effect: {answer: 503}}])
      const report = await refusal(wholeWay(user!))
      expect(report).toMatchObject({code: 'CLUSTER_ERROR', exit: 'clusterUnreachable'})
      expect(client.sandbox.faults.list[0]!.hits).toBe(3)
    })

    test.runIf(long)('an API that accepts every question and never answers', {timeout: 120_000}, async () => {
      const silent = calls.map((call, index) => ({...call, user: users[index + 1]!}))
      client.sandbox.faults.set(
        silent.flatMap(({match, user}): Fault[] => [
          {match: {...match, user}, effect: {freeze: 'before'}},
          ...ofRights(match, user),
        ]),
      )
      const reports = await Promise.all(
        silent.map(async ({user, name}) => {
          const began = performance.now()
          const report = await refusal(wholeWay(user, [], 25_000))
          return {name, report, seconds: (performance.now() - began) / 1000}
        }),
      )
      for (const [index, {name, report, seconds}] of reports.entries()) {
        const text = `${name}: ${[report.code, report.what, report.why].join(' ')}`
        expect(report.exit, text).toBe('clusterUnreachable')
        expect(text).toContain(calls[index]!.words)
        expect(seconds, text).toBeLessThan(45)
      }
      client.sandbox.faults.set([])
      await jobsGone()
    })
  })

  describe('a server that cannot be trusted, or never speaks', () => {
    type Door = Parameters<typeof client.sandbox.door>[0]
    test.each<[Door, string]>([
      ['expired', 'CLUSTER_TLS_TIME'],
      ['other-name', 'CLUSTER_TLS_NAME'],
      ['unknown-authority', 'CLUSTER_TLS_AUTHORITY'],
      ['plain', 'CLUSTER_NOT_TLS'],
      // Two limits of 15 s.
      ...(long ? [['silent', 'CLUSTER_TIMEOUT'] as [Door, string]] : []),
    ])('%s: %s', {timeout: 60_000}, async (door, code) => {
      const notes: string[] = []
      const report = await refusal(wholeWay(users[0]!, notes, 20_000, {server: await client.sandbox.door(door)}))
      expect(report).toMatchObject({code, exit: 'clusterUnreachable'})
      expect(report.next.length).toBeGreaterThan(0)
      // Only what may pass is tried again.
      expect(notes).toHaveLength(door === 'silent' ? 1 : 0)
    })

    test('for which the client certificate is expired', async () => {
      const late = {name: 'late', notAfter: new Date(Date.now() - 60_000)}
      const cluster = await loadCluster({kubeconfig: await client.sandbox.kubeconfigFor(late)}, {})
      const report = await refusal(checkCluster(cluster))
      cluster.client.close()
      expect(report).toMatchObject({code: 'UNAUTHORIZED', exit: 'unauthorized'})
    })
  })

  describe('a server that opens no WebSocket', () => {
    const status = (code: number, reason: string, message: string) => ({
      ...{kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Failure'},
      ...{code, reason, message},
    })
    test.each<[number, object | string, string]>([
      [400, status(400, 'BadRequest', 'Upgrade request required'), 'Upgrade request required'],
      [400, 'unable to upgrade: missing upgrade headers in request', 'unable to upgrade'],
      [403, 'websocket: bad handshake', 'bad handshake'],
      [404, status(404, 'NotFound', 'the server could not find the requested resource'), 'could not find'],
      [404, '404 page not found', 'page not found'],
      [405, status(405, 'MethodNotAllowed', 'the server does not allow this method'), 'not allow'],
      [200, '<html>welcome</html>', 'HTTP 200'],
    ])('by HTTP %i %j', async (answer, body, says) => {
      const [user] = users
      client.sandbox.faults.set([
        {match: {user, resource: 'pods/portforward'}, effect: {answer, body}},
        {match: {user, path: '/version'}, effect: {answer: 200, body: {major: '1', minor: '5', gitVersion: 'v1.5.8'}}},
      ])
      const report = await refusal(wholeWay(user!))
      expect(report).toMatchObject({code: 'NO_TUNNEL', exit: 'clusterUnreachable'})
      for (const words of [says, 'v1.5.8', 'from 1.6 on']) expect(report.why).toContain(words)
      await jobsGone()
    })
  })

  describe('streams', () => {
    test('a watch whose version is too old, as an answer, begins again', async () => {
      const [user] = users
      client.sandbox.faults.set([{match: {user, verb: 'watch'}, effect: {answer: 410}, times: 1}])
      await wholeWay(user!)
      expect(client.sandbox.faults.list[0]!.hits).toBeGreaterThan(0)
    })

    test('a watch that is cut again and again shows what it must', async () => {
      const [user] = users
      client.sandbox.faults.set([{match: {user, verb: 'watch'}, effect: {cut: 6000}}])
      await wholeWay(user!)
      expect(client.sandbox.faults.list[0]!.hits).toBeGreaterThan(1)
    })

    // Each waits out a limit of 10 s.
    test.runIf(long)('a watch, or a tunnel, that falls silent is opened anew', async () => {
      const [, watcher, forwarder] = users
      client.sandbox.faults.set([
        {match: {user: watcher, verb: 'watch', resource: 'pods'}, effect: {freeze: 10}, times: 1},
        {match: {user: forwarder, resource: 'pods/portforward'}, effect: {freeze: 0}, times: 1},
      ])
      await Promise.all([wholeWay(watcher!), wholeWay(forwarder!)])
      for (const {hits} of client.sandbox.faults.list) expect(hits).toBe(1)
    })
  })
})
