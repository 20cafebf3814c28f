import {spawn, type ChildProcess} from 'node:child_process'
import {once} from 'node:events'
import {mkdirSync, writeFileSync} from 'node:fs'
import path from 'node:path'
import {afterAll, afterEach, beforeAll, beforeEach, expect, test} from 'vitest'
import {currentJob} from '../../src/session/current-job.ts'
import type {SessionStatus} from '../../src/session/status.ts'
import {withOwnMounts} from '../integration/own-mounts.ts'
import {expectExit, Harness} from './support/harness.ts'
import type {Job} from './support/mirrord.ts'
import {processes} from './support/processes.ts'
import {python} from './support/programs.ts'

// Many sessions of one job, many jobs of one machine: no session lost, none of another job touched.
let harness: Harness
let jobs: Job[]
let file: string
let containers: ChildProcess[]

beforeAll(async () => {
  harness = await Harness.open()
})
afterAll(() => harness.close())
beforeEach(() => {
  const first = harness.job()
  jobs = [first]
  containers = []
  file = path.join(first.folder, 'quiet.json')
  // Without incoming traffic there may be many on one pod.
  writeFileSync(file, JSON.stringify({target: 'deployment/info', feature: {network: {incoming: 'off'}}}))
})
afterEach(async () => {
  for (const job of jobs.toReversed()) await harness.finish(job)
  for (const child of containers) child.kill('SIGKILL')
})

/** Another job of the same runner: the same folders. */
function another(runnerTemp = jobs[0]!.env.RUNNER_TEMP!): Job {
  const job = harness.job({RUNNER_TEMP: runnerTemp, TMPDIR: jobs[0]!.env.TMPDIR!})
  jobs.push(job)
  return job
}

const root = process.getuid?.() === 0
const start = (job: Job, ...program: string[]) => job.start('-f', file, '--', ...program)
const sleeps = (job: Job) => job.processes().filter(({command}) => command.startsWith('sleep ')).length

async function statuses(job: Job): Promise<SessionStatus[]> {
  return JSON.parse((await job.run(['ci', 'status', '--json'])).stdout) as SessionStatus[]
}

const many = process.env.MIRRORD_LONG ? 20 : 8

test(`[LIF-07, D2, D3, D4] ${many} starts at once are all recorded, and one stop ends them all`, async () => {
  const [job] = jobs as [Job]
  const started = await Promise.all(Array.from({length: many}, () => start(job, 'sleep', '300')))
  for (const result of started) expectExit(result, 'success')
  const all = await statuses(job)
  expect(all.map(({state}) => state)).toEqual(Array.from({length: many}, () => 'ready'))
  expect(new Set(all.map(({name}) => name)).size).toBe(many)
  expect(sleeps(job)).toBe(many)
  const stopped = await job.stop()
  expectExit(stopped, 'success')
  expect(stopped.stdout.match(/^Stopped /gm)).toHaveLength(many)
  expect(job.processes()).toEqual([])
  await harness.nothingLeft(job)
})

// Its --all-jobs sees only these four: it runs where nothing else is in the folder that all of root's jobs have in common.
test.runIf(root)('[D1] of four jobs side by side each stops its own, and --all-jobs what is left', async () => {
  const folder = path.join(jobs[0]!.folder, 'runner-2')
  mkdirSync(folder)
  const four = [jobs[0]!, another(), another(), another(folder)]
  const [first, second, third, fourth] = four as [Job, Job, Job, Job]
  for (const result of await Promise.all(four.map((job) => start(job, 'sleep', '300')))) expectExit(result, 'success')
  for (const job of four) expect(await statuses(job)).toMatchObject([{name: 'sleep', state: 'ready'}])

  for (const result of await Promise.all([first.stop(), second.stop()])) {
    expectExit(result, 'success')
    expect(result.stdout.match(/^Stopped /gm)).toHaveLength(1)
  }
  expect(four.map(sleeps)).toEqual([0, 0, 1, 1])
  expect((await first.stop()).stdout).toContain('Nothing to stop')
  expect(four.map(sleeps)).toEqual([0, 0, 1, 1])

  const alone = `mkdir keep && cp -a /tmp/mirrord-0/${currentJob(fourth.env).job} keep && mount -t tmpfs -o mode=700 none /tmp/mirrord-0
    cp -a keep/* /tmp/mirrord-0 && exec "$@"`
  const all = await first.run(['ci', 'stop', '--all-jobs'], {below: [...withOwnMounts, 'sh', '-ec', alone, 'sh']})
  expectExit(all, 'success')
  expect(all.stdout.match(/^Stopped /gm)).toHaveLength(2)
  for (const job of [third, fourth]) expect((await job.stop()).stdout).toContain('Nothing to stop')
  for (const job of four) await harness.nothingLeft(job)
})

