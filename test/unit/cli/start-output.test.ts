import {PassThrough} from 'node:stream'
import type {WriteStream} from 'node:tty'
import {stripVTControlCharacters} from 'node:util'
import {afterEach, describe, expect, it} from 'vitest'
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
    title: 'mirrord ci start',
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
  observer.close(true)
  expect(text()).toBe('✓ Target found (1.23 s)\n! mind this\n')
})

it('says on a terminal what is waited for, until the end', () => {
  const {observer, text} = shown({terminal: true})
  observer.waiting('Starting the agent: pulling the image')
  expect(text()).toContain('Starting the agent: pulling the image')
  observer.phase(target)
  expect(text()).toContain('✓ Target found (1.23 s)\n')
  observer.close(true)
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
  observer.close(true)
  expect(text()).toBe('✓ Target found (1.23 s)\n')
})

it('leaves the terminal to a program in the foreground', () => {
  const {observer, text} = shown({terminal: true, foreground: true})
  observer.waiting('Starting app')
  observer.phase(program)
  text()
  observer.waiting('Waiting for app to be ready')
  expect(text()).toBe('')
  observer.close(true)
})

describe('[LIF-36] MIRRORD_PROGRESS_MODE', () => {
  const start = (env: Record<string, string>, foreground = false) => {
    const {observer, text} = shown({terminal: true, env, foreground})
    observer.waiting('Looking for the target')
    observer.phase(target)
    observer.waiting('Starting the agent')
    observer.waiting('Starting the agent: pulling the image')
    observer.warning('mind this')
    return {observer, text}
  }
  const lines = (text: string) =>
    text
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as Record<string, unknown>)

  const title = 'mirrord ci start'
  const begun = [
    {type: 'NewTask', name: title, parent: null},
    {type: 'NewTask', name: 'Looking for the target', parent: title},
    {type: 'FinishedTask', name: 'Looking for the target', success: true, message: 'Target found'},
    {type: 'NewTask', name: 'Starting the agent', parent: title},
    {type: 'Info', message: 'Starting the agent: pulling the image'},
    {type: 'Warning', message: 'mind this'},
  ]

  it('json: one object a line, as upstream writes them', () => {
    const {observer, text} = start({MIRRORD_PROGRESS_MODE: 'json'})
    observer.phase({type: 'phase', phase: 'agent', text: 'Agent ready', ms: 1})
    observer.close(true)
    expect(lines(text())).toEqual([
      ...begun,
      {type: 'FinishedTask', name: 'Starting the agent', success: true, message: 'Agent ready'},
      {type: 'FinishedTask', name: title, success: true, message: 'Ready!'},
    ])
  })

  it('json: what was under way has failed when the start has', () => {
    const {observer, text} = start({MIRRORD_PROGRESS_MODE: 'json'})
    observer.close(false)
    expect(lines(text())).toEqual([
      ...begun,
      {type: 'FinishedTask', name: 'Starting the agent', success: false, message: null},
    ])
  })

  it('json: a program in the foreground has the stream when it runs', () => {
    const {observer, text} = start({MIRRORD_PROGRESS_MODE: 'json'}, true)
    observer.phase(program)
    observer.waiting('Waiting for app to be ready')
    observer.close(true)
    expect(lines(text()).slice(begun.length)).toEqual([
      {type: 'FinishedTask', name: 'Starting the agent', success: true, message: 'Program runs'},
      {type: 'FinishedTask', name: title, success: true, message: 'Ready!'},
    ])
  })

  it.each(['dumb', 'simple'])('%s: plain lines, on terminals too', (mode) => {
    const {observer, text} = start({MIRRORD_PROGRESS_MODE: mode, FORCE_COLOR: '1'})
    observer.close(true)
    expect(text()).toBe('✓ Target found (1.23 s)\n! mind this\n')
  })

  it('off: nothing', () => {
    const {observer, text} = start({MIRRORD_PROGRESS_MODE: 'off'})
    observer.close(true)
    expect(text()).toBe('')
  })

  it.each(['std', 'standard', ''])('%j: as without it', (mode) => {
    const {observer, text} = start({MIRRORD_PROGRESS_MODE: mode})
    observer.close(true)
    expect(text()).toContain('Looking for the target')
  })

  it('an unknown word: the default, and a warning', () => {
    const {observer, text} = start({MIRRORD_PROGRESS_MODE: 'loud', CI: 'true'})
    observer.close(true)
    expect(text()).toBe(
      '! MIRRORD_PROGRESS_MODE has no mode "loud" (std, standard, dumb, simple, json, off): progress is shown as by default.\n' +
        '✓ Target found (1.23 s)\n! mind this\n',
    )
  })
})
