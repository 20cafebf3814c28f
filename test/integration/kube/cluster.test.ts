/**
 * Against a real cluster: MIRRORD_E2E_KUBECONFIG names its kubeconfig, MIRRORD_STAND_IN_IMAGE an image of
 * stand-in-agent.mjs (its head says how to make one), kubectl is on the PATH. Skipped by name otherwise.
 */
import {randomBytes} from 'node:crypto'
import {mkdtemp, rm, writeFile} from 'node:fs/promises'
import {tmpdir} from 'node:os'
import path from 'node:path'
import {execa} from 'execa'
import {afterAll, beforeAll, describe, expect, it} from 'vitest'
import {resolveConfig} from '../../../src/config/index.ts'
import {
  checkCluster,
  connectAgent,
  createAgent,
  deleteAgent,
  eventLines,
  loadCluster,
  logTail,
  openForward,
  resolveTarget,
  waitForAgentGone,
  type Agent,
  type Cluster,
  type ClusterChoice,
  type ConnectedAgent,
  type ForwardChannel,
} from '../../../src/kube/index.ts'
import {discoverOperator} from '../../../src/operator/index.ts'
import {refusal} from '../../refusal.ts'

const kubeconfig = process.env.MIRRORD_E2E_KUBECONFIG
const image = process.env.MIRRORD_STAND_IN_IMAGE
const namespace = `kube-dev-${randomBytes(3).toString('hex')}`

const kubectl = async (args: string[], input?: string) =>
  (await execa('kubectl', args, {env: {KUBECONFIG: kubeconfig}, input})).stdout
/** The handshake of the stand-in: an `e` begins an echo. */
const echo = (channel: ForwardChannel) =>
  new Promise<void>((resolve, reject) => {
    channel.onData = () => resolve()
    channel.onClose = (error) => reject(error ?? new Error('closed'))
    channel.write([Buffer.from('e')])
  })

