import {afterAll, afterEach, beforeAll, beforeEach} from 'vitest'
import {Harness} from './harness.ts'
import type {Job} from './mirrord.ts'

/** The harness of the file that imports this. */
export let harness: Harness
/** The job of the test that runs; each has its own, of which nothing is left afterwards. */
export let job: Job

beforeAll(async () => {
  harness = await Harness.open()
})
afterAll(() => harness.close())
beforeEach(() => {
  job = harness.job()
})
afterEach(() => harness.finish(job))
