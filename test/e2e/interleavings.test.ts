import {afterAll, beforeAll, test} from 'vitest'
import {Harness} from './support/harness.ts'
import {Interleaved} from './support/interleaved.ts'
import {describe, stepsOf} from './support/interleaving.ts'

// MIRRORD_SEED=n repeats that case alone, with MIRRORD_STEPS=k only its first k steps: to find by hand what it takes to fail.
// MIRRORD_CASES=n-m runs those. The steps of a seed are always the same; which of them overlap how is up to the machine.
const {MIRRORD_SEED: seed, MIRRORD_STEPS: prefix, MIRRORD_CASES: range, MIRRORD_LONG: long} = process.env
const [first = 1, last = long ? 200 : 12] = seed ? [Number(seed), Number(seed)] : (range?.split('-').map(Number) ?? [])
const seeds = Array.from({length: last - first + 1}, (_, index) => first + index)

let harness: Harness
beforeAll(async () => {
  harness = await Harness.open()
})
afterAll(() => harness.close())

test.each(seeds)(
  'start, stop and kill at random moments leave the machine and the cluster as before: MIRRORD_SEED=%i',
  {timeout: 300_000},
  async (seed) => {
    const steps = stepsOf(seed).slice(0, prefix ? Number(prefix) : undefined)
    const interleaved = new Interleaved(harness)
    const failed = (problems: string[]) =>
      new Error(
        // The first line is what a summary shows.
        [`MIRRORD_SEED=${seed}: ${problems.join('\n')}`, '', ...steps.map(describe), '', interleaved.transcript()].join(
          '\n',
        ),
      )
    try {
      const problems = await interleaved.run(steps).catch((error: unknown) => [String(error)])
      if (problems.length > 0) throw failed(problems)
    } finally {
      await harness.finish(interleaved.job)
    }
  },
)