describe.skipIf(!kubeconfig || !image)('a real cluster', () => {
  let cluster: Cluster
  let folder: string

  beforeAll(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'kube-it-'))
    cluster = await loadCluster({kubeconfig}, {})
    await kubectl(['create', 'namespace', namespace])
    const sleeper = {image, imagePullPolicy: 'IfNotPresent', command: ['/bin/sleep', '100000']}
    const labels = {app: 'web', tier: 'a'}
    const spec = {
      terminationGracePeriodSeconds: 0,
      containers: [
        {name: 'web', ...sleeper},
        {name: 'helper', ...sleeper},
      ],
    }
    const metadata = {annotations: {'kubectl.kubernetes.io/default-container': 'web'}, labels}
    const deployment = (name: string, change: Record<string, unknown> = {}) => ({
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: {name, namespace},
      spec: {
        replicas: 1,
        selector: {matchLabels: {app: name}, matchExpressions: [{key: 'tier', operator: 'In', values: ['a', 'b']}]},
        template: {metadata: {...metadata, labels: {...labels, app: name}}, spec},
        ...change,
      },
    })
    const broken = {
      metadata: {...metadata, labels: {...labels, app: 'broken'}},
      spec: {...spec, containers: [{name: 'web', ...sleeper, readinessProbe: {exec: {command: ['/bin/false']}}}]},
    }
    const items = [deployment('web'), deployment('empty', {replicas: 0}), deployment('broken', {template: broken})]
    await kubectl(['apply', '-f', '-'], JSON.stringify({apiVersion: 'v1', kind: 'List', items}))
    await kubectl(['rollout', 'status', '-n', namespace, 'deployment/web', '--timeout=60s'])
    const running = 'jsonpath={.status.containerStatuses[0].state.running}'
    await kubectl(['wait', '-n', namespace, 'pod', '-l', 'app=broken', `--for=${running}`, '--timeout=60s'])
  })

  afterAll(async () => {
    await kubectl(['delete', 'namespace', namespace, '--wait=false'])
    cluster.client.close()
    await rm(folder, {recursive: true})
  })

  const configured = async (agent: Record<string, unknown> = {}) => {
    const text = JSON.stringify({agent: {image, namespace, ttl: 5, ...agent}})
    return (await resolveConfig({flags: {'config-file': 'm.json'}, env: {}, cwd: '/', readFile: async () => text}))
      .config
  }
  const start = async (agent: Record<string, unknown> = {}): Promise<Agent> => {
    const config = await configured(agent)
    const target = await resolveTarget(cluster, {kind: 'deployment', name: 'web'}, namespace)
    return createAgent(cluster, {target, agent: config.agent, sessionId: 'test', namespace})
  }
  const leftJobs = async () =>
    JSON.parse(await kubectl(['get', 'jobs', '-n', namespace, '-o', 'json'])) as {items: unknown[]}

  /** A kubeconfig of the cluster with parts of it changed. */
  const changed = async (change: {cluster?: Record<string, unknown>; user?: Record<string, unknown>}) => {
    const whole = JSON.parse(await kubectl(['config', 'view', '--raw', '--flatten', '--minify', '-o', 'json'])) as {
      clusters: {cluster: Record<string, unknown>}[]
      users: {user: Record<string, unknown>}[]
    }
    Object.assign(whole.clusters[0]!.cluster, change.cluster)
    if (change.user) whole.users[0]!.user = change.user
    const file = path.join(folder, randomBytes(4).toString('hex'))
    await writeFile(file, JSON.stringify(whole))
    return file
  }
  const check = async (choice: ClusterChoice) => {
    const other = await loadCluster(choice, {})
    try {
      return await checkCluster(other, {timeoutMs: 3000})
    } finally {
      other.client.close()
    }
  }

  describe('access', () => {
    it('gives the version', async () => {
      expect((await check({kubeconfig})).gitVersion).toMatch(/^v1\./)
    })

    it('has no operator', async () => {
      expect(await discoverOperator(cluster, {required: true})).toEqual({present: false})
    })

    it('works with a service account’s token, and not with an expired or wrong one', async () => {
      const token = await kubectl(['create', 'token', 'default', '-n', namespace])
      await check({kubeconfig: await changed({user: {token}})})
      const bad = await changed({user: {token: `${token.slice(0, -4)}AAAA`}})
      expect(await refusal(check({kubeconfig: bad}))).toMatchObject({code: 'UNAUTHORIZED', exit: 'unauthorized'})
      const none = await loadCluster({kubeconfig: await changed({user: {}})}, {})
      expect(await refusal(resolveTarget(none, {kind: 'pod', name: 'x'}, namespace))).toMatchObject({
        exit: 'unauthorized',
      })
    })

    it('names what a service account may not do', async () => {
      const token = await kubectl(['create', 'token', 'default', '-n', namespace])
      const limited = await loadCluster({kubeconfig: await changed({user: {token}})}, {})
      const report = await refusal(resolveTarget(limited, {kind: 'deployment', name: 'web'}, namespace))
      limited.client.close()
      expect(report).toMatchObject({
        exit: 'forbidden',
        what: `The credentials may not get deployments.apps "web" in the namespace "${namespace}".`,
      })
    })

    it('tells apart why a server cannot be used', async () => {
      const server = new URL(cluster.server)
      const at = async (change: Record<string, unknown>) =>
        (await refusal(check({kubeconfig: await changed({cluster: change})}))).code
      expect(await at({server: `https://${server.hostname}:1`})).toBe('CLUSTER_REFUSED')
      expect(await at({server: 'https://no-such-host.invalid:6443'})).toBe('CLUSTER_DNS')
      expect(await at({'tls-server-name': 'other.example'})).toBe('CLUSTER_TLS_NAME')
      expect(await at({'certificate-authority-data': undefined})).toBe('CLUSTER_TLS_AUTHORITY')
      expect(await refusal(check({kubeconfig, kube_context: 'nope'}))).toMatchObject({code: 'KUBECONFIG_CONTEXT'})
    })
  })

  describe('targets', () => {
    it('finds a pod of a deployment by labels and expressions', async () => {
      const found = await resolveTarget(cluster, {kind: 'deployment', name: 'web'}, namespace)
      expect(found).toMatchObject({namespace, container: 'web', containerGuessed: false, others: []})
      expect(found.containerId).toMatch(/^[0-9a-f]{64}$/)
      expect(found.nodeHostname).toBeTruthy()
      const pod = await resolveTarget(cluster, {kind: 'pod', name: found.name, container: 'helper'}, namespace)
      expect(pod).toMatchObject({name: found.name, container: 'helper', ips: found.ips})
      expect(pod.containerId).not.toBe(found.containerId)
    })

    it.each([
      [{kind: 'deployment', name: 'wbe'}, undefined, 'TARGET_NOT_FOUND', 'Did you mean "deployment/web"?'],
      [{kind: 'pod', name: 'web'}, undefined, 'TARGET_NOT_FOUND', 'Did you mean "pod/web-'],
      [{kind: 'pod', name: 'x'}, 'no-such-namespace', 'NAMESPACE_NOT_FOUND', 'no-such-namespace'],
      [{kind: 'deployment', name: 'web', container: 'wb'}, undefined, 'CONTAINER_NOT_FOUND', 'web'],
      [{kind: 'deployment', name: 'empty'}, undefined, 'TARGET_NOT_READY', 'scaled to zero'],
      [{kind: 'deployment', name: 'broken'}, undefined, 'TARGET_NOT_READY', 'readiness probe'],
    ] as const)('refuses %j in %s', async (target, where, code, words) => {
      const report = await refusal(resolveTarget(cluster, target, where ?? namespace))
      expect(report.code).toBe(code)
      expect(JSON.stringify(report).replaceAll('\\"', '"')).toContain(words)
    })
  })

  describe('an agent', () => {
    let job: Agent
    let agent: ConnectedAgent<void>

    beforeAll(async () => {
      job = await start()
      agent = await connectAgent(cluster, job, {handshake: echo, timeoutMs: 30_000})
    })

    it('answers before its pod is seen running, through several attempts', () => {
      expect(agent.attempts).toBeGreaterThan(1)
      expect(agent.pod).toContain(job.name)
    })

    it('has a Job as it was meant, by what the cluster stored', async () => {
      const stored = JSON.parse(await kubectl(['get', 'job', job.name, '-n', namespace, '-o', 'json'])) as {
        spec: {activeDeadlineSeconds: number; backoffLimit: number; template: {spec: Record<string, unknown>}}
      }
      expect(stored.spec).toMatchObject({activeDeadlineSeconds: 86_400, backoffLimit: 0, ttlSecondsAfterFinished: 5})
      expect(stored.spec.template.spec).toMatchObject({hostPID: true, restartPolicy: 'Never'})
    })

    it('echoes bytes unchanged in small and large writes', async () => {
      const sent = Array.from({length: 200}, (_, index) => randomBytes(index * 977 + 1))
      const total = sent.reduce((sum, {length}) => sum + length, 0)
      const received: Uint8Array[] = []
      let size = 0
      const all = Promise.withResolvers<void>()
      agent.channel.onData = (chunk) => {
        received.push(chunk)
        size += chunk.length
        if (size >= total) all.resolve()
      }
      for (const chunk of sent) {
        if (agent.channel.write([chunk.subarray(0, 7), chunk.subarray(7)])) continue
        await new Promise<void>((resolve) => (agent.channel.onDrain = resolve))
      }
      await all.promise
      expect(Buffer.concat(received).equals(Buffer.concat(sent))).toBe(true)
    })

    it('holds no more than a little of what a slow reader does not take', async () => {
      const channel = await openForward(cluster, {namespace, pod: agent.pod, port: job.port})
      const megabytes = 256
      let size = 0
      const all = Promise.withResolvers<void>()
      const held = Promise.withResolvers<void>()
      channel.onData = (chunk) => {
        size += chunk.length
        if (size === chunk.length) {
          channel.pause()
          held.resolve()
        }
        if (size === megabytes * 1024 * 1024) all.resolve()
      }
      channel.write([Buffer.from(`s${megabytes}`)])
      await held.promise
      const before = process.memoryUsage()
      // Work on another channel passes time in which an unbounded reader would have taken everything.
      const other = await openForward(cluster, {namespace, pod: agent.pod, port: job.port})
      await echo(other)
      for (let round = 0; round < 300; round++) {
        await new Promise<void>((resolve) => {
          other.onData = () => resolve()
          other.write([Buffer.from('x')])
        })
      }
      expect(size).toBeLessThan(1024 * 1024)
      const after = process.memoryUsage()
      expect(after.external + after.heapUsed - before.external - before.heapUsed).toBeLessThan(32 * 1024 * 1024)
      channel.resume()
      await all.promise
      channel.destroy()
      other.destroy()
    })

    it('stops the writer when the agent does not read', async () => {
      const channel = await openForward(cluster, {namespace, pod: agent.pod, port: job.port})
      await new Promise<void>((resolve) => {
        channel.onData = () => resolve()
        channel.write([Buffer.from('k')])
      })
      const chunk = Buffer.alloc(64 * 1024)
      let written = 0
      let open = true
      const stuck = () =>
        new Promise<boolean>((resolve) => {
          channel.onDrain = () => resolve(false)
          void echoRounds(100).then(() => resolve(true))
        })
      const other = await openForward(cluster, {namespace, pod: agent.pod, port: job.port})
      await echo(other)
      const echoRounds = async (rounds: number) => {
        for (let round = 0; round < rounds; round++) {
          await new Promise<void>((resolve) => {
            other.onData = () => resolve()
            other.write([Buffer.from('x')])
          })
        }
      }
      while (open && written < 256 * 1024 * 1024) {
        written += chunk.length
        if (!channel.write([chunk])) open = !(await stuck())
      }
      // What the buffers of five kernels and proxies take; far below the 256 MiB that were on offer.
      expect(open).toBe(false)
      expect(written).toBeLessThan(64 * 1024 * 1024)
      channel.destroy()
      other.destroy()
    })

    it('shows events and log', async () => {
      expect((await eventLines(cluster, namespace, agent.pod)).join('\n')).toContain('Scheduled')
      const at = {namespace, pod: agent.pod, container: 'mirrord-agent'}
      expect((await logTail(cluster, at)).lines).toEqual(['agent ready - version 3.250.0'])
    })

    it('is gone soon after it is deleted, and the channel tells', async () => {
      await deleteAgent(cluster, job)
      await deleteAgent(cluster, job)
      expect(await waitForAgentGone(cluster, job)).toBe(true)
      await agent.channel.closed
      expect((await leftJobs()).items).toEqual([])
    })
  })

  describe('an agent that cannot start', () => {
    const fails = async (agent: Record<string, unknown>, timeoutMs = 30_000) => {
      const job = await start(agent)
      const report = await refusal(connectAgent(cluster, job, {handshake: echo, timeoutMs}))
      expect(await waitForAgentGone(cluster, job)).toBe(true)
      expect((await leftJobs()).items).toEqual([])
      return report
    }

    it('because its image does not exist', async () => {
      const report = await fails({image: 'localhost/no-such-image:1'})
      expect(report).toMatchObject({code: 'AGENT_IMAGE_REGISTRY', exit: 'agentImage'})
      expect(report.what).toContain('localhost/no-such-image:1')
    })

    it('because its image may not be pulled', async () => {
      const report = await fails({image: 'localhost/no-such-image:1', image_pull_policy: 'Never'})
      expect(report).toMatchObject({code: 'AGENT_IMAGE_PULL', exit: 'agentImage'})
    })

    it('because it ends, with its last words', async () => {
      const report = await fails({log_level: 'die'})
      expect(report).toMatchObject({code: 'AGENT_ENDED', exit: 'agentEnded'})
      expect(report.detail).toContain('cannot find the container runtime')
    })

    it('because it found rules of another agent', async () => {
      expect(await fails({log_level: 'dirty'})).toMatchObject({code: 'AGENT_DIRTY', exit: 'agentDirty'})
    })

    it('because it never answers', async () => {
      const report = await fails({log_level: 'mute'}, 4000)
      expect(report).toMatchObject({code: 'AGENT_TIMEOUT', exit: 'agentScheduling'})
      expect(report.detail).toContain('waiting for ever')
    })

    it('because nothing can hold it', async () => {
      const report = await fails({resources: {requests: {cpu: '5000'}}}, 2000)
      expect(report).toMatchObject({code: 'AGENT_UNSCHEDULABLE', exit: 'agentScheduling'})
    })

    it('because a policy forbids it', async () => {
      await kubectl(['label', 'namespace', namespace, 'pod-security.kubernetes.io/enforce=baseline'])
      try {
        const report = await fails({})
        expect(report).toMatchObject({code: 'AGENT_REFUSED_POD_SECURITY', exit: 'agentRefused'})
        expect(report.why).toContain('PodSecurity')
      } finally {
        await kubectl(['label', 'namespace', namespace, 'pod-security.kubernetes.io/enforce-'])
      }
    })

    it('because there is no such namespace or right', async () => {
      const config = await configured()
      const plan = {agent: config.agent, sessionId: 'test'}
      expect(await refusal(createAgent(cluster, {...plan, namespace: 'no-such-namespace'}))).toMatchObject({
        code: 'NAMESPACE_NOT_FOUND',
      })
      const token = await kubectl(['create', 'token', 'default', '-n', namespace])
      const limited = await loadCluster({kubeconfig: await changed({user: {token}})}, {})
      const report = await refusal(createAgent(limited, {...plan, namespace}))
      limited.client.close()
      expect(report).toMatchObject({exit: 'forbidden'})
      expect(report.what).toContain('create jobs.batch')
    })

    it('and leaves nothing when it is aborted', async () => {
      const job = await start({log_level: 'mute'})
      const controller = new AbortController()
      const connecting = connectAgent(cluster, job, {
        handshake: echo,
        timeoutMs: 30_000,
        signal: controller.signal,
        onProgress: () => controller.abort(new Error('interrupted')),
      })
      await expect(connecting).rejects.toThrow('interrupted')
      expect(await waitForAgentGone(cluster, job)).toBe(true)
      expect((await leftJobs()).items).toEqual([])
    })
  })
})
