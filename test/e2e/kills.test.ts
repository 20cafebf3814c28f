import {afterAll, afterEach, beforeAll, beforeEach, describe, expect, inject, test} from 'vitest'
import type {ExitCodeName} from '../../src/errors/exit-codes.ts'
import {expectExit, Harness} from './support/harness.ts'
import type {Job} from './support/mirrord.ts'
import {programs} from './support/programs.ts'
import {until} from './support/until.ts'

const built = programs()
let harness: Harness
let job: Job

beforeAll(async () => {
  harness = await Harness.open()
})
afterAll(() => {
  harness.close()
  built.dispose()
})
beforeEach(() => {
  job = harness.job()
})
afterEach(() => harness.finish(job))

const [program] = built.all

/** The agent's guard and the child that it guards, as processes of this machine. */
function agent(): {guard: number; child: number} {
  const found = harness.agentProcesses()
  const guard = found[0]
  const child = found.findLast(({pid}) => !found.some(({parent}) => parent === pid))
  if (!guard || !child || guard.pid === child.pid) {
    throw new Error(
      `No agent with a child: ${JSON.stringify(found.map(({pid, parent, command}) => [pid, parent, command]))}`,
    )
  }
  return {guard: guard.pid, child: child.pid}
}

interface Killing {
  victim: string
  pids: () => number[]
  exit: ExitCodeName
}

const onAnyCluster: Killing[] = [
  {victim: 'the session', pids: () => [job.session().pid], exit: 'programCrashed'},
  {victim: 'the trap', pids: () => [job.trap().pid], exit: 'programCrashed'},
  {victim: 'the program', pids: () => [job.program('server.mjs').pid], exit: 'programCrashed'},
]
const whereAgentsAreLocal: Killing[] = [
  {victim: "the agent's child", pids: () => [agent().child], exit: 'agentLost'},
  {victim: 'the whole agent', pids: () => Object.values(agent()), exit: 'agentLost'},
]

/** For those that may end together with the first one: a guard takes its child along. */
function killIfAlive(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}

async function check({pids, exit}: Killing): Promise<void> {
  expectExit(await job.start('--target', 'deployment/echo', '--', ...program!.words(8080, 'local')), 'success')
  expect((await harness.who()).who).toBe('local')

  const [first, ...others] = pids()
  process.kill(first!, 'SIGKILL')
  for (const pid of others) killIfAlive(pid)

  await until('the end of everything that the job started', () => job.processes().length === 0)
  await harness.deployedAgain()
  expectExit(await job.stop(), exit)
  await harness.nothingLeft(job)
  // What had failed is told once.
  expectExit(await job.stop(), 'success')
}

describe('SIGKILL of', () => {
  test.each(onAnyCluster)(
    '[CLN-06, CLN-07] [EXIT-74] $victim ends the session, and the deployed program answers again',
    check,
  )
  // An agent on another machine cannot be killed from here.
  test.skipIf(inject('clusterKind') === 'remote').each(whereAgentsAreLocal)(
    '[EXIT-53] $victim ends the session, and the deployed program answers again',
    check,
  )
})

test('a program that ends by itself during the run fails the stop and gives the traffic back at once', async () => {
  expectExit(await job.start('--target', 'deployment/echo', '--', ...program!.words(8080, 'local')), 'success')
  await harness.call('/exit/5').catch(() => undefined)
  await harness.deployedAgain()
  const stopped = await job.stop()
  expectExit(stopped, 'programCrashed')
  expect(stopped.stderr).toContain('5')
  await harness.nothingLeft(job)
})
