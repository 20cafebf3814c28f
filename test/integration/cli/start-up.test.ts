import {chmodSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync} from 'node:fs'
import {isBuiltin} from 'node:module'
import {createServer, type AddressInfo} from 'node:net'
import path from 'node:path'
import {describe, expect, test} from 'vitest'
import {exitCodes} from '../../../src/errors/exit-codes.ts'
import {useCli} from './harness.ts'

const lib = path.join(import.meta.dirname, '../../../lib')
const cli = useCli()

/** Every file below the folder, by its relative name. */
const below = (folder: string) => readdirSync(folder, {recursive: true}) as string[]

describe('the compile cache', () => {
  const env = {NODE_COMPILE_CACHE: undefined}
  const uid = process.getuid!()
  const cache = () => path.join(cli.folder, 'tmp', `mirrord-compile-cache-${uid}`)

  test('is a folder of this user alone in TMPDIR, and the only thing there', async () => {
    expect((await cli.run(['--version'], {env})).code).toBe(0)
    expect(readdirSync(path.join(cli.folder, 'tmp'))).toEqual([path.basename(cache())])
    expect(statSync(cache()).mode & 0o777).toBe(0o700)
    expect(below(cache()).length).toBeGreaterThan(3)
  })

  test.each([
    ['others may write to it', () => chmodSync(cache(), 0o777)],
    ['others may read it', () => chmodSync(cache(), 0o755)],
    [
      'it is a link',
      () => {
        rmSync(cache(), {recursive: true})
        mkdirSync(path.join(cli.folder, 'elsewhere'), {mode: 0o700})
        symlinkSync(path.join(cli.folder, 'elsewhere'), cache())
      },
    ],
  ])('is not used when %s', async (_, spoil) => {
    mkdirSync(cache(), {mode: 0o700})
    spoil()
    expect(await cli.run(['--version'], {env})).toMatchObject({code: 0, stderr: ''})
    expect(below(`${cache()}/`)).toEqual([])
  })

  test('is not made where the folder cannot be written, or the user wants none or another', async () => {
    const own = path.join(cli.folder, 'own')
    for (const other of [
      {TMPDIR: '/proc'},
      {NODE_DISABLE_COMPILE_CACHE: '1'},
      {NODE_COMPILE_CACHE: own},
      {TMPDIR: 'relative', NODE_COMPILE_CACHE: own},
    ])
      expect(await cli.run(['--version'], {env: {...env, ...other}})).toMatchObject({code: 0, stderr: ''})
    expect(readdirSync(path.join(cli.folder, 'tmp'))).toEqual([])
    expect(readdirSync(cli.folder).sort()).toEqual(['home', 'own', 'run', 'tmp'])
    expect(below(own).length).toBeGreaterThan(3)
  })
})

// The bundle loads what a proxy needs only where a kubeconfig names one.
test.each([
  ['http', 'CONNECT 127.0.0.1:1 HTTP/1.1'],
  ['https', '\x16\x03'],
  ['socks5', '\x05'],
])('a kubeconfig with an %s proxy is gone through', async (kind, greeting) => {
  const heads: string[] = []
  const proxy = createServer((socket) => {
    socket
      .on('error', () => {})
      .once('data', (data) => {
        heads.push(data.toString('latin1'))
        socket.destroy()
      })
  })
  await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve))
  const {port} = proxy.address() as AddressInfo
  const kubeconfig = path.join(cli.folder, 'kubeconfig')
  const cluster = {server: 'https://127.0.0.1:1', 'proxy-url': `${kind}://127.0.0.1:${port}`}
  const config = {
    clusters: [{name: 'c', cluster}],
    users: [{name: 'u', user: {token: 't'}}],
    contexts: [{name: 'x', context: {cluster: 'c', user: 'u'}}],
    'current-context': 'x',
  }
  writeFileSync(kubeconfig, JSON.stringify(config))
  const {code} = await cli.run(['ls'], {env: {KUBECONFIG: kubeconfig}})
  await new Promise((resolve) => proxy.close(resolve))
  expect(code).toBe(exitCodes.clusterUnreachable.code)
  expect(heads[0]?.slice(0, greeting.length)).toBe(greeting)
})

test('an old Node is told, not met by a stack trace', async () => {
  const old = "data:text/javascript,Object.defineProperty(process.versions,'node',{value:'22.2.0'})"
  const {code, stdout, stderr} = await cli.run(['--version'], {env: {NODE_OPTIONS: `--import ${old}`}})
  expect({code, stdout}).toEqual({code: 1, stdout: ''})
  expect(stderr).toMatch(/^Error: mirrord needs Node 22\.3 or later/)
})

test("no module of the bundle imports one of Node's: reading all properties of node:fs takes 3 ms", () => {
  const files = below(lib).filter((name) => name.endsWith('.js') && !name.startsWith('agent'))
  expect(files.length).toBeGreaterThan(20)
  for (const name of files) {
    const text = readFileSync(path.join(lib, name), 'utf8')
    const imported = [...text.matchAll(/(?:^|[;}\n])import[^;"'()]*["']([^"';]+)["'];/g)].map(([, module]) => module!)
    expect(
      imported.filter((module) => isBuiltin(module)),
      name,
    ).toEqual([])
  }
})
