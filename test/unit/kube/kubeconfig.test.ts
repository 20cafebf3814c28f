import {mkdir, mkdtemp, rm, writeFile} from 'node:fs/promises'
import {tmpdir} from 'node:os'
import path from 'node:path'
import {afterAll, beforeAll, describe, expect, it} from 'vitest'
import {MirrordError} from '../../../src/errors/mirrord-error.ts'
import {selectConfig, type KubeconfigChoice} from '../../../src/kube/kubeconfig.ts'
import {proxyFor} from '../../../src/kube/proxy.ts'

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'kubeconfig-'))
})
afterAll(() => rm(folder, {recursive: true}))

const write = async (name: string, content: unknown) => {
  const file = path.join(folder, name)
  await mkdir(path.dirname(file), {recursive: true})
  await writeFile(file, typeof content === 'string' ? content : JSON.stringify(content))
  return file
}
const config = (name: string, extra: Record<string, unknown> = {}) => ({
  clusters: [{name, cluster: {server: `https://${name}.example`}}],
  users: [{name, user: {token: 't'}}],
  contexts: [{name, context: {cluster: name, user: name, namespace: `ns-${name}`}}],
  'current-context': name,
  ...extra,
})
const refusal = async (choice: KubeconfigChoice, env: Record<string, string> = {}) => {
  const error = await selectConfig(choice, env).then(
    () => undefined,
    (thrown: unknown) => thrown,
  )
  if (!(error instanceof MirrordError)) throw new Error('expected a MirrordError', {cause: error})
  expect(error.report.exit).toBe('kubeconfig')
  return error.report
}

describe('finding', () => {
  it('goes from the configuration over KUBECONFIG to the home directory', async () => {
    const [a, b] = await Promise.all([write('a', config('a')), write('b', config('b'))])
    await write('home/.kube/config', config('home'))
    const env = {HOME: path.join(folder, 'home')}
    expect((await selectConfig({kubeconfig: a}, {...env, KUBECONFIG: b})).context).toBe('a')
    expect((await selectConfig({}, {...env, KUBECONFIG: b})).context).toBe('b')
    const {context, namespace, cluster, source} = await selectConfig({}, env)
    expect([context, namespace, cluster.server]).toEqual(['home', 'ns-home', 'https://home.example'])
    expect(source).toBe(path.join(folder, 'home/.kube/config'))
  })

  it('expands ~ and variables in the configuration’s value', async () => {
    await write('home/x', config('x'))
    const env = {HOME: path.join(folder, 'home'), NAME: 'x'}
    expect((await selectConfig({kubeconfig: '~/$NAME'}, env)).context).toBe('x')
  })

  it('merges a list as kubectl does: the first that names a thing wins, missing files are passed over', async () => {
    const shared = {name: 'shared', cluster: {server: 'https://first.example'}}
    const a = await write('l1', config('a', {clusters: [shared], contexts: []}))
    const b = await write(
      'l2',
      config('a', {
        clusters: [
          {name: 'a', cluster: {server: 'https://a.example'}},
          {...shared, cluster: {server: 'https://second.example'}},
        ],
        'current-context': 'other',
      }),
    )
    const {config: merged, cluster} = await selectConfig({}, {KUBECONFIG: `${a}:${folder}/none:${b}`})
    expect(cluster.server).toBe('https://a.example')
    expect(merged.getCluster('shared')?.server).toBe('https://first.example')
  })

  it('lists where it looked', async () => {
    const none = await refusal({}, {KUBECONFIG: `${folder}/n1:${folder}/n2`})
    expect(none.code).toBe('KUBECONFIG_MISSING')
    expect(none.detail).toContain('n1 (KUBECONFIG): no such file')
    expect(none.detail).toContain('n2 (KUBECONFIG): no such file')
    expect((await refusal({kubeconfig: `${folder}/n3`})).detail).toContain('kubeconfig of the configuration')
    for (const env of [{}, {HOME: ''}] as Record<string, string>[]) {
      expect((await refusal({}, env)).detail).toBe('~/.kube/config: HOME is not set')
      const {detail} = await refusal({kubeconfig: '~/config'}, env)
      expect(detail).toBe('~/config (kubeconfig of the configuration): HOME is not set')
    }
    expect((await refusal({}, {HOME: '/dev/null'})).detail).toBe('/dev/null/.kube/config (default): no such file')
    expect((await refusal({kubeconfig: folder})).code).toBe('KUBECONFIG_MISSING')
  })
})

