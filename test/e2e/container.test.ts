import {readdirSync, readFileSync, writeFileSync} from 'node:fs'
import path from 'node:path'
import {afterAll, beforeAll, beforeEach, describe, expect, test} from 'vitest'
import type {ServiceAddress} from './support/cluster.ts'
import {harness, job} from './support/each-test.ts'
import {IMAGE, openContainers, openRootless, type Containers} from './support/containers.ts'
import {filesManifests, PodFiles, remoteFolder as remote} from './support/files.ts'
import {expectExit, expectFailure} from './support/harness.ts'
import {until} from './support/until.ts'
import {giveTo, NOBODY} from './support/users.ts'

// Containers of Podman, rootful, with its default seccomp profile; or of the Docker at MIRRORD_E2E_DOCKER_HOST.
const runtime = process.env.MIRRORD_E2E_DOCKER_HOST ? 'docker' : 'podman'
const target = ['--target', 'deployment/echo']

/** Opened for the tests of a block; those are skipped, with the reason, where this machine cannot run containers. */
function opened(open: () => Containers | {missing: string}, use: (containers: Containers) => void): void {
  let result: ReturnType<typeof open>
  beforeAll(() => {
    result = open()
    if (!('missing' in result)) use(result)
  })
  beforeEach(({skip}) => {
    if ('missing' in result) skip(result.missing)
  })
  afterAll(() => {
    if (!('missing' in result)) result.dispose()
  })
}

