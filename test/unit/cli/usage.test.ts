import {Parser} from '@oclif/core'
import {describe, expect, it} from 'vitest'
import type {MirrordCommand} from '../../../src/cli/command.ts'
import {failureReport} from '../../../src/cli/failure.ts'
import {unknownCommand} from '../../../src/cli/usage.ts'
import CiApiKey from '../../../src/commands/ci/api-key.ts'
import CiStart from '../../../src/commands/ci/start.ts'
import CiStop from '../../../src/commands/ci/stop.ts'
import CiWait from '../../../src/commands/ci/wait.ts'

const commandIDs = ['ci:api-key', 'ci:start', 'ci:stop', 'help', 'update']

describe('a command that does not exist', () => {
  it.each([
    ['ci:strat', ['Did you mean `mirrord ci start`?', 'See what there is: mirrord ci --help']],
    ['ci:apikey', ['Did you mean `mirrord ci api-key`?', 'See what there is: mirrord ci --help']],
    ['stop', ['Did you mean `mirrord ci stop`?', 'See what there is: mirrord --help']],
    ['updat', ['Did you mean `mirrord update`?', 'See what there is: mirrord --help']],
    ['ci:frobnicate', ['See what there is: mirrord ci --help']],
    ['frobnicate', ['See what there is: mirrord --help']],
  ])('%s: names what may have been meant', (id, next) => {
    const report = unknownCommand(id, {commandIDs})
    expect(report).toMatchObject({code: 'UNKNOWN_COMMAND', exit: 'usage', next})
    expect(report.what).toBe(`There is no command \`mirrord ${id.replace(':', ' ')}\`.`)
  })
})

describe('a wrong command line', () => {
  const commands: Record<string, typeof MirrordCommand> = {
    start: CiStart,
    stop: CiStop,
    wait: CiWait,
    'api-key': CiApiKey,
  }
  const refusal = async (words: string[]) => {
    const {flags, args, strict} = commands[words[1]!]!
    const input = {flags, args, strict, '--': true, context: undefined}
    const error: unknown = await Parser.parse(words.slice(2), input).catch((thrown: unknown) => thrown)
    return failureReport(error, words)
  }

  it('names the flag that may have been meant', async () => {
    expect(await refusal(['ci', 'start', '--traget=pod/x', '--', 'node'])).toEqual({
      code: 'USAGE',
      exit: 'usage',
      what: 'Nonexistent flag: --traget=pod/x.',
      why: undefined,
      next: ['Did you mean --target?', 'See what there is: mirrord ci start --help'],
    })
    expect((await refusal(['ci', 'stop', '--frobnicate']))?.next).toEqual(['See what there is: mirrord ci stop --help'])
    expect((await refusal(['ci', 'stop', '-z']))?.next).toEqual(['See what there is: mirrord ci stop --help'])
  })

  it('keeps what the parser says, without its own hint', async () => {
    const extra = await refusal(['ci', 'api-key', 'extra'])
    expect(`${extra?.what} ${extra?.why}`).toContain('extra')
    expect(JSON.stringify(extra)).not.toContain('See more help')
  })

  it.each([
    [['ci', 'start', '--'], 'PROGRAM is missing: the program to run, with its arguments.'],
    [['ci', 'wait'], '--for is missing, and has no default.'],
    [['ci', 'wait', '--for', 'never'], 'Expected --for=never to be one of: ready, exit.'],
    [['ci', 'stop', '--grace', '-1'], '--grace: expected an integer greater than or equal to 0 but received: -1.'],
    [['ci', 'stop', '--grace', 'soon'], '--grace: expected an integer but received: soon.'],
  ])('says in one sentence what is wrong: mirrord %j', async (words, what) => {
    const next = [`See what there is: mirrord ci ${words[1]} --help`]
    expect(await refusal(words)).toEqual({code: 'USAGE', exit: 'usage', what, why: undefined, next})
  })
})
