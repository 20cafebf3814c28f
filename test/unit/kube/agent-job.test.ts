import {describe, expect, it} from 'vitest'
import {resolveConfig} from '../../../src/config/index.ts'
import {agentJobObject, drawIdentity, type ResolvedTarget} from '../../../src/kube/index.ts'

const identity = {name: 'mirrord-agent-abc', port: 31000, gid: 4242}
const target: ResolvedTarget = {
  target: 'deployment/web',
  name: 'web-1',
  namespace: 'staging',
  ips: ['10.0.0.1', 'fd00::1'],
  node: 'node-1',
  nodeHostname: 'host-1',
  container: 'app',
  containerGuessed: false,
  containers: ['app'],
  containerId: 'f'.repeat(64),
  runtime: 'containerd',
  shareProcessNamespace: false,
  probePorts: [],
  others: [],
}
const job = async (agent: Record<string, unknown> = {}, at: ResolvedTarget | undefined = target) => {
  const text = JSON.stringify({agent})
  const {config} = await resolveConfig({
    flags: {'config-file': 'm.json'},
    env: {},
    cwd: '/',
    readFile: async () => text,
  })
  return agentJobObject({agent: config.agent, target: at, sessionId: 's1'}, identity)
}
const podSpec = async (...parameters: Parameters<typeof job>) => {
  const {template} = (await job(...parameters)).spec
  return template.spec as typeof template.spec & Record<string, unknown>
}
const env = async (...parameters: Parameters<typeof job>) =>
  Object.fromEntries((await podSpec(...parameters)).containers[0]!.env.map(({name, value}) => [name, value]))

