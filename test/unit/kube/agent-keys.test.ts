import {describe, expect, it} from 'vitest'
import {resolveConfig} from '../../../src/config/index.ts'
import {leaves} from '../../../src/config/meta.ts'
import {agentSection} from '../../../src/config/schema/agent.ts'
import {agentJobObject, type ResolvedTarget} from '../../../src/kube/index.ts'
import {ephemeralAgent} from '../../../src/kube/agent-ephemeral.ts'

const identity = {name: 'mirrord-agent-abc', port: 31000, gid: 4242}
const target: ResolvedTarget = {
  ...{target: 'pod/web-1', name: 'web-1', namespace: 'n', ips: ['10.0.0.1'], node: 'node-1', others: []},
  ...{container: 'app', containers: ['app'], containerGuessed: false, containerId: 'abc', runtime: 'containerd'},
  ...{shareProcessNamespace: false, probePorts: []},
}

/** For each key another value than the default. */
const values: Readonly<Record<string, unknown>> = {
  log_level: 'trace',
  json_log: true,
  image: 'registry.example/agent:1',
  image_pull_policy: 'Always',
  image_pull_secrets: [{name: 'pull'}],
  ttl: 77,
  communication_timeout: 78,
  flush_connections: false,
  disabled_capabilities: ['SYS_PTRACE'],
  tolerations: [{key: 'gpu', operator: 'Exists'}],
  resources: {limits: {cpu: '2'}},
  privileged: true,
  external_ip_fix: false,
  nftables: true,
  'dns.timeout': 79,
  'dns.attempts': 80,
  labels: {team: 'x'},
  annotations: {note: 'y'},
  node_selector: {disk: 'ssd'},
  service_account: 'robot',
  metrics: '0.0.0.0:9000',
  exclude_from_mesh: true,
  disable_mesh_sidecar_injection: false,
  priority_class: 'gold',
  inject_headers: true,
  override_cache_control: false,
  max_body_buffer_size: 81,
  max_body_buffer_timeout: 82,
  http_detection_timeout: 83,
  security_context: {seccomp_profile: {type: 'RuntimeDefault'}},
  clean_iptables_on_start: true,
  jaq_time_limit: 84,
}
/** Keys that say where, when and how long, not what the agent is: `createAgent` and `connectAgent` follow them. */
const elsewhere = ['namespace', 'ephemeral', 'startup_timeout', 'check_out_of_pods']
/** What an ephemeral container has not (agent.md 7); the configuration's check warns of these. */
const ofThePod = new Set([
  ...['image_pull_secrets', 'tolerations', 'resources', 'labels', 'annotations', 'node_selector', 'service_account'],
  ...['priority_class', 'security_context', 'ttl', 'disable_mesh_sidecar_injection'],
])
const inContainerOnly = new Set(['exclude_from_mesh'])

async function made(key?: string): Promise<{job: string; ephemeral: string}> {
  const [name, part] = key?.split('.') ?? []
  const value = key === undefined ? undefined : values[key]
  const agent = name === undefined ? {} : {[name]: part === undefined ? value : {[part]: value}}
  const text = JSON.stringify({target: 'pod/web-1', agent})
  const {config} = await resolveConfig({
    flags: {'config-file': 'm.json'},
    env: {},
    cwd: '/',
    readFile: async () => text,
  })
  const plan = {agent: config.agent, target, sessionId: 's'}
  const pod = {spec: {containers: [{name: 'app'}]}}
  return {
    job: JSON.stringify(agentJobObject(plan, identity)),
    ephemeral: JSON.stringify(ephemeralAgent(config.agent, target, pod, identity)),
  }
}

describe('every key of the section agent', () => {
  const keys = [...leaves(agentSection)].map(({path}) => path.join('.'))

  it('has a value here, or works elsewhere', () => {
    expect(keys.toSorted()).toEqual([...Object.keys(values), ...elsewhere].toSorted())
  })

  it.each(keys.filter((key) => !elsewhere.includes(key)))('%s reaches the agent', async (key) => {
    const [plain, changed] = await Promise.all([made(), made(key)])
    expect(changed.job !== plain.job, 'the Job').toBe(!inContainerOnly.has(key))
    expect(changed.ephemeral !== plain.ephemeral, 'the ephemeral container').toBe(!ofThePod.has(key))
  })
})
