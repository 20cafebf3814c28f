import {writeFileSync} from 'node:fs'
import path from 'node:path'
import {describe, expect, inject, test} from 'vitest'
import {exitCodes, type ExitCodeName} from '../../src/errors/exit-codes.ts'
import {harness, job} from './support/each-test.ts'
import {expectExit, expectFailure} from './support/harness.ts'
import {changedKubeconfig} from './support/kubeconfig.ts'
import {compile} from '../integration/trap/harness.ts'

const write = (name: string, text: string, mode = 0o644) => {
  const file = path.join(job.folder, name)
  writeFileSync(file, text, {mode})
  return file
}

/** A kubeconfig for the tests' cluster with one thing changed. */
const kubeconfig = (change: {server?: string; token?: string}) =>
  write('kubeconfig', changedKubeconfig(harness, change))

interface Row {
  what: string
  exit: ExitCodeName
  code: string
  /** Words that the message must hold. */
  says?: (string | RegExp)[]
  args?: () => string[]
  env?: () => Record<string, string>
  /** The program; `true` unless given. */
  program?: () => string[]
}

const rows: Row[] = [
  {
    what: 'a kubeconfig that does not exist',
    exit: 'kubeconfig',
    code: 'KUBECONFIG_MISSING',
    says: ['/nowhere/config', 'KUBECONFIG'],
    env: () => ({KUBECONFIG: '/nowhere/config'}),
  },
  {
    what: 'no kubeconfig at all',
    exit: 'kubeconfig',
    code: 'KUBECONFIG_MISSING',
    says: ['.kube/config'],
    env: () => ({KUBECONFIG: ''}),
  },
  {
    what: 'a malformed kubeconfig',
    exit: 'kubeconfig',
    code: 'KUBECONFIG_MALFORMED',
    env: () => ({KUBECONFIG: write('kubeconfig', 'clusters: [{name: x, cluster: {server')}),
  },
  {
    what: 'an unknown context',
    exit: 'kubeconfig',
    code: 'KUBECONFIG_CONTEXT',
    says: ['no-such-context'],
    args: () => ['--context', 'no-such-context'],
  },
  {
    what: 'a cluster that refuses the connection',
    exit: 'clusterUnreachable',
    code: 'CLUSTER_REFUSED',
    says: ['127.0.0.1:9'],
    env: () => ({KUBECONFIG: kubeconfig({server: 'https://127.0.0.1:9'})}),
  },
  {
    what: 'a cluster whose name does not resolve',
    exit: 'clusterUnreachable',
    code: 'CLUSTER_DNS',
    says: ['no-such-cluster.invalid'],
    env: () => ({KUBECONFIG: kubeconfig({server: 'https://no-such-cluster.invalid:6443'})}),
  },
  {
    what: 'a token that the cluster does not accept',
    exit: 'unauthorized',
    code: 'UNAUTHORIZED',
    env: () => ({KUBECONFIG: kubeconfig({token: 'expired'})}),
  },
  {
    what: 'a deployment that does not exist',
    exit: 'targetNotFound',
    code: 'TARGET_NOT_FOUND',
    says: ['no-such-app'],
    args: () => ['--target', 'deployment/no-such-app'],
  },
  {
    what: 'a pod that does not exist',
    exit: 'targetNotFound',
    code: 'TARGET_NOT_FOUND',
    says: ['no-such-pod'],
    args: () => ['--target', 'pod/no-such-pod'],
  },
  {
    what: 'a namespace that does not exist',
    exit: 'targetNotFound',
    code: 'NAMESPACE_NOT_FOUND',
    says: ['no-such-namespace'],
    args: () => ['--target', 'deployment/echo', '--target-namespace', 'no-such-namespace'],
  },
  {
    what: 'a container that does not exist',
    exit: 'targetNotFound',
    code: 'CONTAINER_NOT_FOUND',
    says: ['no-such-container', 'main'],
    args: () => ['--target', 'deployment/echo/container/no-such-container'],
  },
  {
    what: 'a deployment without a ready pod',
    exit: 'targetNotReady',
    code: 'TARGET_NOT_READY',
    says: ['slow'],
    args: () => ['--target', 'deployment/slow'],
  },
  {
    what: 'a target of no known kind',
    exit: 'configInvalid',
    code: 'CONFIG_INVALID',
    says: ['is no kind of target'],
    args: () => ['--target', 'nonsense/echo'],
  },
  {
    what: 'a program that is not on PATH [LIF-13]',
    exit: 'programNotFound',
    code: 'PROGRAM_NOT_FOUND',
    says: ['no-such-program'],
    program: () => ['no-such-program'],
  },
  {
    what: 'a program that is not executable',
    exit: 'programNotFound',
    code: 'PROGRAM_NOT_EXECUTABLE',
    says: ['chmod'],
    program: () => [write('server.sh', '#!/bin/sh\n')],
  },
  {
    what: 'a configuration file that does not exist',
    exit: 'configNotFound',
    code: 'CONFIG_NOT_FOUND',
    says: ['missing.json'],
    args: () => ['--config-file', 'missing.json'],
  },
  {
    what: 'a configuration file with a syntax error',
    exit: 'configInvalid',
    code: 'CONFIG_SYNTAX',
    says: ['mirrord.json'],
    args: () => ['--config-file', write('mirrord.json', '{"target": "deployment/echo",,}')],
  },
  {
    what: 'a configuration file with an unknown key',
    exit: 'configInvalid',
    code: 'CONFIG_INVALID',
    says: ['tarket', 'target'],
    args: () => ['--config-file', write('mirrord.json', '{"tarket": "deployment/echo"}')],
  },
  {
    what: 'an agent image that cannot be pulled',
    exit: 'agentImage',
    // Where no registry listens the kubelet says so; the sandbox's knows its own images only.
    code: inject('clusterKind') === 'sandbox' ? 'AGENT_IMAGE_PULL' : 'AGENT_IMAGE_REGISTRY',
    says: ['localhost/no-such-image:1'],
    env: () => ({MIRRORD_AGENT_IMAGE: 'localhost/no-such-image:1'}),
  },
  {
    what: 'a CI API key that cannot be decoded',
    exit: 'apiKey',
    code: 'API_KEY_MALFORMED',
    says: ['MIRRORD_CI_API_KEY'],
    env: () => ({MIRRORD_CI_API_KEY: 'no key'}),
  },
  {
    what: 'an operator that is asked for and not there',
    exit: 'operator',
    code: 'OPERATOR_NOT_FOUND',
    args: () => ['--config-file', write('mirrord.json', '{"target": "deployment/echo", "operator": true}')],
  },
  {
    what: 'a key of the configuration that this version does not do',
    exit: 'configUnsupported',
    code: 'CONFIG_UNSUPPORTED',
    says: ['multi_cluster'],
    args: () => ['--config-file', write('mirrord.json', '{"target": "deployment/echo", "multi_cluster": true}')],
  },
  {
    what: 'a kubeconfig without credentials',
    exit: 'unauthorized',
    code: 'UNAUTHORIZED',
    env: () => ({KUBECONFIG: kubeconfig({token: ''})}),
  },
  {
    what: 'an agent that fits on no node',
    exit: 'agentScheduling',
    code: 'AGENT_NODE_SELECTOR',
    says: ['agent.node_selector'],
    args: () => {
      const config = {agent: {node_selector: {'mirrord.test/no-such-node': 'x'}}}
      return ['--config-file', write('mirrord.json', JSON.stringify({target: 'deployment/echo', ...config}))]
    },
  },
  {
    what: 'a folder for the output that cannot be made',
    exit: 'permission',
    code: 'OUTPUT_DIRECTORY',
    says: ['/proc/mirrord', 'ci.output_dir'],
    args: () => {
      const text = '{"target": "deployment/echo", "ci": {"output_dir": "/proc/mirrord"}}'
      return ['--config-file', write('mirrord.json', text)]
    },
  },
]

