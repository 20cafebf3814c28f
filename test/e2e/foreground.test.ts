import {createHash} from 'node:crypto'
import {existsSync, readdirSync, readFileSync, statSync, writeFileSync} from 'node:fs'
import path from 'node:path'
import {describe, expect, test} from 'vitest'
import {harness, job} from './support/each-test.ts'
import {expectExit} from './support/harness.ts'
import type {Running, SpawnOptions} from './support/mirrord.ts'
import {node, python} from './support/programs.ts'
import {until} from './support/until.ts'

// The program's status, signals, terminal and streams, as if it ran in the place of `ci start --foreground`.
const target = ['--target', 'deployment/echo']
const foreground = ['ci', 'start', ...target, '--foreground', '--']
const terminal = path.join(import.meta.dirname, 'support/terminal.py')

/** With `ci.output_dir`: the program's streams go to files too. */
function withOutputDirectory(): {args: string[]; read(name: string): Buffer} {
  const output = path.join(job.folder, 'output')
  const file = path.join(job.folder, 'mirrord.json')
  writeFileSync(file, JSON.stringify({target: 'deployment/echo', ci: {output_dir: output}}))
  return {
    args: ['ci', 'start', '-f', file, '--foreground', '--'],
    read: (name) => {
      const [directory, ...more] = readdirSync(output)
      expect(more).toEqual([])
      return readFileSync(path.join(output, directory!, name))
    },
  }
}

const seen = (running: Running, text: string) => until(JSON.stringify(text), () => running.output().includes(text))
const sum = (data: Buffer) => createHash('sha256').update(data).digest('hex')
/** A shell's command line around ours, which is "$@". */
const shell = (script: string): SpawnOptions => ({below: ['sh', '-c', script, 'sh']})

describe.each([
  ['inherited streams', false],
  ['ci.output_dir', true],
])('with %s', (_name, tee) => {
  const start = () => (tee ? withOutputDirectory().args : foreground)

  test.each([
    ['[LIF-03, LIF-04, D14] its own status', 'echo out; echo err >&2; exit 7', 7],
    ['0', 'echo out; echo err >&2', 0],
    ['128 + SIGKILL', 'echo out; echo err >&2; kill -KILL $$', 137],
    ['128 + SIGQUIT', 'ulimit -c 0; echo out; echo err >&2; kill -QUIT $$', 131],
    ['128 + a real-time signal', 'echo out; echo err >&2; kill -40 $$', 168],
  ])('ends with %s', async (_title, script, status) => {
    const running = job.spawn([...start(), 'sh', '-c', script], shell('"$@"; echo "shell: $?"'))
    const result = await running.result
    expect(result.stdout).toBe(`out\nshell: ${status}\n`)
    expect(result.stderr).toContain('err\n')
    await harness.nothingLeft(job)
  })

  test('passes much output on to a slow reader, every byte, and waits for it', async () => {
    const script = `const b = Buffer.alloc(1e6); for (let i = 0; i < 64; i++) { b.fill(i); require('fs').writeSync(1, b) }`
    const result = await job.run(
      [...start(), node, '-e', script],
      shell('"$@" | { head -c 1000000 | sha256sum; sleep 0.5; sha256sum; }'),
    )
    const block = (from: number, to: number) =>
      Buffer.concat(Array.from({length: to - from}, (_, index) => Buffer.alloc(1e6, from + index)))
    expect(result.stdout).toBe(`${sum(block(0, 1))}  -\n${sum(block(1, 64))}  -\n`)
  })

  test('gives the program the SIGPIPE of a reader that goes away', async () => {
    const result = await job.run([...start(), 'yes'], shell('{ "$@"; echo "status $?" >&2; } | head -n 1'))
    expect(result.stdout).toBe('y\n')
    expect(result.stderr).toContain('status 141\n')
    await harness.nothingLeft(job)
  })

  test('keeps what a program wrote before it was killed', async () => {
    const script = `require('fs').writeSync(1, 'x'.repeat(60000) + 'end'); process.kill(process.pid, 'SIGKILL')`
    const result = await job.run([...start(), node, '-e', script])
    expect(result.code).toBe(137)
    expect(result.stdout).toBe(`${'x'.repeat(60000)}end`)
  })
})

