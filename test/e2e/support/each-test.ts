import {afterAll, afterEach, beforeAll, beforeEach} from 'vitest'
import {setFaults} from './faults.ts'
import {Harness} from './harness.ts'
import type {Job} from './mirrord.ts'

/** The harness of the file that imports this. */
export let harness: Harness
/** The job of the test that runs; each has its own, of which nothing is left afterwards. */
export let job: Job

beforeAll(async () => {
  harness = await Harness.open()
})
afterAll(async () => {
  harness.close()
  if (!process.env.MIRRORD_FAULT) return
  const hits = (await setFaults(harness.cluster)).reduce((sum, fault) => sum + fault.hits, 0)
  if (hits === 0) throw new Error('No fault of MIRRORD_FAULT has hit anything.')
})
beforeEach(() => {
  job = harness.job()
})
afterEach(() => harness.finish(job))
