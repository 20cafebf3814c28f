import {execFileSync} from 'node:child_process'
import {copyFileSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync} from 'node:fs'
import path from 'node:path'
import {afterAll, afterEach, beforeAll, beforeEach, describe, expect, test} from 'vitest'
import type {ServiceAddress} from './support/cluster.ts'
import {expectExit, Harness} from './support/harness.ts'
import {request} from './support/http.ts'
import {languages} from './support/languages.ts'
import {matrixManifests} from './support/matrix.ts'
import type {Job} from './support/mirrord.ts'
import {until} from './support/until.ts'

const long = process.env.MIRRORD_LONG === '1'
const {list, dispose} = languages(long)
const root = process.getuid?.() === 0
const nobody = 65_534

/** Who runs the CLI, and what the machine refuses it. */
interface User {
  user: string
  below: (folder: string) => string[]
  uid?: number
  always: boolean
}
const users: User[] = [
  {user: root ? 'root' : 'this user', below: () => [], always: true},
  {
    user: 'a plain user',
    below: () => ['setpriv', `--reuid=${nobody}`, `--regid=${nobody}`, '--clear-groups', '--inh-caps=-all'],
    uid: nobody,
    always: false,
  },
  {user: 'one whom pidfd_getfd is denied', below: (folder) => [denier(folder), 'getfd'], always: false},
]
const wanted = users.filter(({always, uid}) => (long || always) && (root || uid === undefined))

/** test/apps/trap/deny.c, built once a folder. */
function denier(folder: string): string {
  const file = path.join(folder, 'deny')
  if (!existsSync(file)) {
    const source = path.join(import.meta.dirname, '../apps/trap/deny.c')
    execFileSync('gcc', ['-O1', '-static', '-o', file, source], {stdio: ['ignore', 'ignore', 'inherit']})
  }
  return file
}

let harness: Harness
let job: Job
let address: ServiceAddress
let files: ServiceAddress
const folder = mkdtempSync('/tmp/me2e-users-')

beforeAll(async () => {
  harness = await Harness.open()
  await harness.cluster.create(harness.namespace, matrixManifests())
  await harness.cluster.waitAvailable(harness.namespace, 'matrix')
  address = await harness.cluster.serviceUrl(harness.namespace, 'matrix')
  files = await harness.cluster.serviceUrl(harness.namespace, 'matrix-files')
})
afterAll(() => {
  address.close()
  files.close()
  harness.close()
  dispose()
  rmSync(folder, {recursive: true, force: true})
})
beforeEach(() => {
  job = harness.job()
})
afterEach(() => harness.finish(job))

/** Hands the job's folder and its kubeconfig to another user. */
function giveTo(job: Job, uid: number): void {
  const kubeconfig = path.join(job.folder, 'kubeconfig')
  copyFileSync(job.env.KUBECONFIG!, kubeconfig)
  job.env.KUBECONFIG = kubeconfig
  execFileSync('chown', ['-R', `${uid}:${uid}`, job.folder])
}

/** What a step's result must look like. */
const expectations = (service: string, namespace: string, name: string): Record<string, [string, RegExp]> => ({
  tcp: ['matrix-echo:9001', /^pong$/],
  tcp6: ['[::1]:9001', /^pong$/],
  refused: ['127.0.0.1:9', /refused/i],
  udp: ['matrix-echo:9002', /^pong$/],
  udpto: ['matrix-echo:9002', new RegExp(`^pong from ${service.replaceAll('.', '\\.')}:9002$`)],
  dns: ['matrix-echo', new RegExp(`^${service.replaceAll('.', '\\.')}$`)],
  srv: [`_tcp._tcp.matrix-echo.${namespace}.svc.cluster.local`, /^9001$/],
  read: ['/srv/mirrord-matrix/text', /^remote text$/],
  missing: ['/srv/mirrord-matrix/none', /no such file|ENOENT|NoSuchFile/i],
  stat: ['/srv/mirrord-matrix/text', /^12 640$/],
  list: ['/srv/mirrord-matrix/list', /^a,b,c$/],
  write: [`/srv/mirrord-matrix/written/${encodeURIComponent(name)}`, new RegExp(`^written by ${name}$`)],
  child: ['/srv/mirrord-matrix/text', /^remote text$/],
})

describe.each(wanted)('as $user', ({below, uid}) => {
  for (const {language, words, without} of list) {
    const missing = 'missing' in words ? words.missing : undefined
    const title = missing ? `${language} (left out: needs ${missing})` : language
    test.skipIf(missing !== undefined)(title, async () => {
      const {spec} = await harness.cluster.core.readNamespacedService({
        name: 'matrix-echo',
        namespace: harness.namespace,
      })
      const name = language.replaceAll(/\W+/g, '-')
      const serves = !without.includes('serve')
      const steps = Object.entries(expectations(spec!.clusterIP!, harness.namespace, name))
      const config = path.join(job.folder, 'mirrord.json')
      writeFileSync(
        config,
        JSON.stringify({
          feature: {
            fs: {mode: 'read', read_write: ['^/srv/mirrord-matrix/written/']},
            network: {incoming: serves ? 'steal' : 'off'},
          },
        }),
      )
      if (uid !== undefined) giveTo(job, uid)
      const args = [`name=${name}`, ...steps.map(([step, [value]]) => `${step}=${value}`), 'serve=8080']
      const started = await job.run(
        ['ci', 'start', '--target', 'deployment/matrix', '-f', config, '--', ...(words as string[]), ...args],
        {below: below(folder)},
      )
      expectExit(started, 'success')
      const output = () => readFileSync(path.join(job.outputFolders()[0]!, 'stdout'), 'utf8')
      if (serves) {
        const {body} = await request(`${address.url}/`)
        expect(body).toMatch(new RegExp(`^${name} peer `))
        expect(body.endsWith('127.0.0.1')).toBe(false)
      } else await until('the last step', () => /^child /m.test(output()), {timeout: 60_000})
      expectExit(await job.run(['ci', 'stop'], {below: below(folder)}), 'success')
      const results = new Map(
        output()
          .trim()
          .split('\n')
          .map((line) => [line.split(' ', 1)[0]!, line.slice(line.indexOf(' ') + 1)]),
      )
      const wrong = steps
        .filter(([step, [, pattern]]) => !(without.includes(step) ? /^-$/ : pattern).test(results.get(step) ?? ''))
        .map(([step]) => `${step}: ${results.get(step)}`)
      expect(wrong, output()).toEqual([])
      expect(results.get('serve'), output()).toBe('sigterm')
      const written = await request(`${files.url}/srv/mirrord-matrix/written/${name}`)
      expect(written.body).toBe(`written by ${name}\n`)
    })
  }
})
