import {randomBytes} from 'node:crypto'
import {writeFileSync} from 'node:fs'
import path from 'node:path'
import {afterAll, beforeAll, describe, expect, inject, test} from 'vitest'
import {harness, job} from './support/each-test.ts'
import {expectExit, expectFailure} from './support/harness.ts'
import {changedKubeconfig} from './support/kubeconfig.ts'
import {Profiles} from './support/profiles.ts'

const node = path.join(import.meta.dirname, '../../node_modules/.bin/node')
const suffix = randomBytes(3).toString('hex')
const sandbox = inject('clusterKind') === 'sandbox'

const write = (name: string, text: string) => {
  const file = path.join(job.folder, name)
  writeFileSync(file, text)
  return file
}

/** The file of the job: a profile and whatever else. */
const config = (profile: string, rest: object = {}) => [
  '-f',
  write('mirrord.json', JSON.stringify({target: 'deployment/echo', profile, ...rest})),
]
const adjustments = (...changes: string[]) => ({featureAdjustments: changes.map((change) => ({change}))})

/** Answers `{"who":"local"}`; GET /ask/HOST says whether its name resolves. Port 0 is a free one, for a program that steals none. */
const server = (port: number) => [
  node,
  '-e',
  `require('http').createServer((request, response) => {
     if (!request.url.startsWith('/ask/')) return response.end('{"who":"local"}')
     require('dns').lookup(request.url.slice(5), (error, address) =>
       response.end(JSON.stringify({who: 'local', error: error?.code, address})))
   }).listen(${port})`,
]

// Before they are installed: where the cluster is not only ours, somebody else may have done that.
test.skipIf(!sandbox)('[EXIT-31] a profile in a cluster without profiles', async () => {
  const result = await job.start(...config('quiet'), '--', 'true')
  const missing = 'mirrordclusterprofiles.profiles.mirrord.metalbear.co is not installed'
  expectFailure(result, 'configNotFound', 'PROFILES_NOT_INSTALLED', missing, 'docs/profiles.md')
})

describe('profiles', () => {
  const quiet = `quiet-${suffix}`
  const names = `names-${suffix}`
  const newer = `newer-${suffix}`
  let profiles: Profiles
  beforeAll(async () => {
    profiles = new Profiles(harness.cluster)
    await profiles.install()
    await profiles.create(quiet, adjustments('incoming-steal', 'incoming-off'))
    await profiles.create(names, adjustments('dns-off'), harness.namespace)
    await profiles.create(newer, {...adjustments('incoming-of', 'fs-local'), more: true})
  })
  afterAll(() => profiles?.close())

  test('a profile of the cluster is over the file and the flags, in its order', async () => {
    const file = config(quiet, {feature: {network: {incoming: 'steal'}}})
    const result = await job.start(...file, '--steal', '--ready', 'listening', '--', ...server(0))
    expectExit(result, 'success')
    expect(result.stderr).toContain(`Profile ${quiet}: incoming-steal, incoming-off`)
    expect(result.stdout).toContain('Incoming: off')
    expect((await harness.who()).who).toBe('deployed')
    expectExit(await job.stop(), 'success')
    await harness.nothingLeft(job)
  })

  test('a profile of a namespace brings the namespace of the target along', async () => {
    const kubeconfig = path.join(job.folder, 'kubeconfig')
    harness.cluster.writeKubeconfig(kubeconfig, 'default')
    const profile = `${harness.namespace}/${names}`
    const result = await job.run(['ci', 'start', ...config(profile), '--', ...server(8080)], {
      env: {KUBECONFIG: kubeconfig},
    })
    expectExit(result, 'success')
    expect(result.stderr).toContain(`in namespace ${harness.namespace}`)
    // The names are resolved here, where there is none of the cluster.
    expect(await harness.ask('info')).toEqual({
      who: 'local',
      error: expect.stringMatching(/ENOTFOUND|EAI_AGAIN/) as string,
    })
    expectExit(await job.stop(), 'success')
    await harness.nothingLeft(job)
  })

  test('exec takes the mode of the profile, before it says that its own cannot be had', async () => {
    const result = await job.run(['exec', ...config(quiet), '--', 'sh', '-c', 'exit 7'])
    expect([result.code, result.output]).toEqual([7, expect.stringContaining(`Profile ${quiet}: `)])
    await harness.nothingLeft(job)
  })

  test('[EXIT-30] a profile of another namespace than the target', async () => {
    const result = await job.start(...config(`${harness.namespace}/${names}`), '-n', 'default', '--', 'true')
    expectFailure(
      result,
      'configInvalid',
      'CONFIG_INVALID',
      'in the namespace that it names',
      'flag --target-namespace',
    )
  })

  test('[EXIT-30] a profile with what this version does not know, all of it', async () => {
    const result = await job.start(...config(newer), '--', 'true')
    const meant = 'spec.featureAdjustments[0].change: "incoming-of" is not known here; did you mean "incoming-off"?'
    const says = [
      'spec.more: is not known here',
      meant,
      '"fs-local" is not known here',
      'kubectl edit',
      'newer mirrord',
    ]
    expectFailure(result, 'configInvalid', 'PROFILE_INVALID', ...says)
    await harness.nothingLeft(job)
  })

  test('[EXIT-31] a profile that does not exist, in the cluster or in a namespace', async () => {
    const near = (name: string) => `${name.slice(0, -1)}x`
    for (const [wrong, meant] of [
      [near(quiet), quiet],
      [`${harness.namespace}/${near(names)}`, `${harness.namespace}/${names}`],
    ] as const) {
      const result = await job.start(...config(wrong), '--', 'true')
      expectFailure(result, 'configNotFound', 'PROFILE_NOT_FOUND', `"${meant}"`, 'kubectl get mirrord')
    }
  })

  test('[EXIT-43] a profile of a namespace that does not exist', async () => {
    const result = await job.start(...config(`no-such-namespace/${names}`), '--', 'true')
    expectFailure(result, 'targetNotFound', 'NAMESPACE_NOT_FOUND', 'no-such-namespace')
  })

  // Other clusters have no users whom the tests may take rights from.
  test.skipIf(!sandbox)('[EXIT-42] a profile that may not be read', async () => {
    const env = {KUBECONFIG: write('kubeconfig', changedKubeconfig(harness, {token: 'restricted'}))}
    const result = await job.run(['ci', 'start', ...config(quiet), '--', 'true'], {env})
    expectFailure(result, 'forbidden', 'FORBIDDEN', `may not get mirrordclusterprofiles`, 'Grant the verb "get"')
  })
})