/** A container: processes, mounts and host name of its own, /tmp and the network in common. Gives the words to run in it. */
async function container(name: string): Promise<string[]> {
  const own = root ? [] : ['--user', '--map-root-user']
  // Its init has the kernel collect its orphans (sigaction(2), SIGCHLD), and ends with us.
  const init = `import os, signal, socket
signal.signal(signal.SIGCHLD, signal.SIG_IGN); socket.sethostname('${name}')
print('here', flush=True); os.read(0, 1)`
  const child = spawn(
    'unshare',
    [
      ...own,
      '--pid',
      '--fork',
      '--mount-proc',
      '--propagation',
      'unchanged',
      '--uts',
      '--kill-child',
      python,
      '-c',
      init,
    ],
    {
      stdio: ['pipe', 'pipe', 'inherit'],
    },
  )
  containers.push(child)
  await once(child.stdout, 'data')
  const {pid} = processes().find(({parent}) => parent === child.pid)!
  // Its root too: that of its mount namespace is another one where the tests run in a chroot. The working directory is of
  // the mounts outside, and has to be found anew.
  const enter = ['nsenter', '-t', `${pid}`, ...(own.length > 0 ? ['-U', '--preserve-credentials'] : [])]
  return [...enter, '-p', '-m', '-u', '-r', 'sh', '-c', 'cd "$0" && exec "$@"', jobs[0]!.folder]
}

test('[D1, D6] of two containers that share /tmp neither touches the sessions of the other', async () => {
  const [first, second] = [jobs[0]!, another()]
  const [one, two] = [await container('one'), await container('two')]
  const words = ['ci', 'start', '-f', file, '--', 'sleep', '300']
  expectExit(await first.run(words, {below: one}), 'success')
  expectExit(await second.run(words, {below: two}), 'success')
  // In both, numbers are small and the same.
  const [{pids}] = (await statuses(first)) as [SessionStatus]
  expect(pids.session).toBeLessThan(1000)
  // A stop looks at what other jobs left, too.
  const stopped = await first.run(['ci', 'stop'], {below: one})
  expectExit(stopped, 'success')
  expect(stopped.stdout.match(/^Stopped /gm)).toHaveLength(1)
  expect([sleeps(first), sleeps(second)]).toEqual([0, 1])
  const nothing = await first.run(['ci', 'stop'], {below: two})
  expect(nothing.stdout).toContain('Nothing to stop')
  expect(sleeps(second)).toBe(1)
  expectExit(await second.run(['ci', 'stop'], {below: two}), 'success')
  for (const job of [first, second]) await harness.nothingLeft(job)
})

test('[D6] a step in another container of the same job stops the session where it runs', async () => {
  const [job] = jobs as [Job]
  const [one, two] = [await container('one'), await container('two')]
  expectExit(await job.run(['ci', 'start', '-f', file, '--', 'sleep', '300'], {below: one}), 'success')
  const stopped = await job.run(['ci', 'stop'], {below: two})
  expectExit(stopped, 'success')
  expect(stopped.stdout).toMatch(/^Stopped sleep /m)
  expect(sleeps(job)).toBe(0)
  await harness.nothingLeft(job)
})
