import {afterAll, describe, expect, test} from 'vitest'
import {harness, job} from './support/each-test.ts'
import {expectExit} from './support/harness.ts'
import {programs} from './support/programs.ts'

const built = programs()

afterAll(() => built.dispose())

describe.each(built.all)('a program in $language', ({words}) => {
  test('[ENV-01, INC-03, OUT-17, DNS-04, CLN-09] answers in the place of the deployed one, with its environment and network, until the stop', async () => {
    const deployed = await harness.who()
    expect(deployed.who).toBe('deployed')

    const started = await job.start('--target', 'deployment/echo', '--', ...words(8080, 'local'))
    expectExit(started, 'success')
    expect(started.stdout).toContain('steal, all connections to port 8080')

    const body = 'x'.repeat(100_000)
    const local = await harness.who({body})
    expect(local).toMatchObject({who: 'local', fromPod: 'yes', bytes: body.length})
    // The program sees the same client as the deployed one saw.
    expect(local.peer).toBe(deployed.peer)

    const {spec} = await harness.cluster.core.readNamespacedService({name: 'info', namespace: harness.namespace})
    const info = {who: 'local', addresses: [spec?.clusterIP], answer: 'info of the cluster'}
    expect(await harness.ask('info')).toEqual(info)
    expect(await harness.ask(`info.${harness.namespace}.svc.cluster.local`)).toEqual(info)
    expect(await harness.ask('no-such-service')).toMatchObject({who: 'local', error: expect.any(String) as string})

    expectExit(await job.stop(), 'success')
    expect((await harness.who()).who).toBe('deployed')
    await harness.nothingLeft(job)
  })
})

describe('curl', () => {
  const curl = (...args: string[]) =>
    job.start('--target', 'deployment/echo', '--foreground', '--', 'curl', '-sS', '--max-time', '20', ...args)

  test.each([
    ['by its short name', () => 'http://info/'],
    ['by its full name', () => `http://info.${harness.namespace}.svc.cluster.local/`],
  ])('reaches a service of the cluster %s', async (_, url) => {
    const result = await curl(url())
    expectExit(result, 'success')
    expect(result.stdout).toContain('info of the cluster')
    await harness.nothingLeft(job)
  })

  test('[DNS-01] sees that a name does not exist, and its own exit status comes back', async () => {
    const result = await curl('http://no-such-service/')
    expect(result.code, result.output).toBe(6)
    expect(result.stderr).toContain('Could not resolve host')
    await harness.nothingLeft(job)
  })

  test('[OUT-27] sees that a port is closed', async () => {
    const result = await curl(`http://${harness.podAddress}:9/`)
    expect(result.code, result.output).toBe(7)
    await harness.nothingLeft(job)
  })
})
