import {afterAll, describe, expect, inject, test} from 'vitest'
import type {ExitCodeName} from '../../src/errors/exit-codes.ts'
import {harness, job} from './support/each-test.ts'
import {expectExit} from './support/harness.ts'
import {programs} from './support/programs.ts'
import {until} from './support/until.ts'

const built = programs()

afterAll(() => built.dispose())

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
  /** Behaviours and exit code that it shows. */
  shows: string
  kill: () => void | Promise<unknown>
  exit: ExitCodeName
}

const onAnyCluster: Killing[] = [
  {
    victim: 'the session',
    shows: '[CLN-07, LIF-25] [EXIT-74]',
    kill: () => kill([job.session().pid]),
    exit: 'programCrashed',
  },
  {victim: 'the trap', shows: '[EXIT-74]', kill: () => kill([job.trap().pid]), exit: 'programCrashed'},
  {
    victim: 'the program',
    shows: '[CLN-06] [EXIT-74]',
    kill: () => kill([job.program('server.mjs').pid]),
    exit: 'programCrashed',
  },
  {
    victim: "the agent's pod, by its deletion,",
    shows: '[LIF-24] [EXIT-53]',
    kill: () => harness.cluster.deleteAgents(harness.namespace),
    exit: 'agentLost',
  },
]
const whereAgentsAreLocal: Killing[] = [
  {victim: "the agent's child", shows: '[EXIT-53]', kill: () => kill([agent().child]), exit: 'agentLost'},
  {victim: 'the whole agent', shows: '[EXIT-53]', kill: () => kill(Object.values(agent())), exit: 'agentLost'},
]

/** SIGKILL for the first, and for those of the others that do not end together with it: a guard takes its child along. */
function kill([first, ...others]: number[]): void {
  process.kill(first!, 'SIGKILL')
  for (const pid of others) {
    try {
      process.kill(pid, 'SIGKILL')
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
    }
  }
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

describe('SIGKILL of', () => {
  test.each(onAnyCluster)('$shows $victim ends the session, and the deployed program answers again', check)
  // An agent on another machine cannot be killed from here.
  test.skipIf(inject('clusterKind') === 'remote').each(whereAgentsAreLocal)(
    '$shows $victim ends the session, and the deployed program answers again',
    check,
  )
})

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
