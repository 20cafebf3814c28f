import {describe, expect, it} from 'vitest'
import {exitCodes} from '../../../src/errors/exit-codes.ts'
import {useCli} from './harness.ts'

const cli = useCli()
/** Runs the command with a redirection of the shell behind it. */
const redirected = (to: string) => ['sh', '-c', `"$@" ${to}`, 'sh']
/** Runs the command with a standard output that nobody reads any more. */
const unread = ['bash', '-c', 'exec 3>&1; { sleep 0.2; "$@"; echo $? >&3; } | true', 'bash']

const shows = [['--version'], ['ci', 'start', '--help'], ['config', 'show'], ['ci', 'status', '--json'], ['ci', 'stop']]

describe('[LIF-12] output that cannot be written', () => {
  it.each(shows.map((words) => [words]))('a full disk is an error of its own: %j', async (words) => {
    const {code, stderr} = await cli.run(words, {below: redirected('>/dev/full')})
    expect(stderr).toMatch(
      /^Error: Standard output cannot be written\.\n {2}Why: .*ENOSPC.*\n {2}Next: .*\n {2}Code: OUTPUT \(exit 81\)\n$/,
    )
    expect(code).toBe(exitCodes.permission.code)
  })

  it('what failed before keeps its exit code', async () => {
    const {code, stderr} = await cli.run(['verify-config', 'none.json'], {below: redirected('>/dev/full')})
    expect([code, stderr]).toEqual([exitCodes.configNotFound.code, expect.stringContaining('CONFIG_NOT_FOUND')])
  })

  it.each(shows.map((words) => [words]))('a reader that is gone is no failure: %j', async (words) => {
    expect(await cli.run(words, {below: unread})).toEqual({code: 0, stdout: '0\n', stderr: ''})
  })

  it('nor does it hide one', async () => {
    const {stdout, stderr} = await cli.run(['verify-config', 'none.json'], {below: unread})
    expect([stdout, stderr]).toEqual([
      `${exitCodes.configNotFound.code}\n`,
      expect.stringContaining('CONFIG_NOT_FOUND'),
    ])
  })

  it.each([
    [['ci', 'start'], 'usage'],
    [['ci', 'api-key'], 'operator'],
    [['ci', 'wait', '--for', 'ready'], 'sessionNotFound'],
    [['ci', 'stop', 'nobody'], 'sessionNotFound'],
  ] as const)('messages that nobody can read leave the exit code: %j', async (words, exit) => {
    for (const to of ['2>/dev/full', '2>&-', '>&- 2>&-'])
      expect((await cli.run([...words], {below: redirected(to)})).code).toBe(exitCodes[exit].code)
  })

  it('is not cut short by the end of the command', async () => {
    const names = Array.from({length: 5000}, (_, index) => `PATTERN_NUMBER_${index}`)
    const slow = ['bash', '-c', '"$@" | { sleep 1; cat; }', 'bash']
    const stdin = JSON.stringify({feature: {env: {include: names}}})
    const {stdout} = await cli.run(['verify-config', '-', '--resolved'], {below: slow, stdin})
    expect(stdout.length).toBeGreaterThan(2 ** 16)
    expect(JSON.parse(stdout)).toMatchObject({type: 'Success'})
  })
})