describe('a targeted Job', () => {
  it('has the fields of the specification', async () => {
    const {metadata, spec} = await job()
    expect(metadata.name).toBe('mirrord-agent-abc')
    expect(metadata.labels).toEqual({
      app: 'mirrord',
      'mirrord-for-ci/session': 's1',
      'kuma.io/sidecar-injection': 'disabled',
    })
    expect(metadata.annotations).toEqual({'sidecar.istio.io/inject': 'false', 'linkerd.io/inject': 'disabled'})
    expect(spec).toMatchObject({ttlSecondsAfterFinished: 1, backoffLimit: 0, activeDeadlineSeconds: 86_400})
    expect(spec.template.metadata).toEqual({labels: metadata.labels, annotations: metadata.annotations})
    expect(Object.keys(spec).sort()).toEqual([
      'activeDeadlineSeconds',
      'backoffLimit',
      'template',
      'ttlSecondsAfterFinished',
    ])
  })

  it('says whose it is, in labels that Kubernetes takes, and on the Job alone how to tell that its session is dead', async () => {
    const {config} = await resolveConfig({flags: {}, env: {}, cwd: '/'})
    const process = {pid: 7, startTime: '9', bootId: 'b', namespace: 'pid:[1]', host: '_ci.Host_'}
    const owner = {job: '1a2b3c4d', ci: 'GitHub Actions', process, startSeconds: 60}
    const {metadata, spec} = agentJobObject({agent: config.agent, sessionId: 's1', owner}, identity, 'd1g35t')
    expect(metadata.labels).toMatchObject({
      'mirrord-for-ci/session': 's1',
      'mirrord-for-ci/job': '1a2b3c4d',
      'mirrord-for-ci/ci': 'GitHub-Actions',
      'mirrord-for-ci/host': 'ci.Host',
      'mirrord-for-ci/user': 'd1g35t',
    })
    expect(metadata.annotations).toMatchObject({
      'mirrord-for-ci/process': JSON.stringify(process),
      'mirrord-for-ci/start-seconds': '60',
    })
    expect(spec.template.metadata.labels).toEqual(metadata.labels)
    expect(spec.template.metadata.annotations).not.toHaveProperty('mirrord-for-ci/process')
    expect(metadata).not.toHaveProperty('ownerReferences')
  })

  it('runs beside the target, with its processes in sight', async () => {
    const spec = await podSpec()
    expect(spec).toMatchObject({
      restartPolicy: 'Never',
      hostPID: true,
      nodeSelector: {'kubernetes.io/hostname': 'host-1'},
      tolerations: [{operator: 'Exists'}],
      volumes: [
        {name: 'hostrun', hostPath: {path: '/run'}},
        {name: 'hostvar', hostPath: {path: '/var'}},
      ],
    })
    for (const unset of [
      'nodeName',
      'hostNetwork',
      'serviceAccountName',
      'imagePullSecrets',
      'priorityClassName',
      'securityContext',
    ]) {
      expect(spec).not.toHaveProperty(unset)
    }
  })

  it('starts the agent with the exact command line, rights and limits', async () => {
    const [container] = (await podSpec()).containers
    expect(container).toMatchObject({
      name: 'mirrord-agent',
      image: 'ghcr.io/metalbear-co/mirrord:3.250.0',
      imagePullPolicy: 'IfNotPresent',
      command: ['./mirrord-agent'],
      args: [
        '-l',
        '31000',
        '-t',
        '30',
        'targeted',
        '--container-id',
        'f'.repeat(64),
        '--container-runtime',
        'containerd',
      ],
      terminationMessagePolicy: 'FallbackToLogsOnError',
      resources: {requests: {cpu: '1m', memory: '1Mi'}, limits: {cpu: '1', memory: '512Mi'}},
      volumeMounts: [
        {name: 'hostrun', mountPath: '/host/run'},
        {name: 'hostvar', mountPath: '/host/var'},
      ],
      securityContext: {
        runAsGroup: 4242,
        privileged: false,
        capabilities: {add: ['SYS_ADMIN', 'SYS_PTRACE', 'NET_ADMIN']},
      },
    })
  })

  it('passes exactly the variables of the specification', async () => {
    expect(await env()).toEqual({
      RUST_LOG: 'info',
      MIRRORD_AGENT_STEALER_FLUSH_CONNECTIONS: 'true',
      MIRRORD_AGENT_JSON_LOG: 'false',
      MIRRORD_AGENT_PASSTHROUGH_MIRRORING: 'true',
      MIRRORD_MAX_BODY_BUFFER_SIZE: '65535',
      MIRRORD_MAX_BODY_BUFFER_TIMEOUT: '1000',
      MIRRORD_AGENT_HTTP_DETECTION_TIMEOUT: '2',
      MIRRORD_JAQ_TIME_LIMIT: '1',
      MIRRORD_AGENT_POD_IPS: '10.0.0.1,fd00::1',
      MIRRORD_AGENT_EXTERNAL_IP_FIX: 'true',
      MIRRORD_AGENT_OVERRIDE_CACHE_CONTROL: 'true',
    })
    const more = {
      nftables: false,
      dns: {attempts: 2, timeout: 3},
      metrics: '0.0.0.0:9000',
      inject_headers: true,
      clean_iptables_on_start: true,
    }
    expect(await env(more, {...target, mesh: 'istio-cni'})).toMatchObject({
      MIRRORD_AGENT_NFTABLES: 'false',
      MIRRORD_AGENT_DNS_ATTEMPTS: '2',
      MIRRORD_AGENT_DNS_TIMEOUT: '3',
      MIRRORD_AGENT_METRICS: '0.0.0.0:9000',
      MIRRORD_AGENT_INJECT_HEADERS: 'true',
      MIRRORD_AGENT_CLEAN_IPTABLES_ON_START: 'true',
      MIRRORD_AGENT_IN_SERVICE_MESH: 'true',
      MIRRORD_AGENT_ISTIO_CNI: 'true',
    })
  })

  it('is pinned by nodeName when the hostname label is unknown', async () => {
    const spec = await podSpec({node_selector: {disk: 'ssd'}}, {...target, nodeHostname: undefined})
    expect(spec).toMatchObject({nodeName: 'node-1', nodeSelector: {disk: 'ssd'}})
  })

  it('follows the configuration', async () => {
    const whole = await job({
      labels: {team: 'x', app: 'other'},
      annotations: {note: 'y'},
      disable_mesh_sidecar_injection: false,
      ttl: 30,
      communication_timeout: 5,
    })
    expect(whole.metadata.labels).toEqual({team: 'x', app: 'mirrord', 'mirrord-for-ci/session': 's1'})
    expect(whole.metadata.annotations).toEqual({note: 'y'})
    expect(whole.spec.template.metadata.annotations).toEqual({note: 'y'})
    expect(whole.spec.ttlSecondsAfterFinished).toBe(30)
    expect(whole.spec.template.spec.containers[0]!.args.slice(0, 4)).toEqual(['-l', '31000', '-t', '5'])
    expect(await job({disable_mesh_sidecar_injection: false})).not.toHaveProperty('metadata.annotations')
    const spec = await podSpec({
      tolerations: [],
      service_account: 'sa',
      image_pull_secrets: [{name: 'pull'}],
      priority_class: 'high',
      privileged: true,
      disabled_capabilities: ['SYS_PTRACE'],
      resources: {limits: {cpu: 2}},
      security_context: {seccomp_profile: {type: 'Localhost', localhost_profile: 'p.json'}},
    })
    expect(spec).toMatchObject({
      tolerations: [],
      serviceAccountName: 'sa',
      imagePullSecrets: [{name: 'pull'}],
      priorityClassName: 'high',
      securityContext: {seccompProfile: {type: 'Localhost', localhostProfile: 'p.json'}},
    })
    expect(spec.containers[0]).toMatchObject({
      resources: {limits: {cpu: '2'}},
      securityContext: {privileged: true, capabilities: {add: ['SYS_ADMIN', 'NET_ADMIN']}},
    })
  })
})

describe('a targetless Job', () => {
  it('asks for nothing of the node', async () => {
    const text = JSON.stringify({agent: {privileged: true}})
    const {config} = await resolveConfig({
      flags: {'config-file': 'm.json'},
      env: {},
      cwd: '/',
      readFile: async () => text,
    })
    const {spec} = agentJobObject({agent: config.agent, sessionId: 's1'}, identity).spec.template
    for (const unset of ['hostPID', 'volumes', 'nodeName', 'tolerations']) expect(spec).not.toHaveProperty(unset)
    const [container] = spec.containers
    expect(container).not.toHaveProperty('securityContext')
    expect(container).not.toHaveProperty('volumeMounts')
    expect(container!.args).toEqual(['-l', '31000', '-t', '30', 'targetless'])
    expect(container!.env.map(({name}) => name)).not.toContain('MIRRORD_AGENT_POD_IPS')
  })
})

describe('drawIdentity', () => {
  it('stays in upstream’s ranges and differs', () => {
    const drawn = Array.from({length: 500}, drawIdentity)
    for (const {name, port, gid} of drawn) {
      expect(name).toMatch(/^mirrord-agent-[a-z0-9]{10}$/)
      expect(port).toBeGreaterThanOrEqual(30_000)
      expect(port).toBeLessThanOrEqual(65_535)
      expect(gid).toBeGreaterThanOrEqual(3000)
      expect(gid).toBeLessThanOrEqual(65_534)
    }
    expect(new Set(drawn.map(({name}) => name)).size).toBe(500)
  })
})
