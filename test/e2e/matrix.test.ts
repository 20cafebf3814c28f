import {execFileSync} from 'node:child_process'
import {existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync} from 'node:fs'
import path from 'node:path'
import {afterAll, beforeAll, describe, expect, test} from 'vitest'
import {nobodyMay} from '../integration/nobody.ts'
import type {ServiceAddress} from './support/cluster.ts'
import {harness, job} from './support/each-test.ts'
import {expectExit} from './support/harness.ts'
import {request} from './support/http.ts'
import {languages} from './support/languages.ts'
import {matrixManifests} from './support/matrix.ts'
import {until} from './support/until.ts'
import {giveTo} from './support/users.ts'

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
const mayRead = nobodyMay('read', path.join(import.meta.dirname, '../../package.json'))
const wanted = users
  .filter(({always}) => long || always)
  .map((one) => {
    const barred = one.uid !== undefined && !mayRead
    return {...one, barred, who: `${one.user}${barred ? ' (left out: may not read this repository)' : ''}`}
  })

/** test/apps/trap/deny.c, built once a folder. */
function denier(folder: string): string {
  const file = path.join(folder, 'deny')
  if (!existsSync(file)) {
    const source = path.join(import.meta.dirname, '../apps/trap/deny.c')
    execFileSync('gcc', ['-O1', '-static', '-o', file, source], {stdio: ['ignore', 'ignore', 'inherit']})
  }
  return file
}

let address: ServiceAddress
let files: ServiceAddress
let surroundings: Surroundings
const folder = mkdtempSync('/tmp/me2e-users-')

beforeAll(async () => {
  await harness.cluster.create(harness.namespace, matrixManifests())
  await Promise.all(['matrix', 'matrix-echo'].map((name) => harness.cluster.waitAvailable(harness.namespace, name)))
  const {namespace} = harness
  const {spec} = await harness.cluster.core.readNamespacedService({name: 'matrix-echo', namespace})
  const {status} = await harness.cluster.pod(namespace, 'matrix')
  surroundings = {service: spec!.clusterIP!, pod: status!.podIP!, namespace}
  address = await harness.cluster.serviceUrl(harness.namespace, 'matrix')
  files = await harness.cluster.serviceUrl(harness.namespace, 'matrix-files')
})
afterAll(() => {
  address.close()
  files.close()
  dispose()
  rmSync(folder, {recursive: true, force: true})
})

/** What the steps need to know about the cluster. */
interface Surroundings {
  /** Address of the Service `matrix-echo`. */
  service: string
  /** Address of the target pod: what the other end must see as its peer. */
  pod: string
  namespace: string
}

const exactly = (text: string) => new RegExp(`^${text.replaceAll('.', '\\.')}$`)
const failed = /unreachable|no route|timed? ?out/
/** Each step's argument, and what its result must look like. */
const expectations = (
  {service, pod, namespace}: Surroundings,
  name: string,
  reset = /reset/,
): Record<string, [string, RegExp]> => ({
  tcp: ['matrix-echo:9001', exactly(`pong ${pod}`)],
  tcp6: ['[::1]:9001', exactly('pong ::1')],
  refused: ['127.0.0.1:9', /refused/i],
  // Nobody has this address of the pods' network. A non-blocking socket waits a second for the outcome; what fails later shows
  // as a reset.
  ...(long
    ? {unreachable: [`${pod.replace(/\d+$/, '249')}:9`, new RegExp(`${failed.source}|reset|${reset.source}`, 'i')]}
    : {}),
  udp: ['matrix-echo:9002', exactly(`pong ${pod}`)],
  udpto: ['matrix-echo:9002', exactly(`pong ${pod} from ${service}:9002`)],
  dns: ['matrix-echo', exactly(service)],
  srv: [`_tcp._tcp.matrix-echo.${namespace}.svc.cluster.local`, /^9001$/],
  read: ['/srv/mirrord-matrix/text', /^remote text$/],
  missing: ['/srv/mirrord-matrix/none', /no such file|ENOENT|NoSuchFile/i],
  stat: ['/srv/mirrord-matrix/text', /^12 640$/],
  list: ['/srv/mirrord-matrix/list', /^a,b,c$/],
  write: [`/srv/mirrord-matrix/written/${name}`, exactly(`written by ${name}`)],
  child: ['/srv/mirrord-matrix/text', /^remote text$/],
})

describe.each(wanted)('[OUT-25] as $who', ({below, uid, barred}) => {
  for (const {language, words, without, reset} of list) {
    const missing = 'missing' in words ? words.missing : undefined
    const title = missing ? `${language} (left out: needs ${missing})` : language
    test.skipIf(missing !== undefined || barred)(title, async () => {
      const name = language.replaceAll(/\W+/g, '-')
      const serves = !without.includes('serve')
      const steps = Object.entries(expectations(surroundings, name, reset))
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
        // A port-forward enters the pod from its own loopback.
        expect(body.endsWith(' 127.0.0.1')).toBe(!address.direct)
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
