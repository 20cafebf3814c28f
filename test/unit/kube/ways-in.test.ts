import {chmod, lstat, readdir, readFile, stat, symlink, writeFile} from 'node:fs/promises'
import {once} from 'node:events'
import type http from 'node:http'
import net from 'node:net'
import path from 'node:path'
import {describe, expect, it, onTestFinished} from 'vitest'
import {resolveConfig} from '../../../src/config/index.ts'
import {checkCluster, checkVersion, loadCluster, openForward, type Cluster} from '../../../src/kube/index.ts'
import {refusal} from '../../refusal.ts'
import {authority} from './certificates.ts'
import {kubeconfigFor, testApi, testCluster, type FakeApi, type Handler} from './fake-api.ts'
import {forwardsOn} from './fake-forward.ts'

const version = {body: {major: '1', minor: '35', gitVersion: 'v1.35.0'}}

describe('impersonation', () => {
  it('sends user, groups, uid and extra, with requests and with WebSockets', async () => {
    const seen: http.IncomingMessage[] = []
    const api = await testApi((request) => (seen.push(request), version))
    forwardsOn(api, () => undefined)
    api.server.on('upgrade', (request: http.IncomingMessage) => seen.push(request))
    const user = {
      as: 'deployer',
      'as-uid': 'u-7',
      'as-groups': ['ci', 'team/a'],
      'as-user-extra': {'example.com/scope': ['read', 'write']},
    }
    const cluster = await testCluster(api.url, {user})
    await checkCluster(cluster)
    const channel = await openForward(cluster, {namespace: 'n', pod: 'p', port: 1})
    channel.destroy()
    expect(seen).toHaveLength(2)
    for (const {headersDistinct} of seen)
      expect(headersDistinct).toMatchObject({
        authorization: ['Bearer token-of-the-test'],
        'impersonate-user': ['deployer'],
        'impersonate-uid': ['u-7'],
        'impersonate-group': ['ci', 'team/a'],
        'impersonate-extra-example.com%2fscope': ['read', 'write'],
      })
  })

  it('is refused without a name', async () => {
    const cluster = await testCluster('http://127.0.0.1:1', {user: {'as-groups': ['ci']}})
    expect(await refusal(checkCluster(cluster))).toMatchObject({code: 'KUBECONFIG_INCOMPLETE', exit: 'kubeconfig'})
  })
})

describe('a context without a user', () => {
  it('verifies the server all the same', async () => {
    const trusted = await authority()
    const api = await testApi(() => version, await trusted.issue([{type: 'ip', value: '127.0.0.1'}]))
    const file = await kubeconfigFor(api.url, {
      cluster: {'certificate-authority-data': Buffer.from(trusted.ca).toString('base64')},
    })
    const config = JSON.parse(await readFile(file, 'utf8')) as {contexts: {context: {user?: string}}[]}
    delete config.contexts[0]!.context.user
    await writeFile(file, JSON.stringify(config))
    const cluster = await loadCluster({kubeconfig: file}, {})
    onTestFinished(() => cluster.client.close())
    expect((await checkCluster(cluster)).gitVersion).toBe('v1.35.0')
  })
})

describe('data of the kubeconfig', () => {
  it('goes before files that it names too, as in kubectl', async () => {
    const [trusted, other] = await Promise.all([authority(), authority()])
    const api = await testApi(() => version, await trusted.issue([{type: 'ip', value: '127.0.0.1'}]))
    const data = Buffer.from(trusted.ca).toString('base64')
    const file = await kubeconfigFor(api.url, {
      cluster: {'certificate-authority-data': data, 'certificate-authority': 'other.crt'},
    })
    await writeFile(path.join(path.dirname(file), 'other.crt'), other.ca)
    const cluster = await loadCluster({kubeconfig: file}, {})
    onTestFinished(() => cluster.client.close())
    expect((await checkCluster(cluster)).gitVersion).toBe('v1.35.0')
  })
})

