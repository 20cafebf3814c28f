import {mkdir, rm, writeFile} from 'node:fs/promises'
import path from 'node:path'
import {describe, expect, it, vi} from 'vitest'
import {execCredential} from '../../../src/kube/exec-credential.ts'
import {checkCluster, loadCluster} from '../../../src/kube/index.ts'
import {refusal} from '../../refusal.ts'
import {kubeconfigFor, testApi, testCluster} from './fake-api.ts'

describe('credentials', () => {
  const exec = (command: string, args: string[] = []) => ({
    token: undefined,
    exec: {apiVersion: 'client.authentication.k8s.io/v1', command, args},
  })

  it('come from a program, once, and again when the server refuses them', async () => {
    const seen: (string | undefined)[] = []
    const api = await testApi(({headers}) => {
      seen.push(headers.authorization)
      return seen.length === 1 ? {status: 401} : {body: {gitVersion: 'v1'}}
    })
    const status = {status: {token: 'from-program'}}
    const user = exec(process.execPath, ['-e', `console.log(${JSON.stringify(JSON.stringify(status))})`])
    const cluster = await testCluster(api.url, {user})
    await checkCluster(cluster)
    await checkCluster(cluster)
    expect(seen).toEqual(['Bearer from-program', 'Bearer from-program', 'Bearer from-program'])
  })

  it('name the program that is not installed', async () => {
    const cluster = await testCluster('https://127.0.0.1:1', {user: exec('no-such-credential-program')})
    const report = await refusal(checkCluster(cluster))
    expect(report).toMatchObject({code: 'CREDENTIAL_PROGRAM_MISSING', exit: 'kubeconfig'})
    expect(report.why).toContain('no-such-credential-program')
  })

  it('show what a failing program said, without anything like a token', async () => {
    const token = 'eyJhbGciOi.JIUzI1NiIsInR5cCI6IkpXVCJ9.abcdefghijklmnopqrstuvwxyz'
    const user = exec('sh', ['-c', `echo "please sign in; had ${token}" >&2; exit 1`])
    const report = await refusal(checkCluster(await testCluster('https://127.0.0.1:1', {user})))
    expect(report).toMatchObject({code: 'CREDENTIAL_PROGRAM_FAILED', exit: 'unauthorized'})
    expect(report.detail).toContain('please sign in')
    expect(JSON.stringify(report)).not.toContain(token)
  })

  /** A program that prints an ExecCredential with what the test's expression says, and the token of each run. */
  const printing = (status: string) =>
    exec(process.execPath, [
      '-e',
      `console.log(JSON.stringify({kind: 'ExecCredential', apiVersion: 'client.authentication.k8s.io/v1', status: ${status}}))`,
    ])
  const tokens = async () => {
    const seen: string[] = []
    const api = await testApi(({headers}) => {
      seen.push(headers.authorization!.replace('Bearer ', ''))
      return {body: {gitVersion: 'v1'}}
    })
    return {api, seen}
  }

  it('are told of the cluster, and that nobody is there to talk to', async () => {
    const {api, seen} = await tokens()
    const {exec: plugin} = printing(
      `{token: Buffer.from(process.env.KUBERNETES_EXEC_INFO + process.env.MORE).toString('hex')}`,
    )
    const user = {token: undefined, exec: {...plugin, provideClusterInfo: true, env: [{name: 'MORE', value: ' more'}]}}
    const extension = {name: 'client.authentication.k8s.io/exec', extension: {audience: 'a'}}
    await checkCluster(await testCluster(api.url, {user, cluster: {extensions: [extension]}}))
    const [info, more] = Buffer.from(seen[0]!, 'hex')
      .toString()
      .split(/ (?=more$)/)
    expect(JSON.parse(info!)).toEqual({
      kind: 'ExecCredential',
      apiVersion: 'client.authentication.k8s.io/v1',
      spec: {
        interactive: false,
        cluster: {server: api.url, 'insecure-skip-tls-verify': true, config: {audience: 'a'}},
      },
    })
    expect(more).toBe('more')
  })

  it('are asked for again when they expire, and not before', async () => {
    const {api, seen} = await tokens()
    const user = printing(`{token: 't' + process.hrtime.bigint(), expirationTimestamp: new Date(Date.now() + 3600000)}`)
    const cluster = await testCluster(api.url, {user})
    await checkCluster(cluster)
    const now = vi.spyOn(Date, 'now')
    const later = async (seconds: number) => {
      now.mockReturnValue(new Date().valueOf() + seconds * 1000)
      await checkCluster(cluster)
    }
    try {
      await later(1800)
      await later(3595)
    } finally {
      now.mockRestore()
    }
    expect(seen[1]).toBe(seen[0])
    expect(seen[2]).not.toBe(seen[0])
  })

  it('come from a program beside the kubeconfig', async () => {
    const {api, seen} = await tokens()
    const kubeconfig = await kubeconfigFor(api.url, {user: exec('./bin/login')})
    const program = path.join(path.dirname(kubeconfig), 'bin/login')
    await mkdir(path.dirname(program))
    await writeFile(program, '#!/bin/sh\necho \'{"status": {"token": "beside"}}\'\n', {mode: 0o755})
    const cluster = await loadCluster({kubeconfig}, process.env)
    try {
      await checkCluster(cluster)
    } finally {
      cluster.client.close()
    }
    expect(seen).toEqual(['beside'])
  })

  it.each([
    ['no JSON', 'echo hello', 'no JSON'],
    ['nothing that counts', `echo '{"status": {}}'`, 'without a token'],
    ['half a certificate', `echo '{"status": {"clientCertificateData": "x"}}'`, 'without its key'],
    ['another version', `echo '{"apiVersion": "x/v9", "status": {"token": "t"}}'`, 'the version "x/v9"'],
    ['another kind', `echo '{"kind": "Pod"}'`, 'no ExecCredential'],
    ['and is killed', 'kill -TERM $$', 'SIGTERM'],
  ])('say so when the program prints %s', async (_name, script, words) => {
    const cluster = await testCluster('https://127.0.0.1:1', {user: exec('sh', ['-c', script])})
    const report = await refusal(checkCluster(cluster))
    expect(report).toMatchObject({code: 'CREDENTIAL_PROGRAM_FAILED', exit: 'unauthorized'})
    expect(report.why).toContain(words)
  })

  it.each([
    [{interactiveMode: 'Always'}, 'wants to talk to somebody'],
    [{apiVersion: 'client.authentication.k8s.io/v1alpha1'}, 'v1alpha1'],
    [{apiVersion: undefined}, 'apiVersion is missing'],
    [{command: undefined}, 'names no command'],
  ])('cannot come from the entry %j', async (change, words) => {
    const {exec: plugin} = exec('true')
    const cluster = await testCluster('https://127.0.0.1:1', {user: {token: undefined, exec: {...plugin, ...change}}})
    const report = await refusal(checkCluster(cluster))
    expect(report).toMatchObject({code: 'CREDENTIAL_PROGRAM_ENTRY', exit: 'kubeconfig'})
    expect(report.why).toContain(words)
  })

  it('name how the program that is missing is installed', async () => {
    const {exec: plugin} = exec('/nowhere/gke-gcloud-auth-plugin')
    const user = {token: undefined, exec: {...plugin, installHint: 'Ask the platform team.'}}
    const report = await refusal(checkCluster(await testCluster('https://127.0.0.1:1', {user})))
    expect(report).toMatchObject({code: 'CREDENTIAL_PROGRAM_MISSING', exit: 'kubeconfig'})
    expect(report.next.join()).toContain('gcloud components install')
    expect(report.detail).toContain('Ask the platform team.')
  })

  it('end a program that waits, with what it has started', async () => {
    const plugin = {apiVersion: 'client.authentication.k8s.io/v1', command: 'sh', args: ['-c', 'sleep 1000 & wait']}
    const waiting = execCredential(plugin, {server: 'https://x'}, {context: 'c', env: process.env, limitMs: 200})
    expect((await refusal(waiting)).why).toContain('had not ended within 0.2 s')
  })

  it('come from a file, as it is at the time', async () => {
    const {api, seen} = await tokens()
    const kubeconfig = await kubeconfigFor(api.url, {user: {token: 'passed over', tokenFile: 'token'}})
    const file = path.join(path.dirname(kubeconfig), 'token')
    await writeFile(file, 'first\n')
    const cluster = await loadCluster({kubeconfig}, {})
    try {
      await checkCluster(cluster)
      await writeFile(file, 'second\n')
      cluster.credentials.renew()
      await checkCluster(cluster)
      expect(seen).toEqual(['first', 'second'])
      await rm(file)
      cluster.credentials.renew()
      expect(await refusal(checkCluster(cluster))).toMatchObject({code: 'KUBECONFIG_FILE_MISSING', exit: 'kubeconfig'})
    } finally {
      cluster.client.close()
    }
  })

  it('name a certificate file that is missing', async () => {
    const cluster = {'certificate-authority': 'missing-ca.crt'}
    const report = await refusal(checkCluster(await testCluster('https://127.0.0.1:1', {cluster})))
    expect(report).toMatchObject({code: 'KUBECONFIG_FILE_MISSING', exit: 'kubeconfig'})
    expect(report.why).toContain('missing-ca.crt')
  })

  it('go through the proxy that the environment names', async () => {
    const targets: string[] = []
    const proxy = await testApi(() => ({}))
    proxy.server.on('connect', (request: {url?: string}, socket: {end(text: string): void}) => {
      targets.push(request.url ?? '')
      socket.end('HTTP/1.1 403 Forbidden\r\n\r\n')
    })
    const kubeconfig = await kubeconfigFor('https://cluster.example:6443')
    const cluster = await loadCluster({kubeconfig}, {HTTPS_PROXY: proxy.url})
    expect((await refusal(checkCluster(cluster))).exit).toBe('clusterUnreachable')
    expect(targets).toEqual(['cluster.example:6443'])
  })
})
