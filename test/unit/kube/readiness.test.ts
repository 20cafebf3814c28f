import {describe, expect, it} from 'vitest'
import type {ContainerStatus, Pod} from '../../../src/kube/objects.ts'
import {chooseContainer, detectMesh, inspectPod} from '../../../src/kube/readiness.ts'
import {selectorText} from '../../../src/kube/selector.ts'

const status = (name: string, extra: Partial<ContainerStatus> = {}): ContainerStatus => ({
  name,
  ready: true,
  containerID: `containerd://id-of-${name}`,
  state: {running: {}},
  ...extra,
})
const pod = (change: (pod: Required<Pod>) => void = () => {}): Pod => {
  const base = {
    metadata: {name: 'p', namespace: 'n', uid: 'u'},
    spec: {nodeName: 'node-1', containers: []},
    status: {
      phase: 'Running',
      podIPs: [{ip: '10.0.0.1'}, {ip: 'fd00::1'}, {ip: 'nonsense'}],
      containerStatuses: [status('app')],
    },
  } as Required<Pod>
  change(base)
  return base
}
const reason = (change: (pod: Required<Pod>) => void, container?: string) => {
  const result = inspectPod(pod(change), container)
  return 'notReady' in result ? result.notReady.reason : 'ready'
}

describe('selectorText', () => {
  it('has labels and every kind of expression', () => {
    expect(
      selectorText({
        matchLabels: {app: 'web', tier: 'a'},
        matchExpressions: [
          {key: 'env', operator: 'In', values: ['x', 'y']},
          {key: 'env', operator: 'NotIn', values: ['z']},
          {key: 'live', operator: 'Exists'},
          {key: 'old', operator: 'DoesNotExist'},
        ],
      }),
    ).toBe('app=web,tier=a,env in (x,y),env notin (z),live,!old')
  })
})

describe('inspectPod', () => {
  it('keeps what an agent needs', () => {
    expect(
      inspectPod(
        pod(({spec}) => {
          spec.shareProcessNamespace = true
          spec.containers = [
            {
              name: 'app',
              ports: [{name: 'http', containerPort: 8080}],
              readinessProbe: {httpGet: {port: 'http'}},
              livenessProbe: {grpc: {port: 9000}},
            },
            {name: 'other', readinessProbe: {httpGet: {port: 8080}}},
          ]
        }),
      ),
    ).toEqual({
      ready: {
        name: 'p',
        namespace: 'n',
        uid: 'u',
        ips: ['10.0.0.1', 'fd00::1'],
        node: 'node-1',
        container: 'app',
        containerGuessed: false,
        containers: ['app'],
        containerId: 'id-of-app',
        runtime: 'containerd',
        mesh: undefined,
        shareProcessNamespace: true,
        probePorts: [8080, 9000],
      },
    })
  })

  it.each([
    ['another phase', ({status}) => (status.phase = 'Pending'), 'it is Pending'],
    [
      'no place',
      ({status}) => {
        status.phase = 'Pending'
        status.conditions = [{type: 'PodScheduled', status: 'False', message: '0/3 nodes are available'}]
      },
      '0/3 nodes',
    ],
    [
      'an image that cannot be pulled',
      ({status: own}) => {
        own.phase = 'Pending'
        own.containerStatuses = [status('app', {ready: false, state: {waiting: {reason: 'ImagePullBackOff'}}})]
      },
      'container "app" waits: ImagePullBackOff',
    ],
    [
      'an eviction',
      ({status}) => Object.assign(status, {phase: 'Failed', reason: 'Evicted', message: 'low on disk'}),
      'Evicted: low on disk',
    ],
    ['a deletion', ({metadata}) => (metadata.deletionTimestamp = 'now'), 'being deleted'],
    ['no node', ({spec}) => delete spec.nodeName, 'node'],
    ['no address', ({status}) => delete status.podIPs, 'address'],
    ['no container status', ({status}) => delete status.containerStatuses, 'status'],
    [
      'a crash loop',
      ({status: own}) =>
        (own.containerStatuses = [
          status('app', {
            ready: false,
            state: {waiting: {reason: 'CrashLoopBackOff'}},
            lastState: {terminated: {exitCode: 3, reason: 'Error'}},
          }),
        ]),
      'CrashLoopBackOff (it last ended with exit code 3, Error)',
    ],
    [
      'a failing probe',
      ({status: own}) => (own.containerStatuses = [status('app', {ready: false})]),
      'readiness probe has not succeeded',
    ],
    ['no id', ({status: own}) => (own.containerStatuses = [status('app', {containerID: undefined})]), 'no id'],
    [
      'another runtime',
      ({status: own}) => (own.containerStatuses = [status('app', {containerID: 'rkt://x'})]),
      '"rkt"',
    ],
  ] as [string, (pod: Required<Pod>) => void, string][])('refuses %s', (_name, change, words) => {
    expect(reason(change)).toContain(words)
  })

  it('lists the containers when the named one does not exist', () => {
    const result = inspectPod(
      pod(({status: own}) => own.containerStatuses!.push(status('sidecar'))),
      'none',
    )
    expect(result).toEqual({
      notReady: {reason: expect.stringContaining('"none"') as string, unknownContainer: ['app', 'sidecar']},
    })
  })

  it.each([
    ['docker://x', 'docker'],
    ['cri-o://x', 'cri-o'],
  ])('knows the runtime of %s', (containerID, runtime) => {
    const result = inspectPod(pod(({status: own}) => (own.containerStatuses = [status('app', {containerID})])))
    expect(result).toMatchObject({ready: {runtime, containerId: 'x'}})
  })
})

describe('chooseContainer', () => {
  const annotation = (name: string) => ({'kubectl.kubernetes.io/default-container': name})
  it.each([
    ['the named one, even a helper', ['app', 'istio-proxy'], {}, 'istio-proxy', 'istio-proxy', false],
    ['the annotated one', ['a', 'b'], annotation('b'), undefined, 'b', false],
    ['not an annotated one that does not exist', ['a', 'b'], annotation('c'), undefined, 'a', true],
    ['the first that is no helper', ['istio-proxy', 'app'], {}, undefined, 'app', false],
    ['a guess among several', ['vault-agent', 'a', 'b'], {}, undefined, 'a', true],
    ['a helper when there is nothing else', ['istio-proxy', 'linkerd-proxy'], {}, undefined, 'istio-proxy', true],
    ['the only one', ['queue-proxy'], {}, undefined, 'queue-proxy', false],
  ])('%s', (_name, names, annotations, wanted, chosen, guessed) => {
    const statuses = names.map((name) => status(name))
    expect(chooseContainer(statuses, annotations, wanted)).toMatchObject({chosen: {name: chosen}, guessed})
  })
})

describe('detectMesh', () => {
  it.each([
    [['app'], [], undefined],
    [['app', 'istio-proxy'], ['istio-validation'], 'istio-cni'],
    [['app', 'istio-proxy'], ['istio-init'], 'istio'],
    [['app'], ['istio-init'], 'istio'],
    [['linkerd-proxy'], [], 'linkerd'],
    [['app'], ['kuma-init'], 'kuma'],
  ])('%j %j', (containers, init, mesh) => {
    const own = {
      containerStatuses: containers.map((name) => status(name)),
      initContainerStatuses: init.map((name) => status(name)),
    }
    expect(detectMesh({status: own})).toBe(mesh)
    expect(detectMesh({metadata: {annotations: {'ambient.istio.io/redirection': 'enabled'}}, status: own})).toBe(
      'istio-ambient',
    )
  })
})