describe('refusing', () => {
  it('names file and line of malformed YAML without quoting it', async () => {
    const file = await write('bad', 'users:\n- name: u\n  user: {token: s3cret\n')
    const report = await refusal({kubeconfig: file})
    expect(report.code).toBe('KUBECONFIG_MALFORMED')
    expect(report.what).toMatch(/bad:\d+ is malformed/)
    expect(JSON.stringify(report)).not.toContain('s3cret')
  })

  it.each([
    ['', 'KUBECONFIG_MALFORMED'],
    [{clusters: [{cluster: {}}]}, 'KUBECONFIG_MALFORMED'],
    ['just text', 'KUBECONFIG_CONTEXT'],
    [{}, 'KUBECONFIG_CONTEXT'],
    [config('a', {'current-context': ''}), 'KUBECONFIG_CONTEXT'],
    [config('a', {clusters: []}), 'KUBECONFIG_INCOMPLETE'],
    [config('a', {users: []}), 'KUBECONFIG_INCOMPLETE'],
    [config('a', {clusters: [{name: 'a', cluster: {server: 'ftp://x'}}]}), 'KUBECONFIG_MALFORMED'],
  ])('%j', async (content, code) => {
    expect((await refusal({kubeconfig: await write('refused', content)})).code).toBe(code)
  })

  it('lists the contexts when one is unknown, and suggests the nearest', async () => {
    const file = await write('contexts', config('staging'))
    const report = await refusal({kubeconfig: file, kube_context: 'stagin'})
    expect(report.code).toBe('KUBECONFIG_CONTEXT')
    expect(report.why).toContain('staging')
    expect(report.next[0]).toBe('Did you mean "staging"?')
  })
})

describe('MIRRORD_KUBECONFIG_B64', () => {
  const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64')

  it('holds a whole kubeconfig, before KUBECONFIG and after the configuration', async () => {
    const file = await write('named', config('named'))
    const env = {MIRRORD_KUBECONFIG_B64: encode(config('secret')), KUBECONFIG: file}
    expect(await selectConfig({}, env)).toMatchObject({context: 'secret', source: 'MIRRORD_KUBECONFIG_B64'})
    expect(await selectConfig({kubeconfig: file}, env)).toMatchObject({context: 'named'})
    // As `base64` writes it, in lines; and empty as CI systems give a secret that is not there.
    const lines = env.MIRRORD_KUBECONFIG_B64.replace(/.{76}/g, '$&\n')
    expect(await selectConfig({}, {MIRRORD_KUBECONFIG_B64: `${lines}\n`})).toMatchObject({context: 'secret'})
    expect(await selectConfig({}, {...env, MIRRORD_KUBECONFIG_B64: ''})).toMatchObject({context: 'named'})
  })

  it.each([
    ['no base64', 'apiVersion: v1 # plain'],
    ['empty', Buffer.from('# exec\n').toString('base64')],
    ['half of one', Buffer.from('{"clusters": [').toString('base64')],
  ])('is refused when it is %s, without its content', async (_name, value) => {
    const report = await refusal({}, {MIRRORD_KUBECONFIG_B64: value})
    expect(report).toMatchObject({code: 'KUBECONFIG_MALFORMED', exit: 'kubeconfig'})
    expect(report.what).toContain('MIRRORD_KUBECONFIG_B64')
    expect(JSON.stringify(report)).not.toContain(value)
  })
})

describe('proxyFor', () => {
  const env = {HTTPS_PROXY: 'proxy.example:3128', NO_PROXY: 'internal.example,10.0.0.0/8, .svc'}
  it.each([
    ['https://cluster.example', env, 'http://proxy.example:3128'],
    ['https://api.internal.example:6443', env, undefined],
    ['https://notinternal.example', env, 'http://proxy.example:3128'],
    ['https://10.1.2.3:6443', env, undefined],
    ['https://11.1.2.3:6443', env, 'http://proxy.example:3128'],
    ['https://kubernetes.default.svc', env, undefined],
    ['https://127.0.0.1:6443', env, undefined],
    ['https://a', {...env, NO_PROXY: '*'}, undefined],
    ['https://a', {https_proxy: 'socks5://p:1'}, 'socks5://p:1'],
    ['https://a', {ALL_PROXY: 'socks5://p:1'}, 'socks5://p:1'],
    ['https://a', {all_proxy: 'p:1', HTTPS_PROXY: 'q:2'}, 'http://q:2'],
    ['http://a', {HTTP_PROXY: 'p:1'}, 'http://p:1'],
    ['https://a:6443', {HTTPS_PROXY: 'p:1', NO_PROXY: 'a:6443'}, undefined],
    ['https://a:6443', {HTTPS_PROXY: 'p:1', NO_PROXY: 'a:443'}, 'http://p:1'],
    ['https://[fd00::1]:6443', {HTTPS_PROXY: 'p:1', NO_PROXY: 'fd00::/8'}, undefined],
    ['https://[fd00::1]:6443', {HTTPS_PROXY: 'p:1', NO_PROXY: 'fd00::1'}, undefined],
    ['https://[fe00::1]', {HTTPS_PROXY: 'p:1', NO_PROXY: 'fd00::/8,10.0.0.0/8'}, 'http://p:1'],
    ['http://a', env, undefined],
    ['https://a', {}, undefined],
  ])('%s %j', (server, environment, expected) => {
    expect(proxyFor(server, environment)).toBe(expected)
  })
})