test('[LIF-04, D14] writes the same bytes to the files and to its own streams', async () => {
  const {args, read} = withOutputDirectory()
  const script = `for (let i = 0; i < 20000; i++) { console.log('line', i); console.error('error', i) }; process.exitCode = 3`
  const result = await job.run([...args, node, '-e', script])
  expect(result.code).toBe(3)
  const lines = (word: string) => Array.from({length: 20_000}, (_, index) => `${word} ${index}\n`).join('')
  expect(result.stdout).toBe(lines('line'))
  expect(read('stdout').toString()).toBe(lines('line'))
  expect(result.stderr.endsWith(lines('error'))).toBe(true)
  expect(read('stderr').toString()).toBe(lines('error'))
  expect(read('mirrord.log').toString()).toContain('It exited with status 3')
  await harness.nothingLeft(job)
})

test('leaves the streams that it passes on blocking, as they were', async () => {
  const result = await job.run([...foreground, 'sh', '-c', 'cat /proc/self/fdinfo/1 >&2; cat /proc/self/fdinfo/2 >&2'])
  const flags = [...result.stderr.matchAll(/^flags:\s+(\d+)$/gm)].map(([, octal]) => parseInt(octal!, 8) & 0o4000)
  expect(flags).toEqual([0, 0])
})

describe('standard input', () => {
  test('from a pipe', async () => {
    const result = await job.run(
      [...foreground, 'sh', '-c', 'read a; read b; echo "$b $a"'],
      shell('printf "1\\n2\\n" | "$@"'),
    )
    expect(result.stdout).toBe('2 1\n')
  })

  test('from a file, of which the shell reads on', async () => {
    writeFileSync(path.join(job.folder, 'in'), '1\n2\n3\n')
    const result = await job.run(
      [...foreground, 'sh', '-c', 'read a; echo "program $a"'],
      shell('exec < in; "$@"; read b; echo "shell $b"'),
    )
    expect(result.stdout).toBe('program 1\nshell 2\n')
  })

  test('closed', async () => {
    const result = await job.run([...foreground, 'sh', '-c', 'cat; echo "status $?"'], shell('"$@" <&-'))
    expect(result.stdout).toBe('status 0\n')
  })
})