describe('ci container', () => {
  let containers: Containers
  opened(openContainers, (value) => (containers = value))
  beforeEach(() => {
    Object.assign(job.env, containers.env)
    containers.removeAll() // of a test that failed
  })
  const nothingLeft = async () => {
    expect(containers.all()).toEqual([])
    await harness.nothingLeft(job)
  }

  const start = (...words: string[]) => job.run(['ci', 'container', ...target, ...words])
  const output = (name: string) => readFileSync(path.join(job.outputFolders()[0]!, name), 'utf8')

  const file = (config: object) => {
    const name = path.join(job.folder, 'mirrord.json')
    writeFileSync(name, JSON.stringify({target: 'deployment/echo', ...config}))
    return name
  }
  const quiet = {feature: {network: {incoming: 'off'}}}
  const act = (...words: string[]) => [runtime, 'run', '--entrypoint', '/bin/act', IMAGE, ...words]
  const foreground = (config: object, ...words: string[]) =>
    job.run(['ci', 'container', '-f', file({...quiet, ...config}), '--foreground', ...words])

  test('gets traffic, environment, names and connections of the target, and the stop removes it', async () => {
    const result = await start(runtime, 'run', '-d', '-p', '80:8080', '--name', 'web', IMAGE)
    expectExit(result, 'success')
    expect(result.stderr).toContain('-p 80:8080 has no effect')
    expect(result.stdout).toMatch(new RegExp(`^Program: +${runtime} container web \\([\\da-f]{12}\\)$`, 'm'))
    expect(containers.all()).toEqual([expect.stringMatching(/^web Up/)])
    expect(await harness.who()).toMatchObject({who: 'container', fromPod: 'yes'})
    expect(await harness.ask('info')).toMatchObject({who: 'container', answer: 'info of the cluster'})
    expectExit(await job.stop(), 'success')
    expect(containers.all()).toEqual([])
    await harness.nothingLeft(job)
  })

  test.each([
    ['with the rights that Docker’s default profile leaves', ['--security-opt', 'seccomp=PROFILE']],
    ['as a user without rights', ['--user', '1000', '--cap-drop', 'all', '--security-opt', 'no-new-privileges']],
    ['read-only, below an init', ['--read-only', '--init']],
  ])('works %s', async (_name, flags) => {
    expectExit(
      await start(runtime, 'run', ...flags.map((flag) => flag.replace('PROFILE', containers.profile)), IMAGE),
      'success',
    )
    expect(await harness.who()).toMatchObject({who: 'container', fromPod: 'yes'})
    expect(await harness.ask('info')).toMatchObject({who: 'container', answer: 'info of the cluster'})
    expectExit(await job.stop(), 'success')
    await nothingLeft()
  })

  test.each([0, 7, 137])('[D16] the foreground ends with the status %d of its program', async (status) => {
    const result = await foreground({}, ...act('print', 'out', 'exit', String(status)))
    expect(`${result.code} ${result.output}`).toMatch(new RegExp(`^${status} `))
    expect(result.stdout).toBe('out\n')
    await nothingLeft()
  })

  test('[D16] so does mirrord container', async () => {
    const result = await job.run(['container', '-f', file(quiet), ...act('print', 'out', 'exit', '5')])
    expect([result.code, result.stdout]).toEqual([5, 'out\n'])
    await nothingLeft()
  })

  test('[D16] the foreground writes to ci.output_dir too, and a signal reaches the program', async () => {
    const directory = path.join(job.folder, 'output')
    const config = file({...quiet, ci: {output_dir: directory}})
    const words = act('print', 'begun', 'pause')
    const running = job.spawn(['ci', 'container', '-f', config, '--foreground', ...words])
    await until('the program', () => running.output().includes('begun'))
    running.child.kill('SIGTERM')
    expect((await running.result).code).toBe(143)
    const [folder] = readdirSync(directory)
    expect(readFileSync(path.join(directory, folder!, 'stdout'), 'utf8')).toBe('begun\n')
    await nothingLeft()
  })

  test('[D17] a client of the runtime that is killed takes its container along', async () => {
    expectExit(await start(runtime, 'run', IMAGE), 'success')
    const client = job.processes().find(({command}) => command.includes(`/${runtime} run `))
    process.kill(client!.pid, 'SIGKILL')
    await harness.deployedAgain()
    await until('the end of the container', () => containers.all().length === 0)
    expectFailure(await job.stop(), 'programCrashed', 'TRAP_LOST', 'SIGKILL')
    await nothingLeft()
  })

  test('[D17] a session that is killed takes its container along', async () => {
    expectExit(await start(runtime, 'run', IMAGE), 'success')
    process.kill(job.session().pid, 'SIGKILL')
    await until('the end of the container', () => containers.all().length === 0)
    expectFailure(await job.stop(), 'programCrashed', 'SESSION_LOST')
    await nothingLeft()
  })

  test('[D17] the stop removes the container of a session that died, which is still there', async () => {
    expectExit(await start(runtime, 'run', '--rm=false', IMAGE), 'success')
    // As one whose runtime did not come to it: the flag of ours that removes it is the last, so a pause keeps it.
    const [name] = containers.all()[0]!.split(' ')
    containers.run('create', '--name', `left-${name}`, `--label=${label(containers, name!)}`, IMAGE)
    process.kill(job.session().pid, 'SIGKILL')
    await until('the end of the container', () => containers.all().length === 1)
    expectFailure(await job.stop(), 'programCrashed', 'SESSION_LOST')
    expect(containers.all()).toEqual([])
    await harness.nothingLeft(job)
  })

  test('[D17] a container that is removed by others is a program that ended', async () => {
    expectExit(await start(runtime, 'run', '--name', 'gone', IMAGE), 'success')
    containers.run('kill', 'gone')
    await harness.deployedAgain()
    expectFailure(await job.stop(), 'programCrashed', 'TRAP_LOST')
    await nothingLeft()
  })

  test('[D18] the log goes on after the start has returned, to its end', async () => {
    const config = file(quiet)
    const words = act('print', 'first', 'read', '/tmp/go', 'print', 'last', 'pause')
    expectExit(await job.run(['ci', 'container', '-f', config, '--ready-log', 'first', ...words]), 'success')
    expect(output('stdout')).toBe('first\n')
    const [name] = containers.all()[0]!.split(' ')
    containers.run('exec', name!, '/bin/act', 'write', '/tmp/go', '')
    await until('the last line', () => output('stdout') === 'first\nlast\n')
    expectExit(await job.stop(), 'success')
    await nothingLeft()
  })

  test('the environment is the image’s, then the target’s, then what the run line says', async () => {
    const env = {unset: ['FROM_IMAGE'], override: {OVERRIDE: 'of the file', TWO: 'lines\nof text'}}
    const names = ['FROM_POD', 'FROM_IMAGE', 'OVERRIDE', 'TWO', 'OWN', 'OF_JOB']
    const show = [...names.flatMap((name) => ['env', name]), 'exit', '0']
    const flags = ['-eFROM_POD=mine', '-e', 'OWN=own', '--entrypoint', '/bin/act']
    const words = ['ci', 'container', '-f', file({feature: {env, network: {incoming: 'off'}}}), '--foreground']
    const result = await job.run([...words, runtime, 'run', ...flags, IMAGE, ...show], {env: {OF_JOB: 'secret'}})
    expectExit(result, 'success')
    expect(result.stdout).toBe(
      'FROM_POD=mine\nFROM_IMAGE=(none)\nOVERRIDE=of the file\nTWO=lines\nof text\nOWN=own\nOF_JOB=(none)\n',
    )
  })

  test('no variable of the target is in the command line or in what the runtime keeps', async () => {
    const env = {override: {TOKEN: 'very-secret'}}
    const config = file({feature: {env, network: {incoming: 'off'}}})
    const words = ['ci', 'container', '-f', config, '--ready-log', 'very-secret', ...act('env', 'TOKEN', 'pause')]
    expectExit(await job.run(words), 'success')
    const [name] = containers.all()[0]!.split(' ')
    expect(containers.run('inspect', name!)).not.toContain('very-secret')
    expect(
      job
        .processes()
        .map(({command}) => command)
        .join('\n'),
    ).not.toContain('very-secret')
    expectExit(await job.stop(), 'success')
  })

  test('user, directory and relative program are the container’s', async () => {
    const flags = ['--user', '1000', '--workdir', '/app', '--entrypoint', '../bin/act']
    const result = await foreground({}, runtime, 'run', ...flags, IMAGE, 'id', 'cwd', 'cat', 'note', 'exit', '0')
    expect(result.stdout).toMatch(/^1000 \d+\n\/app\nof the image\n$/)
  })

  test('what the run line mounts is there, at whatever path', async () => {
    writeFileSync(path.join(job.folder, 'mounted'), 'of the job\n')
    const flags = ['-v', `${job.folder}:/data:ro`, '--mount', `type=bind,source=${job.folder},target=/srv/x`]
    const words = ['cat', '/data/mounted', 'cat', '/srv/x/mounted', 'exit', '0']
    const result = await foreground({}, runtime, 'run', ...flags, '--entrypoint', '/bin/act', IMAGE, ...words)
    expectExit(result, 'success')
    expect(result.stdout).toBe('of the job\nof the job\n')
    await nothingLeft()
  })

  describe('files and unix sockets of the target', () => {
    const deployment = 'container-files'
    let address: ServiceAddress
    let pod: PodFiles
    beforeAll(async () => {
      const {cluster, namespace} = harness
      await cluster.create(namespace, filesManifests(deployment))
      await cluster.waitAvailable(namespace, deployment)
      address = await cluster.serviceUrl(namespace, deployment)
      pod = new PodFiles(address.url)
    })
    afterAll(() => address?.close())

    test.each([
      ['root', []],
      ['another user', ['--user', '1000']],
    ])('are there for %s', async (_name, flags) => {
      await pod.make(`${remote}/secret`, 'of the target\n', {mode: '600'})
      await pod.make(`${remote}/written`, '')
      const feature = {
        fs: {mode: 'write', read_write: [`^${remote}`]},
        network: {incoming: 'off', outgoing: {unix_streams: [`^${remote}`]}},
      }
      const config = {target: `deployment/${deployment}`, feature}
      const words = ['cat', `${remote}/secret`, 'write', `${remote}/written`, 'by a container\n']
      const more = ['cat', `${remote}/written`, 'cat', 'note', 'unix', `${remote}/socket`, 'exit', '0']
      const run = [runtime, 'run', ...flags, '--entrypoint', '/bin/act', IMAGE, ...words, ...more]
      const result = await foreground(config, ...run)
      expect(result.stderr).not.toContain('denied')
      expect(result.stdout).toBe('of the target\nby a container\nof the image\npod: hello\n')
      expect((await pod.see(`${remote}/written`))?.text).toBe('by a container\n')
      await nothingLeft()
    })
  })

  test('a program that dies before it is ready fails the start with its last words', async () => {
    const result = await start(runtime, 'run', '--entrypoint', '/bin/act', IMAGE, 'print', 'last words', 'exit', '9')
    expectFailure(result, 'programDied', 'PROGRAM_DIED', 'last words', /\b9\b/)
    await nothingLeft()
  })

  test.each([
    ['an image that is not here', ['--pull', 'never', 'localhost/none:1'], 'programNotFound', 'CONTAINER_IMAGE'],
    ['a program that is not in it', ['--entrypoint', 'none', IMAGE], 'programNotFound', 'PROGRAM_NOT_FOUND'],
    ['a run line that the runtime refuses', ['--memory', 'much', IMAGE], 'programDied', 'CONTAINER_NOT_STARTED'],
    ['another network', ['--network', 'none', IMAGE], 'usage', 'CONTAINER_FLAG'],
    ['a terminal', ['-it', IMAGE], 'usage', 'CONTAINER_FLAG'],
  ] as const)('%s fails the start', async (_name, words, exit, code) => {
    expectFailure(await start(runtime, 'run', ...words), exit, code)
    await nothingLeft()
  })

  test('[LIF-13] a program that is not in the image is named', async () => {
    const result = await start(runtime, 'run', '--entrypoint', 'none', '--name', 'given', IMAGE)
    expectFailure(result, 'programNotFound', 'PROGRAM_NOT_FOUND', 'The program of the container "given" was not found.')
    expect(result.stderr).toContain('none cannot be run: ENOENT')
    await nothingLeft()
  })

  test('a runtime that is not installed, or unknown, fails the start', async () => {
    expectFailure(await start('nerdctl', 'run', IMAGE), 'programNotFound', 'PROGRAM_NOT_FOUND')
    expectFailure(await start('lxc', 'launch', IMAGE), 'usage', 'CONTAINER_RUNTIME')
  })
})

describe('ci container without root', () => {
  let containers: Containers
  opened(openRootless, (value) => (containers = value))

  test('[D17] gets traffic, environment, names and connections of the target, and the stop removes it', async () => {
    const {below} = containers
    giveTo(job, NOBODY)
    const {env} = containers
    expectExit(await job.run(['ci', 'container', ...target, 'podman', 'run', IMAGE], {env, below}), 'success')
    expect(await harness.who()).toMatchObject({who: 'container', fromPod: 'yes'})
    expect(await harness.ask('info')).toMatchObject({who: 'container', answer: 'info of the cluster'})
    expect(containers.all()).toHaveLength(1)
    expectExit(await job.run(['ci', 'stop'], {env, below}), 'success')
    expect(containers.all()).toEqual([])
    await harness.nothingLeft(job)
  })
})

/** The label that a session gave its container. */
const label = ({run}: Containers, name: string) =>
  `mirrord.session=${run('inspect', '--format', '{{index .Config.Labels "mirrord.session"}}', name).trim()}`
