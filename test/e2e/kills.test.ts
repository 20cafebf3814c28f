import {afterAll, expect, test} from 'vitest'
import type {ExitCodeName} from '../../src/errors/exit-codes.ts'
import {harness, job} from './support/each-test.ts'
import {expectExit} from './support/harness.ts'
import {programs} from './support/programs.ts'
import {until} from './support/until.ts'

const built = programs()

afterAll(() => built.dispose())

const [program] = built.all

interface Killing {
  victim: string
  /** Behaviours and exit code that it shows. */
  shows: string
  kill: () => void | Promise<unknown>
  exit: ExitCodeName
}

const killings: Killing[] = [
  {
    victim: 'the session',
    shows: '[CLN-07, LIF-25] [EXIT-74]',
    kill: () => kill(job.session().pid),
    exit: 'programCrashed',
  },
  {victim: 'the trap', shows: '[EXIT-74]', kill: () => kill(job.trap().pid), exit: 'programCrashed'},
  {
    victim: 'the program',
    shows: '[CLN-06] [EXIT-74]',
    kill: () => kill(job.program('server.mjs').pid),
    exit: 'programCrashed',
  },
]

function kill(pid: number): void {
  process.kill(pid, 'SIGKILL')
}

async function check({kill, exit}: Killing): Promise<void> {
  expectExit(await job.start('--target', 'deployment/echo', '--', ...program!.words(8080, 'local')), 'success')
  expect((await harness.who()).who).toBe('local')

  await kill()

  await until('the end of everything that the job started', () => job.processes().length === 0)
  await harness.deployedAgain()
  expectExit(await job.stop(), exit)
  await harness.nothingLeft(job)
  // What had failed is told once.
  expectExit(await job.stop(), 'success')
}

// What becomes of a session whose agent is killed: recovery.test.ts.
test.each(killings)('SIGKILL of $shows $victim ends the session, and the deployed program answers again', check)

test('[LIF-23, CLN-02] a program that ends by itself ends its session, rules and agent, and fails the stop', async () => {
  expectExit(await job.start('--target', 'deployment/echo', '--', ...program!.words(8080, 'local')), 'success')
  await harness.call('/exit/5').catch(() => undefined)
  await harness.deployedAgain()
  await until('the end of everything that the job started', () => job.processes().length === 0)
  await until('the end of the agent', async () => (await harness.cluster.agents(harness.namespace)).length === 0)
  const stopped = await job.stop()
  expectExit(stopped, 'programCrashed')
  expect(stopped.stderr).toContain('5')
  await harness.nothingLeft(job)
})