describe('a signal', () => {
  const rounds = ['SIGHUP', 'SIGQUIT', 'SIGUSR2', 'SIGWINCH'] as const
  /** Prints each signal that arrives, and ends with status 3 at SIGTERM. */
  const counter = `
    for (const name of ['SIGINT', 'SIGHUP', 'SIGQUIT', 'SIGUSR2', 'SIGWINCH', 'SIGTERM', 'SIGCONT'])
      process.on(name, () => { console.log(name); if (name === 'SIGTERM') process.exit(3) })
    setInterval(() => {}, 1e6); console.log('here')`

  test('for the launcher alone reaches the program, and only the program, once', async () => {
    const running = job.spawn([
      ...foreground,
      'sh',
      '-c',
      `trap 'echo SIGUSR2' USR2; echo here; while :; do sleep 0.05; done`,
    ])
    await seen(running, 'here')
    running.child.kill('SIGUSR2')
    await seen(running, 'SIGUSR2')
    running.child.kill('SIGTERM')
    const result = await running.result
    expect(result.code, result.output).toBe(143)
    expect(result.stdout).toBe('here\nSIGUSR2\n')
    await harness.nothingLeft(job)
  })

  test.each(['launcher', 'group'] as const)('for the %s arrives once each, in order', async (whom) => {
    const running = job.spawn([...foreground, node, '-e', counter], {leader: true})
    await seen(running, 'here')
    let expected = 'here\n'
    for (const signal of [...rounds, ...rounds, ...rounds, 'SIGINT', 'SIGTERM'] as const) {
      process.kill(whom === 'group' ? -running.child.pid! : running.child.pid!, signal)
      expected += `${signal}\n`
      await until(signal, () => {
        if (!running.output().endsWith(expected)) throw new Error(JSON.stringify(running.output()))
        return true
      })
    }
    const result = await running.result
    expect(result.code, result.output).toBe(3)
    expect(result.stdout).toBe(expected)
    await harness.nothingLeft(job)
  })

  test('SIGINT twice kills what the first did not end', async () => {
    const stubborn = `process.on('SIGINT', () => console.log('no')); setInterval(() => {}, 1e6); console.log('here')`
    const running = job.spawn([...foreground, 'sh', '-c', `trap '' INT; ${node} -e "${stubborn}" & wait`])
    await seen(running, 'here')
    const began = Date.now()
    while (job.processes().length > 0 && Date.now() - began < 20_000) {
      running.child.kill('SIGINT')
      await until('a moment', () => Date.now() % 500 < 50)
    }
    const result = await running.result
    expect(result.code, result.output).toBe(137)
    await harness.nothingLeft(job)
  })

  test('SIGKILL for the whole process group leaves nothing of the tree', async () => {
    const script = `setsid sleep 1000 & echo here; sleep 1000`
    const running = job.spawn([...foreground, 'sh', '-c', script], {leader: true})
    await seen(running, 'here')
    process.kill(-running.child.pid!, 'SIGKILL')
    expect((await running.result).signal).toBe('SIGKILL')
    await until('the end of the tree', () => job.processes().length === 0)
    // The session could not remove its state: that is for the next stop.
    await job.stop()
  })
})

test('is not held up by what the program leaves behind', async () => {
  const result = await job.run([...foreground, 'sh', '-c', 'setsid sleep 1000 & exit 4'])
  expect(result.code, result.output).toBe(4)
  await harness.nothingLeft(job)
})

describe.skipIf(!python)('on a terminal', () => {
  const onTerminal = (words: readonly string[], options: {args?: readonly string[]} = {}) =>
    job.spawn([...(options.args ?? foreground), ...words], {below: [python, terminal], input: true})
  const type = (running: Running, text: string) => running.child.stdin!.write(text)

  test('the program reads it and knows it', async () => {
    const running = onTerminal([
      'sh',
      '-c',
      'test -t 0 && test -t 1 && test -t 2 && echo yes; read line; echo "<$line>"; exit 5',
    ])
    await seen(running, 'yes')
    type(running, 'hello\n')
    const result = await running.result
    expect(result.stdout).toContain('<hello>')
    expect(result.code).toBe(5)
  })

  test('with ci.output_dir it still reads it', async () => {
    const running = onTerminal(
      ['sh', '-c', 'test -t 0 && echo yes; read line; echo "<$line>"; exit 5'],
      withOutputDirectory(),
    )
    await seen(running, 'yes')
    type(running, 'hello\n')
    const result = await running.result
    expect(result.stdout).toContain('<hello>')
    expect(result.code).toBe(5)
  })

  test('its keys reach the program once, and the second ^C kills', async () => {
    const script = `for (const s of ['SIGINT', 'SIGQUIT']) process.on(s, () => console.log('got', s)); setInterval(() => {}, 1e6); console.log('here')`
    const running = onTerminal([node, '-e', script])
    await seen(running, 'here')
    type(running, '\x1c')
    await seen(running, 'got SIGQUIT')
    type(running, '\x03')
    await seen(running, 'got SIGINT')
    expect(running.output().match(/got/g)).toHaveLength(2)
    await until('the next half second', () => Date.now() % 1000 > 900)
    while (job.processes().length > 1) {
      type(running, '\x03')
      await until('a moment', () => Date.now() % 500 < 50)
    }
    expect((await running.result).code).toBe(137)
  })

  test('^Z stops the program and gives the shell its terminal, fg goes on', async () => {
    const words = foreground.map((word) => `'${word}'`).join(' ')
    const run = path.join(import.meta.dirname, '../../bin/run.js')
    const running = job.spawn([], {
      below: [python, terminal, 'bash', '--norc', '-i', '-c', `exec bash --norc -i #`],
      input: true,
      env: {PS1: 'PROMPT$ '},
    })
    await seen(running, 'PROMPT$ ')
    type(running, `${node} ${run} ${words} sh -c 'echo he""re; read x; echo "<$x>"; exit 6'\n`)
    await seen(running, 'here')
    type(running, '\x1a')
    await seen(running, 'Stopped')
    const stopped = job.processes().filter(({command}) => command.includes('echo he'))
    expect(stopped.length).toBeGreaterThan(0)
    type(running, 'echo a""b\n')
    await seen(running, 'ab')
    type(running, 'fg\n')
    type(running, 'word\n')
    await seen(running, '<word>')
    type(running, 'echo "status: $?"\n')
    await seen(running, 'status: 6')
    type(running, 'exit\n')
    await running.result
    await harness.nothingLeft(job)
  })
})

