import {existsSync, readFileSync} from 'node:fs'

import {afterAll, beforeAll, describe, expect, test} from 'vitest'

import type {Job, KubeEvent, Obj, Pod} from '../../../sandbox/api/types.ts'
import {JOBS, PODS, cluster} from './cluster.ts'
import type {Client} from './cluster.ts'

const root = process.getuid?.() === 0

describe.skipIf(!root)('pods of the sandbox (root)', () => {
  let client: Client
  beforeAll(async () => {
    client = await cluster({backoff: 0.2})
  })
  afterAll(() => client?.sandbox.stop())

  test('a pod goes through the states of a real kubelet in their order', async () => {
    const states: string[] = []
    const watching = client.until<Pod>(PODS, 'order', (pod) => {
      if (!pod) return false
      const status = pod?.status.containerStatuses?.[0]
      const state = status ? (Object.keys(status.state)[0] ?? '') : ''
      const word = [
        pod.status.phase,
        pod.spec.nodeName ? 'bound' : 'unbound',
        status?.state.waiting?.reason ?? state,
        status?.ready ? 'ready' : 'unready',
      ].join(' ')
      if (states.at(-1) !== word) states.push(word)
      return status?.ready === true
    })
    await client.pod('order', {
      command: ['sh', '-c', 'sleep 0.3; touch /tmp/ready; sleep 100'],
      readinessProbe: {exec: {command: ['test', '-e', '/tmp/ready']}},
    })
    const pod = await watching
    expect(states).toEqual([
      'Pending unbound  unready',
      'Pending bound  unready',
      'Pending bound ContainerCreating unready',
      'Running bound running unready',
      'Running bound running ready',
    ])
    expect(pod.status.containerStatuses![0]!.containerID).toMatch(/^containerd:\/\/[0-9a-f]{64}$/)
    expect(pod.status.podIPs).toEqual([{ip: pod.status.podIP}])
    expect(
      pod.status
        .conditions!.filter((c) => c.status === 'True')
        .map((c) => c.type)
        .sort(),
    ).toEqual(['ContainersReady', 'Initialized', 'PodReadyToStartContainers', 'PodScheduled', 'Ready'])
    const events = await client.call<{items: KubeEvent[]}>(
      'GET',
      `/api/v1/namespaces/default/events?fieldSelector=involvedObject.name%3Dorder`,
    )
    expect(events.body.items.map((event) => event.reason)).toEqual(['Scheduled', 'Pulled', 'Created', 'Started'])
  })

  test('own PID, network, UTS and mount namespaces; writes stay inside', async () => {
    await client.pod('isolated', {
      command: [
        'sh',
        '-c',
        'echo $$; hostname; touch /etc/from-the-pod /usr/from-the-pod && ls /etc/from-the-pod; ls /sys/class/net; cat /proc/1/comm',
      ],
    })
    const lines = (await client.output('isolated')).trim().split('\n')
    expect(lines.slice(0, 3)).toEqual(['1', 'isolated', '/etc/from-the-pod'])
    expect(lines).toContain('eth0')
    expect(existsSync('/etc/from-the-pod') || existsSync('/usr/from-the-pod')).toBe(false)
  })

  test('environment: values, references, expansion, services, secrets and config maps', async () => {
    await client.create('/api/v1/namespaces/default/configmaps', {
      metadata: {name: 'settings'},
      data: {COLOR: 'green', 'a.txt': 'file A'},
    })
    await client.create('/api/v1/namespaces/default/secrets', {
      metadata: {name: 'password'},
      stringData: {word: 's3cret'},
    })
    await client.pod(
      'env',
      {
        image: 'localhost/node:1',
        args: [
          '-p',
          'JSON.stringify([process.env, process.argv, require("fs").readFileSync("/conf/a.txt", "utf8")])',
          '--',
          '$(GREETING)',
          '$$(GREETING)',
          '$(NONE)',
        ],
        env: [
          {name: 'WHO', value: "it's me"},
          {name: 'GREETING', value: 'hello $(WHO)'},
          {name: 'POD_IP', valueFrom: {fieldRef: {fieldPath: 'status.podIP'}}},
          {name: 'NODE', valueFrom: {fieldRef: {fieldPath: 'spec.nodeName'}}},
          {name: 'WORD', valueFrom: {secretKeyRef: {name: 'password', key: 'word'}}},
        ],
        envFrom: [{configMapRef: {name: 'settings'}}],
        volumeMounts: [{name: 'conf', mountPath: '/conf'}],
      },
      {volumes: [{name: 'conf', configMap: {name: 'settings'}}]},
    )
    const [env, argv, file] = JSON.parse(await client.output('env')) as [Record<string, string>, string[], string]
    expect(env).toMatchObject({
      WHO: "it's me",
      GREETING: "hello it's me",
      WORD: 's3cret',
      COLOR: 'green',
      NODE: 'sandbox-node',
      KUBERNETES_SERVICE_PORT: '443',
    })
    expect(env.POD_IP).toMatch(/^10\.211\./)
    expect(argv.slice(-3)).toEqual(["hello it's me", '$(GREETING)', '$(NONE)'])
    expect(file).toBe('file A')
  })

  test('runAsUser and runAsGroup are real', async () => {
    await client.pod('ids', {
      command: ['sh', '-c', 'id -u; id -g; grep Groups /proc/self/status'],
      securityContext: {runAsUser: 1234, runAsGroup: 4321},
    })
    expect((await client.output('ids')).replace(/\s+/g, ' ').trim()).toBe('1234 4321 Groups:')
  })

  test('a hostPID Job with the host’s /run finds another container by its id', async () => {
    await client.pod('target', {command: ['sh', '-c', 'echo up; exec sleep 1000']})
    const target = await client.until<Pod>(PODS, 'target', (pod) => pod?.status.containerStatuses?.[0]?.ready === true)
    const id = target.status.containerStatuses![0]!.containerID!.slice('containerd://'.length)
    const file = `/host/run/containerd/io.containerd.runtime.v2.task/k8s.io/${id}/init.pid`
    await client.create<Job>(JOBS, {
      metadata: {name: 'agent'},
      spec: {
        backoffLimit: 0,
        ttlSecondsAfterFinished: 1,
        template: {
          spec: {
            hostPID: true,
            restartPolicy: 'Never',
            nodeSelector: {'kubernetes.io/hostname': 'sandbox-node'},
            tolerations: [{operator: 'Exists'}],
            volumes: [
              {name: 'hostrun', hostPath: {path: '/run'}},
              {name: 'hostvar', hostPath: {path: '/var'}},
            ],
            containers: [
              {
                name: 'c',
                image: 'localhost/host:1',
                command: [
                  'sh',
                  '-c',
                  `p=$(cat ${file}); grep NSpid /proc/$p/status; cat /proc/$p/root/etc/hostname; nsenter -t $p -n ip -4 -o addr show eth0; id -g; touch /host/var/from-the-pod`,
                ],
                securityContext: {
                  runAsGroup: 5678,
                  privileged: false,
                  capabilities: {add: ['SYS_ADMIN', 'SYS_PTRACE', 'NET_ADMIN']},
                },
                volumeMounts: [
                  {name: 'hostrun', mountPath: '/host/run'},
                  {name: 'hostvar', mountPath: '/host/var'},
                ],
              },
            ],
          },
        },
      },
    })
    const pods = await client.call<{items: Pod[]}>('GET', `${PODS}?labelSelector=job-name%3Dagent`)
    const name =
      pods.body.items[0]?.metadata.name ??
      (await new Promise<string>((resolve) => {
        const stop = client.sandbox.store.onChange(({object}) => {
          if (object.kind !== 'Pod' || object.metadata.labels?.['job-name'] !== 'agent') return
          stop()
          resolve(object.metadata.name)
        })
      }))
    const output = await client.output(name)
    expect(output).toMatch(/^NSpid:\t\d+\t1$/m)
    expect(output).toContain('target\n')
    expect(output).toContain(`inet ${target.status.podIP}/32`)
    expect(output).toMatch(/^5678$/m)
    expect(existsSync('/var/from-the-pod')).toBe(false)
    await client.until<Job>(
      JOBS,
      'agent',
      (job) => job === undefined || job.status?.conditions?.[0]?.type === 'Complete',
    )
    await client.until<Pod>(PODS, name, (pod) => pod === undefined)
    expect((await client.call('GET', `${JOBS}/agent`)).code).toBe(404)
  })

  test('an image that does not exist', async () => {
    await client.pod('no-image', {image: 'example.invalid/nothing:1'})
    const reasons: string[] = []
    await client.until<Pod>(PODS, 'no-image', (pod) => {
      const reason = pod?.status.containerStatuses?.[0]?.state.waiting?.reason
      if (reason && reason !== reasons.at(-1)) reasons.push(reason)
      return reason === 'ImagePullBackOff'
    })
    expect(reasons).toEqual(['ContainerCreating', 'ErrImagePull', 'ImagePullBackOff'])
    const log = await client.call<Obj>('GET', `${PODS}/no-image/log`)
    expect([log.code, log.body.message]).toEqual([
      400,
      'container "c" in pod "no-image" is waiting to start: trying and failing to pull image',
    ])
  })

  test('a program that dies at once is restarted with back-off', async () => {
    await client.pod('crash', {command: ['sh', '-c', 'echo once; exit 3']}, {restartPolicy: 'Always'})
    const pod = await client.until<Pod>(
      PODS,
      'crash',
      (p) =>
        p?.status.containerStatuses?.[0]?.state.waiting?.reason === 'CrashLoopBackOff' &&
        p.status.containerStatuses[0].restartCount >= 2,
    )
    expect(pod.status.phase).toBe('Running')
    expect(pod.status.containerStatuses![0]!.lastState.terminated).toMatchObject({exitCode: 3, reason: 'Error'})
    const previous = await client.call<string>('GET', `${PODS}/crash/log?previous=true`)
    expect(previous.body).toBe('once\n')
  })

  test('a program that does not exist', async () => {
    await client.pod('missing', {command: ['no-such-program']})
    const pod = await client.until<Pod>(PODS, 'missing', (p) => p?.status.phase === 'Failed')
    const {terminated} = pod.status.containerStatuses![0]!.state
    expect(terminated).toMatchObject({exitCode: 128, reason: 'StartError'})
    expect(terminated!.message).toContain('executable file not found in $PATH')
  })

  test('deletion: SIGTERM, then gone; exit code of a signal', async () => {
    await client.pod(
      'graceful',
      {
        command: ['sh', '-c', 'trap "echo bye; exit 7" TERM; echo up; touch /tmp/up; while :; do sleep 0.05; done'],
        readinessProbe: {exec: {command: ['test', '-e', '/tmp/up']}},
      },
      {terminationGracePeriodSeconds: 20},
    )
    await client.until<Pod>(PODS, 'graceful', (pod) => pod?.status.containerStatuses?.[0]?.ready === true)
    const follow = client.call<string>('GET', `${PODS}/graceful/log?follow=true`)
    const began = Date.now()
    const {code, body} = await client.call<Pod>('DELETE', `${PODS}/graceful`)
    expect(code).toBe(200)
    expect(body.metadata.deletionTimestamp).toBeDefined()
    await client.until<Pod>(PODS, 'graceful', (pod) => pod === undefined).catch(() => {})
    expect((await follow).body).toBe('up\nbye\n')
    expect(Date.now() - began).toBeLessThan(15_000)
  })

  test('an unschedulable pod says so and runs once a node fits', async () => {
    await client.pod('picky', {command: ['true']}, {nodeSelector: {disk: 'fast'}})
    const pod = await client.until<Pod>(
      PODS,
      'picky',
      (p) => p?.status.conditions?.some((c) => c.reason === 'Unschedulable') ?? false,
    )
    expect(pod.status.phase).toBe('Pending')
    await client.call(
      'PATCH',
      '/api/v1/nodes/sandbox-node',
      {metadata: {labels: {disk: 'fast'}}},
      {'content-type': 'application/merge-patch+json'},
    )
    await client.until<Pod>(PODS, 'picky', (p) => p?.status.phase === 'Succeeded')
  })

  test('an ephemeral container joins the network and PID namespace of its target', async () => {
    const pod = await client.until<Pod>(PODS, 'target', (p) => p?.status.containerStatuses?.[0]?.ready === true)
    const path = `${PODS}/target/ephemeralcontainers`
    const wrong = {
      ...pod,
      metadata: {name: 'target', namespace: 'default'},
      spec: {...pod.spec, ephemeralContainers: [{name: 'e', image: 'localhost/host:1', targetContainerName: 'x'}]},
    }
    expect((await client.call('PUT', path, wrong)).code).toBe(422)
    const container = {
      name: 'e',
      image: 'localhost/host:1',
      targetContainerName: 'c',
      command: ['sh', '-c', 'cat /proc/1/root/etc/hostname; cat /proc/1/comm'],
    }
    const right = {...wrong, spec: {...pod.spec, ephemeralContainers: [container]}}
    expect((await client.call('PUT', path, right)).code).toBe(200)
    const done = await client.until<Pod>(
      PODS,
      'target',
      (p) => p?.status.ephemeralContainerStatuses?.[0]?.state.terminated !== undefined,
    )
    expect(done.status.phase).toBe('Running')
    expect((await client.call<string>('GET', `${PODS}/target/log?container=e`)).body).toBe('target\nsleep\n')
  })

  test('init containers run first, one after the other', async () => {
    await client.pod(
      'staged',
      {command: ['cat', '/shared/steps'], volumeMounts: [{name: 'shared', mountPath: '/shared'}]},
      {
        volumes: [{name: 'shared', emptyDir: {}}],
        initContainers: ['one', 'two'].map((name) => ({
          name,
          image: 'localhost/host:1',
          command: ['sh', '-c', `echo ${name} >> /shared/steps`],
          volumeMounts: [{name: 'shared', mountPath: '/shared'}],
        })),
      },
    )
    expect(await client.output('staged')).toBe('one\ntwo\n')
  })

  test('a container’s pid on this machine is known', async () => {
    const pid = client.sandbox.pid('default', 'target')!
    expect(readFileSync(`/proc/${pid}/cmdline`, 'utf8')).toContain('sleep')
  })
})
