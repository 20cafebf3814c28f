import {VERSION} from './api/discovery.ts'
import {R} from './api/resources.ts'
import type {Store} from './api/store.ts'
import type {Endpoints, Obj, Service} from './api/types.ts'
import type {Addresses} from './net/slots.ts'

const blank = {uid: '', resourceVersion: '', creationTimestamp: ''}

/** Puts in what every cluster has: namespaces, default service accounts, the node, the service of the API server. */
export function seed(store: Store, a: Addresses, nodeName: string, port: number): void {
  for (const name of ['default', 'kube-system', 'kube-public', 'kube-node-lease']) {
    const labels = {'kubernetes.io/metadata.name': name}
    store.create<Obj>(R.namespaces, {
      apiVersion: 'v1',
      kind: 'Namespace',
      metadata: {name, labels, ...blank},
      spec: {finalizers: ['kubernetes']},
      status: {phase: 'Active'},
    })
    store.create<Obj>(R.serviceaccounts, {
      apiVersion: 'v1',
      kind: 'ServiceAccount',
      metadata: {name: 'default', namespace: name, ...blank},
    })
  }
  const conditions = ['MemoryPressure', 'DiskPressure', 'PIDPressure', 'Ready'].map((type) => ({
    type,
    status: type === 'Ready' ? 'True' : 'False',
    reason: type === 'Ready' ? 'KubeletReady' : `KubeletHasNo${type}`,
    message: type === 'Ready' ? 'kubelet is posting ready status' : `kubelet has no ${type}`,
    lastHeartbeatTime: new Date().toISOString(),
    lastTransitionTime: new Date().toISOString(),
  }))
  const size = {cpu: '8', memory: '16Gi', pods: '240', 'ephemeral-storage': '50Gi'}
  store.create<Obj>(R.nodes, {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: {
      name: nodeName,
      labels: {
        'kubernetes.io/hostname': nodeName,
        'kubernetes.io/os': 'linux',
        'kubernetes.io/arch': process.arch === 'x64' ? 'amd64' : process.arch,
      },
      ...blank,
    },
    spec: {podCIDR: a.pods, podCIDRs: [a.pods]},
    status: {
      capacity: size,
      allocatable: size,
      conditions,
      addresses: [
        {type: 'InternalIP', address: a.node},
        {type: 'Hostname', address: nodeName},
      ],
      nodeInfo: {
        kubeletVersion: VERSION.gitVersion,
        kubeProxyVersion: '',
        containerRuntimeVersion: 'containerd://1.7.0',
        osImage: 'mirrord sandbox',
        kernelVersion: '',
        operatingSystem: 'linux',
        architecture: process.arch === 'x64' ? 'amd64' : process.arch,
        machineID: '',
        systemUUID: '',
        bootID: '',
      },
    },
  })
  const labels = {component: 'apiserver', provider: 'kubernetes'}
  store.create<Service>(R.services, {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: {name: 'kubernetes', namespace: 'default', labels, ...blank},
    spec: {
      type: 'ClusterIP',
      clusterIP: a.service(1),
      clusterIPs: [a.service(1)],
      ports: [{name: 'https', port: 443, protocol: 'TCP', targetPort: port}],
    },
  })
  store.create<Endpoints>(R.endpoints, {
    apiVersion: 'v1',
    kind: 'Endpoints',
    metadata: {name: 'kubernetes', namespace: 'default', ...blank},
    subsets: [{addresses: [{ip: a.host}], ports: [{name: 'https', port, protocol: 'TCP'}]}],
  })
}
