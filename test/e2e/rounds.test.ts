import {afterAll, expect, test} from 'vitest'
import {harness, job} from './support/each-test.ts'
import {expectExit} from './support/harness.ts'
import {programs} from './support/programs.ts'

const built = programs()

afterAll(() => built.dispose())

// The whole number on a real cluster and in the long run, a slice of it in `npm test`.
const rounds = process.env.MIRRORD_LONG || process.env.MIRRORD_E2E_KUBECONFIG ? 20 : 5

test(`${rounds} rounds of start, request and stop leave nothing`, {timeout: rounds * 30_000}, async () => {
  for (let round = 0; round < rounds; round++) {
    const {words} = built.all[round % built.all.length]!
    expectExit(await job.start('--target', 'deployment/echo', '--', ...words(8080, `round ${round}`)), 'success')
    expect((await harness.who()).who).toBe(`round ${round}`)
    expectExit(await job.stop(), 'success')
    expect((await harness.who()).who).toBe('deployed')
  }
  await harness.nothingLeft(job)
  expect(job.outputFolders()).toHaveLength(rounds)
})
