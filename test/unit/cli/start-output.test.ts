import {PassThrough} from 'node:stream'
import type {WriteStream} from 'node:tty'
import {stripVTControlCharacters} from 'node:util'
import {afterEach, expect, it} from 'vitest'
import {startObserver} from '../../../src/cli/start-output.ts'

// The spinner looks at the process's own variables too; a test under CI is a terminal like any other.
const {CI} = process.env
afterEach(() => {
  if (CI === undefined) delete process.env.CI
  else process.env.CI = CI
})

function shown(options: {terminal: boolean; env?: Record<string, string>; foreground?: boolean}) {
  delete process.env.CI
  const sink = new PassThrough()
  const nothing = () => true
  const stream = Object.assign(sink, {
    isTTY: options.terminal,
    columns: 80,
    cursorTo: nothing,
    clearLine: nothing,
    moveCursor: nothing,
  }) as unknown as WriteStream
  const observer = startObserver({
    stream,
    env: {TERM: 'xterm', NO_COLOR: '1', ...options.env},
    foreground: options.foreground ?? false,
  })
  return {observer, text: () => stripVTControlCharacters(String(sink.read() ?? ''))}
}

const target = {type: 'phase', phase: 'target', text: 'Target found', ms: 1234} as const
const program = {type: 'phase', phase: 'program', text: 'Program runs', ms: 10} as const

it('[D26] shows one line a phase with its duration, and nothing that moves, where no terminal is', () => {
  const {observer, text} = shown({terminal: false})
  observer.waiting('Looking for the target')
  observer.phase(target)
  observer.warning('mind this')
  observer.close()
  expect(text()).toBe('✓ Target found (1.23 s)\n! mind this\n')
})

it('says on a terminal what is waited for, until the end', () => {
  const {observer, text} = shown({terminal: true})
  observer.waiting('Starting the agent: pulling the image')
  expect(text()).toContain('Starting the agent: pulling the image')
  observer.phase(target)
  expect(text()).toContain('✓ Target found (1.23 s)\n')
  observer.close()
  text()
  observer.waiting('late')
  expect(text()).toBe('')
})

it.each([
  ['in a CI job that has a terminal', {CI: 'true'}],
  ['on a terminal that cannot move its cursor', {TERM: 'dumb'}],
])('has no spinner %s', (_, env) => {
  const {observer, text} = shown({terminal: true, env})
  observer.waiting('Looking for the target')
  observer.phase(target)
  observer.close()
  expect(text()).toBe('✓ Target found (1.23 s)\n')
})

it('leaves the terminal to a program in the foreground', () => {
  const {observer, text} = shown({terminal: true, foreground: true})
  observer.waiting('Starting app')
  observer.phase(program)
  text()
  observer.waiting('Waiting for app to be ready')
  expect(text()).toBe('')
  observer.close()
})