/** A SOCKS5 proxy (RFC 1928) without authentication that connects to 127.0.0.1 whatever it is asked for. */
async function socksProxy(): Promise<{url: string; asked: string[]; close(): Promise<void>}> {
  const asked: string[] = []
  const server = net.createServer((socket) => {
    socket.on('error', () => socket.destroy())
    socket.once('data', () => {
      socket.write(Buffer.from([5, 0]))
      socket.once('data', (request: Buffer) => {
        const name = request[3] === 3
        const end = name ? 5 + request[4]! : 8
        const host = name ? request.subarray(5, end).toString() : [...request.subarray(4, 8)].join('.')
        asked.push(`${host}:${request.readUInt16BE(end)}`)
        const onward = net.connect(request.readUInt16BE(end), '127.0.0.1', () => {
          socket.write(Buffer.from([5, 0, 0, 1, 127, 0, 0, 1, 0, 0]))
          socket.pipe(onward).pipe(socket)
        })
        onward.on('error', () => socket.destroy())
      })
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const {port} = server.address() as net.AddressInfo
  const close = () => new Promise<void>((resolve) => void server.close(() => resolve()))
  return {url: `127.0.0.1:${port}`, asked, close}
}

/** An HTTP proxy that connects to 127.0.0.1 whatever it is asked for. */
async function httpProxy(answer = 200): Promise<{api: FakeApi; url: string; asked: string[]; users: unknown[]}> {
  const asked: string[] = []
  const users: unknown[] = []
  const api = await testApi(() => ({}))
  api.server.on('connect', (request: http.IncomingMessage, socket: net.Socket) => {
    asked.push(request.url!)
    users.push(request.headers['proxy-authorization'])
    socket.on('error', () => socket.destroy())
    if (answer !== 200) return void socket.end(`HTTP/1.1 ${answer} No\r\n\r\n`)
    const onward = net.connect(Number(request.url!.split(':')[1]), '127.0.0.1', () => {
      socket.write('HTTP/1.1 200 OK\r\n\r\n')
      socket.pipe(onward).pipe(socket)
    })
    onward.on('error', () => socket.destroy())
  })
  return {api, url: api.url.replace('http://', ''), asked, users}
}

describe('proxies', () => {
  /** A server that only a proxy finds: its name resolves nowhere. */
  const hidden = async () => {
    const trusted = await authority()
    const api = await testApi(() => version, await trusted.issue([{type: 'dns', value: 'cluster.invalid'}]))
    forwardsOn(
      api,
      ({send}) =>
        (data) =>
          send(data),
    )
    const {port} = new URL(api.url)
    const cluster = {'certificate-authority-data': Buffer.from(trusted.ca).toString('base64')}
    return {server: `https://cluster.invalid:${port}`, asked: `cluster.invalid:${port}`, cluster}
  }
  const bothWays = async (cluster: Cluster) => {
    onTestFinished(() => cluster.client.close())
    expect((await checkCluster(cluster)).gitVersion).toBe('v1.35.0')
    const channel = await openForward(cluster, {namespace: 'n', pod: 'p', port: 1})
    const echoed = new Promise<string>((resolve) => (channel.onData = (data) => resolve(Buffer.from(data).toString())))
    channel.write([Buffer.from('hello')])
    expect(await echoed).toBe('hello')
    channel.destroy()
  }

  it.each([
    ['proxy-url', (url: string) => [{'proxy-url': `socks5h://${url}`}, {}]],
    ['ALL_PROXY', (url: string) => [{}, {ALL_PROXY: `socks5h://${url}`}]],
  ] as [string, (url: string) => [Record<string, string>, Record<string, string>]][])(
    'SOCKS5 by %s carries requests and WebSockets',
    async (_name, choose) => {
      const {server, asked, cluster} = await hidden()
      const proxy = await socksProxy()
      onTestFinished(() => proxy.close())
      const [entry, env] = choose(proxy.url)
      await bothWays(
        await loadCluster({kubeconfig: await kubeconfigFor(server, {cluster: {...cluster, ...entry}})}, env),
      )
      expect(new Set(proxy.asked)).toEqual(new Set([asked]))
    },
  )

  it.each([
    ['proxy-url', (url: string) => [{'proxy-url': `http://${url}`}, {}]],
    ['HTTPS_PROXY', (url: string) => [{}, {HTTPS_PROXY: `http://${url}`}]],
    ['https_proxy without a scheme', (url: string) => [{}, {https_proxy: url}]],
    [
      'proxy-url before HTTPS_PROXY',
      (url: string) => [{'proxy-url': `http://${url}`}, {HTTPS_PROXY: 'http://127.0.0.1:1'}],
    ],
  ] as [string, (url: string) => [Record<string, string>, Record<string, string>]][])(
    'HTTP by %s carries requests and WebSockets',
    async (_name, choose) => {
      const {server, asked, cluster} = await hidden()
      const proxy = await httpProxy()
      const [entry, env] = choose(proxy.url)
      await bothWays(
        await loadCluster({kubeconfig: await kubeconfigFor(server, {cluster: {...cluster, ...entry}})}, env),
      )
      expect(new Set(proxy.asked)).toEqual(new Set([asked]))
    },
  )

  it('are given the user and the password of their address, which no message shows', async () => {
    const {server, cluster} = await hidden()
    const [good, bad] = await Promise.all([httpProxy(), httpProxy(407)])
    const file = await kubeconfigFor(server, {cluster})
    await bothWays(await loadCluster({kubeconfig: file}, {HTTPS_PROXY: `http://me:s3cret@${good.url}`}))
    expect(good.users[0]).toBe(`Basic ${Buffer.from('me:s3cret').toString('base64')}`)
    const refused = await loadCluster({kubeconfig: file}, {HTTPS_PROXY: `http://me:s3cret@${bad.url}`})
    const report = await refusal(checkCluster(refused))
    expect(report).toMatchObject({code: 'CLUSTER_PROXY', exit: 'clusterUnreachable'})
    expect(report.what).toContain(`http://${bad.url}`)
    expect(report.why).toContain('HTTP 407')
    expect(JSON.stringify(report)).not.toContain('s3cret')
  })

  it('that are not there are told from a cluster that is not there', async () => {
    const file = await kubeconfigFor('https://cluster.invalid')
    const report = await refusal(
      checkCluster(await loadCluster({kubeconfig: file}, {HTTPS_PROXY: 'http://127.0.0.1:1'})),
    )
    expect(report).toMatchObject({code: 'CLUSTER_PROXY', exit: 'clusterUnreachable'})
    expect(report.why).toContain('The proxy itself cannot be reached')
  })

  it.each([
    ['no address', 'http://[x:s3cret'],
    ['a scheme of another kind', 'ftp://s3cret@proxy'],
  ])('with %s are refused without quoting it', async (_name, HTTPS_PROXY) => {
    const report = await refusal(loadCluster({kubeconfig: await kubeconfigFor('https://a.invalid')}, {HTTPS_PROXY}))
    expect(report).toMatchObject({code: 'KUBECONFIG_PROXY', exit: 'kubeconfig'})
    expect(JSON.stringify(report)).not.toContain('s3cret')
  })
})

describe('an OIDC issuer (auth-provider oidc)', () => {
  const jwt = (seconds: number, id = 'a') => {
    const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')
    return `${part({alg: 'none'})}.${part({id, exp: Math.floor(Date.now() / 1000) + seconds})}.x`
  }
  const issuer = async (answer: (form: URLSearchParams) => Awaited<ReturnType<Handler>>) => {
    const asked: {form: URLSearchParams; authorization?: string}[] = []
    const api: FakeApi = await testApi(async (request) => {
      if (request.url === '/.well-known/openid-configuration') return {body: {token_endpoint: `${api.url}/token`}}
      let text = ''
      for await (const chunk of request as AsyncIterable<Buffer>) text += chunk.toString()
      const form = new URLSearchParams(text)
      asked.push({form, authorization: request.headers.authorization})
      return answer(form)
    })
    return {url: api.url, asked}
  }
  const server = async () => {
    const seen: string[] = []
    const api = await testApi(({headers}) => {
      seen.push(headers.authorization!.replace('Bearer ', ''))
      return version
    })
    return {url: api.url, seen}
  }
  const user = (config: Record<string, string>) => ({
    token: undefined,
    'auth-provider': {name: 'oidc', config: {'client-id': 'kubernetes', ...config}},
  })

  it('is not asked while the token lasts', async () => {
    const [{url, seen}, idp] = await Promise.all([server(), issuer(() => ({status: 500}))])
    const token = jwt(3600)
    await checkCluster(
      await testCluster(url, {user: user({'id-token': token, 'refresh-token': 'r', 'idp-issuer-url': idp.url})}),
    )
    expect(seen).toEqual([token])
    expect(idp.asked).toEqual([])
  })

  it('gives a new token for an old one, which the kubeconfig then has, as everything else in it', async () => {
    const fresh = jwt(3600, 'fresh')
    const [{url, seen}, idp] = await Promise.all([
      server(),
      issuer(() => ({body: {id_token: fresh, refresh_token: 'r2'}})),
    ])
    const config = {'id-token': jwt(-60), 'refresh-token': 'r1', 'idp-issuer-url': idp.url, 'client-secret': 's'}
    const kubeconfig = await kubeconfigFor(url, {user: user(config)})
    const before = JSON.parse(await readFile(kubeconfig, 'utf8')) as {users: {user: object}[]}
    const text = `# of the platform team\n${await readFile(kubeconfig, 'utf8')}`
    await writeFile(kubeconfig, text)
    await chmod(kubeconfig, 0o600)
    const {mode} = await stat(kubeconfig)
    const link = path.join(path.dirname(kubeconfig), 'link')
    await symlink(kubeconfig, link)
    const cluster = await loadCluster({kubeconfig: link}, {})
    onTestFinished(() => cluster.client.close())
    await checkCluster(cluster)
    await checkCluster(cluster)
    expect((await lstat(link)).isSymbolicLink()).toBe(true)
    expect(await readdir(path.dirname(kubeconfig))).toEqual(['config', 'link'])
    expect(seen).toEqual([fresh, fresh])
    expect(idp.asked).toHaveLength(1)
    expect(Object.fromEntries(idp.asked[0]!.form)).toEqual({grant_type: 'refresh_token', refresh_token: 'r1'})
    expect(idp.asked[0]!.authorization).toBe(`Basic ${Buffer.from('kubernetes:s').toString('base64')}`)
    const after = await readFile(kubeconfig, 'utf8')
    expect(after).toMatch(/^# of the platform team\n/)
    const {parse} = await import('yaml')
    const changed = {
      'auth-provider': {
        name: 'oidc',
        config: {'client-id': 'kubernetes', ...config, 'id-token': fresh, 'refresh-token': 'r2'},
      },
    }
    expect(parse(after)).toEqual({...before, users: [{...before.users[0], user: changed}]})
    expect((await stat(kubeconfig)).mode & 0o777).toBe(mode & 0o777)
  })

  it.each([
    ['there is no refresh token', {}, 'OIDC_TOKEN_EXPIRED', 'without refresh-token'],
    ['the issuer refuses', {'refresh-token': 'r'}, 'OIDC_REFRESH_FAILED', 'HTTP 400 (invalid_grant, used before)'],
  ])('says what is to be done where %s', async (_name, config, code, words) => {
    const idp = await issuer(() => ({status: 400, body: {error: 'invalid_grant', error_description: 'used before'}}))
    const expired = user({'id-token': jwt(-60), 'idp-issuer-url': idp.url, ...config})
    const report = await refusal(checkCluster(await testCluster('https://127.0.0.1:1', {user: expired})))
    expect(report).toMatchObject({code, exit: 'unauthorized'})
    expect(report.why).toContain(words)
    expect(report.next.join()).toContain('service account')
  })

  it.each([
    ['gcp', 'gke-gcloud-auth-plugin'],
    ['azure', 'kubelogin convert-kubeconfig'],
    ['openstack', 'exec plugin'],
  ])('is the only provider: %s is refused with what replaces it', async (name, words) => {
    const old = {token: undefined, 'auth-provider': {name, config: {'access-token': 's3cret'}}}
    const report = await refusal(checkCluster(await testCluster('https://127.0.0.1:1', {user: old})))
    expect(report).toMatchObject({code: 'CREDENTIAL_PROVIDER', exit: 'unauthorized'})
    expect(report.next.join()).toContain(words)
    expect(JSON.stringify(report)).not.toContain('s3cret')
  })
})

describe('exec plugins, as the large clouds write them', () => {
  const beta = 'client.authentication.k8s.io/v1beta1'
  const rows = [
    {
      cloud: 'EKS',
      exec: {
        ...{apiVersion: beta, command: 'aws', interactiveMode: 'IfAvailable', provideClusterInfo: false},
        args: ['--region', 'eu-west-1', 'eks', 'get-token', '--cluster-name', 'c', '--output', 'json'],
        env: [{name: 'AWS_PROFILE', value: 'ci'}],
      },
      says: 'ci|false|--region eu-west-1 eks get-token --cluster-name c --output json',
      install: 'AWS CLI',
      anew: 'aws eks update-kubeconfig',
    },
    {
      cloud: 'GKE',
      exec: {
        ...{apiVersion: beta, command: 'gke-gcloud-auth-plugin', provideClusterInfo: true, args: null, env: null},
        installHint: 'Install gke-gcloud-auth-plugin for use with kubectl by following https://cloud.google.com/x',
      },
      says: '|true|',
      install: 'gcloud components install gke-gcloud-auth-plugin',
      anew: 'gcloud container clusters get-credentials',
    },
    {
      cloud: 'AKS',
      exec: {
        ...{apiVersion: beta, command: 'kubelogin', provideClusterInfo: false, env: null},
        args: ['get-token', '--login', 'azurecli', '--server-id', '6dae42f8'],
      },
      says: '|false|get-token --login azurecli --server-id 6dae42f8',
      install: 'az aks install-cli',
      anew: 'kubelogin convert-kubeconfig',
    },
  ]
  const user = (exec: object) => ({token: undefined, exec})

  it.each(rows)('$cloud: with its arguments, its variables and, where it asks, the cluster', async ({exec, says}) => {
    const seen: string[] = []
    const api = await testApi(({headers}) => {
      seen.push(Buffer.from(headers.authorization!.replace('Bearer ', ''), 'hex').toString())
      return version
    })
    const kubeconfig = await kubeconfigFor(api.url, {user: user(exec)})
    const bin = path.dirname(kubeconfig)
    const script = `const info = JSON.parse(process.env.KUBERNETES_EXEC_INFO)
const said = [process.env.AWS_PROFILE ?? '', info.spec.cluster !== undefined, process.argv.slice(2).join(' ')].join('|')
const expirationTimestamp = new Date(Date.now() + 840000).toISOString().replace(/\\.\\d+Z$/, 'Z')
const status = {token: Buffer.from(said).toString('hex'), expirationTimestamp}
console.log(JSON.stringify({kind: 'ExecCredential', apiVersion: info.apiVersion, spec: {}, status}))`
    await writeFile(path.join(bin, exec.command), `#!${process.execPath}\n${script}\n`, {mode: 0o755})
    const cluster = await loadCluster({kubeconfig}, {PATH: bin})
    onTestFinished(() => cluster.client.close())
    await checkCluster(cluster)
    expect(seen).toEqual([says])
  })

  it.each(rows)('$cloud: says how what is missing is installed, and what is too old written anew', async (row) => {
    const {exec, install, anew} = row
    const kubeconfig = await kubeconfigFor('https://127.0.0.1:1', {user: user(exec)})
    // With none at all the system's own folders are searched, and this machine may have it.
    const report = await refusal(checkCluster(await loadCluster({kubeconfig}, {PATH: '/nowhere'})))
    expect(report).toMatchObject({code: 'CREDENTIAL_PROGRAM_MISSING', exit: 'kubeconfig'})
    expect(report.next.join()).toContain(install)
    const alpha = {...exec, apiVersion: 'client.authentication.k8s.io/v1alpha1'}
    const old = await refusal(checkCluster(await testCluster('https://127.0.0.1:1', {user: user(alpha)})))
    expect(old).toMatchObject({code: 'CREDENTIAL_PROGRAM_ENTRY', exit: 'kubeconfig'})
    expect(old.next.join()).toContain(anew)
  })
})

describe('a token that is written anew while it is in use', () => {
  it('is read again when a WebSocket is refused', async () => {
    const seen: (string | undefined)[] = []
    const api = await testApi(() => version)
    api.server.on('upgrade', ({headers}: http.IncomingMessage) => seen.push(headers.authorization))
    forwardsOn(api, () => undefined, {refuse: () => (seen.length === 1 ? 401 : undefined)})
    const kubeconfig = await kubeconfigFor(api.url, {user: {token: undefined, tokenFile: 'token'}})
    const file = path.join(path.dirname(kubeconfig), 'token')
    await writeFile(file, 'first')
    const cluster = await loadCluster({kubeconfig}, {})
    onTestFinished(() => cluster.client.close())
    await checkCluster(cluster)
    await writeFile(file, 'second')
    const channel = await openForward(cluster, {namespace: 'n', pod: 'p', port: 1})
    channel.destroy()
    expect(seen).toEqual(['Bearer first', 'Bearer second'])
  })
})

describe('requests that are refused together', () => {
  it('ask the plugin once more, not once each', async () => {
    const api = await testApi(({headers}) => (headers.authorization === 'Bearer 2' ? version : {status: 401}))
    const runs = path.join(path.dirname(await kubeconfigFor(api.url)), 'runs')
    await writeFile(runs, '')
    const script = `echo >> ${runs}; printf '{"status": {"token": "%s"}}' $(wc -l < ${runs})`
    const apiVersion = 'client.authentication.k8s.io/v1'
    const exec = {apiVersion, command: 'sh', args: ['-c', script]}
    const kubeconfig = await kubeconfigFor(api.url, {user: {token: undefined, exec}})
    const cluster = await loadCluster({kubeconfig}, process.env)
    onTestFinished(() => cluster.client.close())
    await Promise.all(Array.from({length: 8}, () => checkCluster(cluster)))
    expect(await readFile(runs, 'utf8')).toBe('\n\n')
  })
})

describe("the server's version", () => {
  const check = async (minor: string, flags: Record<string, unknown> = {}, major = '1') => {
    const {config} = await resolveConfig({flags: {target: 'pod/x', ...flags}, env: {}, cwd: '/'})
    return checkVersion(
      await testCluster('https://a.invalid'),
      {major, minor, gitVersion: `v${major}.${minor}.3`},
      config,
    )
  }

  it('is warned of where it is too old to clear away, and refused where no agent can be made', async () => {
    expect(await check('35')).toBeUndefined()
    expect(await check('21+')).toBeUndefined()
    expect(await check('')).toBeUndefined()
    expect(await check('20')).toContain('v1.20.3, older than 1.21')
    expect(await check('23', {'ephemeral-container': true})).toBeUndefined()
    const report = await refusal(check('22', {'ephemeral-container': true}))
    expect(report).toMatchObject({code: 'CLUSTER_TOO_OLD', exit: 'clusterUnreachable'})
    expect(report.why).toContain('v1.22.3; agent.ephemeral needs 1.23')
  })
})