describe('in the background', () => {
  const server = [node, path.join(import.meta.dirname, 'programs/server.mjs'), '8080', 'local']

  test('[LIF-38, D20] outlives the death of the shell and of the process group of its CI step', async () => {
    const running = job.spawn(['ci', 'start', ...target, '--', ...server], {
      ...shell('"$@"; echo done; sleep 1000'),
      leader: true,
    })
    await seen(running, 'done')
    process.kill(-running.child.pid!, 'SIGKILL')
    expect((await running.result).signal).toBe('SIGKILL')
    expect((await harness.who()).who).toBe('local')
    expectExit(await job.stop(), 'success')
    await harness.nothingLeft(job)
  })

  test('[EXIT-74] ends when what copies its output is killed, and the stop says so', async () => {
    const server = `require('net').createServer().listen(8080, () => console.log('up'))`
    expectExit(await job.run(['ci', 'start', ...target, '--log-max', '16K', '--', node, '-e', server]), 'success')
    const copier = job.processes().find(({command}) => /--copy .*\/stdout /.test(command))
    process.kill(copier!.pid, 'SIGKILL')
    expectExit(await job.run(['ci', 'wait', '--for', 'exit', '--timeout', '60']), 'programCrashed')
    const stopped = await job.stop()
    expectExit(stopped, 'programCrashed')
    expect(stopped.stderr).toMatch(/Why: +the copier of stdout ended \(SIGKILL\)/)
    expect(stopped.stderr).toContain('Code: OUTPUT_LOST')
    await harness.nothingLeft(job)
  })

  test('[LIF-01] rotates its files at --log-max, without losing a line while they are written', async () => {
    const script = `
      let i = 0; const more = () => { if (i < 3000) { console.log('line ' + i++); setImmediate(more) } }
      require('net').createServer().listen(8080, more); setTimeout(() => {}, 1e6)`
    expectExit(await job.run(['ci', 'start', ...target, '--log-max', '16K', '--', node, '-e', script]), 'success')
    const [folder] = job.outputFolders()
    const read = (name: string) => readFileSync(path.join(folder!, name), 'utf8')
    await until('the last line', () => read('stdout').includes('line 2999\n'))
    const all = read('stdout.1') + read('stdout')
    const first = Number(/line (\d+)/.exec(all)![1])
    expect(all).toBe(Array.from({length: 3000 - first}, (_, index) => `line ${first + index}\n`).join(''))
    for (const name of ['stdout', 'stdout.1'])
      expect(statSync(path.join(folder!, name)).size).toBeLessThanOrEqual(16_384)
    expect(existsSync(path.join(folder!, 'mirrord.log'))).toBe(true)
    expectExit(await job.stop(), 'success')
    await harness.nothingLeft(job)
  })
})