// Other clusters have no user whom the tests may take rights from.
const onSandbox: Row[] = [
  {
    what: 'a user who may not read the target',
    exit: 'forbidden',
    code: 'FORBIDDEN',
    says: ['deployments', 'restricted'],
    env: () => ({KUBECONFIG: kubeconfig({token: 'restricted'})}),
  },
]

describe('ci start refuses', () => {
  test.each(
    [...rows, ...(inject('clusterKind') === 'sandbox' ? onSandbox : [])].map((row) => ({
      ...row,
      id: exitCodes[row.exit].code,
    })),
  )('[EXIT-$id] $what', async ({exit, code, says = [], args, env, program}) => {
    const words = args?.() ?? []
    const target = words.some((word) => ['--target', '--config-file'].includes(word))
      ? []
      : ['--target', 'deployment/echo']
    const result = await job.run(['ci', 'start', ...target, ...words, '--', ...(program?.() ?? ['true'])], {
      env: env?.(),
    })
    expectFailure(result, exit, code, ...says)
    expect((await harness.who()).who).toBe('deployed')
    await harness.nothingLeft(job)
  })

  test.each([
    ['a kernel without user notification', 'old', 'INTERCEPTION_UNAVAILABLE_KERNEL_TOO_OLD'],
    ['a container that denies seccomp(2)', 'seccomp', 'INTERCEPTION_UNAVAILABLE_SECCOMP_DENIED'],
    ["Yama's restricted ptrace", 'memory', 'INTERCEPTION_UNAVAILABLE_MEMORY_DENIED', 'kernel.yama.ptrace_scope=1'],
  ])('[EXIT-80] %s', async (_, what, code, ...says) => {
    const args = ['ci', 'start', '--target', 'deployment/echo', '--', 'true']
    const result = await job.run(args, {below: [compile('deny'), what]})
    expectFailure(result, 'interceptionUnavailable', code, '--no-intercept', ...says)
    await harness.nothingLeft(job)
  })

  test.each([
    ['a missing program', ['--target', 'deployment/echo']],
    ['an unknown flag', ['--no-such-flag', '--target', 'deployment/echo', '--', 'true']],
    ['a number that is none', ['--ready-timeout', 'soon', '--', 'true']],
  ])('[EXIT-2] %s', async (_, args) => {
    const result = await job.start(...args)
    expectExit(result, 'usage')
    expect(result.stderr).toContain('Error:')
    await harness.nothingLeft(job)
  })
})
