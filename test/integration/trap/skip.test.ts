import {execFileSync} from 'node:child_process'
import {copyFileSync, mkdtempSync, rmSync, symlinkSync, writeFileSync} from 'node:fs'
import {createServer, type AddressInfo, type Server} from 'node:net'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {afterAll, afterEach, beforeAll, expect, it} from 'vitest'
import {inOwnConditions} from './conditions.ts'
import {buildTrap, cleanUp, compile, run, which, type RunOptions} from './harness.ts'

let directory: string, processes: string, server: Server, port: string
beforeAll(async () => {
  buildTrap()
  processes = compile('processes')
  directory = mkdtempSync(join(tmpdir(), 'mirrord-skip-'))
  server = createServer((socket) => socket.on('error', () => {}).end('native')).listen(0, '127.0.0.1')
  await new Promise((resolve) => server.once('listening', resolve))
  port = String((server.address() as AddressInfo).port)
})
afterEach(cleanUp)
afterAll(() => {
  server.close()
  rmSync(directory, {recursive: true})
})

/** The test program (or another) under another name: a copy has that executable name, a link that invoked name. */
function named(name: string, how: 'copy' | 'link', of = processes): string {
  const path = join(mkdtempSync(join(directory, `${how}-`)), name)
  if (how === 'copy') copyFileSync(of, path)
  else symlinkSync(of, path)
  return path
}
/** A program that is not skipped asks about every connect; the answer ECONNREFUSED shows that it did. */
async function judged(options: RunOptions): Promise<string[]> {
  const program = await run({...options, connect: async () => ({errno: 111})})
  return (await program.finish()).trim().split('\n')
}
const skipped = ['connect connected', 'window 0']
const hooked = ['connect ECONNREFUSED', 'window 1']

inOwnConditions('skipped programs', () => {
  it('[PRC-01] are known by the name of the executable', async () => {
    const skip = ['processes']
    expect(await judged({program: named('other', 'link'), arguments: ['connect', '127.0.0.1', port], skip})).toEqual(
      skipped,
    )
  })

  it('[PRC-02] are known by the name that they are called by', async () => {
    const skip = ['other']
    expect(await judged({program: named('other', 'link'), arguments: ['connect', '127.0.0.1', port], skip})).toEqual(
      skipped,
    )
    expect(
      await judged({program: processes, argv: ['/a/b/other', 'connect', '127.0.0.1', port], skip}),
      'argv[0] alone',
    ).toEqual(skipped)
  })

  it('[PRC-03] are not those of other names: no list, parts of a name, another case', async () => {
    const program = named('other', 'link')
    for (const skip of [undefined, ['othe', 'others', 'Other', 'processes ', 'process', '/processes', '']])
      expect(await judged({program, arguments: ['connect', '127.0.0.1', port], skip})).toEqual(hooked)
  })

  it('are known by the end of a name where the list says so', async () => {
    const skip = ['*JetBrains.Debugger.Worker']
    const worker = named('Rider.JetBrains.Debugger.Worker', 'copy')
    expect(await judged({program: worker, arguments: ['connect', '127.0.0.1', port], skip})).toEqual(skipped)
    const other = named('JetBrains.Debugger.Worker2', 'copy')
    expect(await judged({program: other, arguments: ['connect', '127.0.0.1', port], skip})).toEqual(hooked)
  })

  it('[PRC-05] start others that are judged anew, in the same process or in a child', async () => {
    const shell = named('skipped-shell', 'copy', '/bin/sh')
    const program = `${processes} connect 127.0.0.1 ${port}`
    for (const script of [`exec ${program}`, `${program}; true`])
      expect(await judged({program: shell, arguments: ['-c', script], skip: ['skipped-shell']})).toEqual(hooked)
    const nested = `${program}; exec ${named('other', 'copy')} connect 127.0.0.1 ${port}`
    expect(await judged({program: '/bin/sh', arguments: ['-c', nested], skip: ['other']})).toEqual([
      ...hooked,
      ...skipped,
    ])
  })

  it('[PRC-06] have children without a program of their own that are skipped too, whatever became of argv', async () => {
    const program = named('other', 'link')
    for (const skip of [['other'], ['nobody']])
      expect(await judged({program, arguments: ['title', '127.0.0.1', port], skip})).toEqual(
        ['child', 'grandchild'].map((who) => `${who} ${skip[0] === 'other' ? 'connected' : 'ECONNREFUSED'}`),
      )
  })

  it('are judged anew when a thread that is not the first executes a program, and not when that fails', async () => {
    const other = named('other', 'copy')
    const connect = ['connect', '127.0.0.1', port]
    const skip = ['other', 'skipped']
    expect(await judged({program: processes, arguments: ['thread-exec', other, ...connect], skip})).toEqual(skipped)
    expect(await judged({program: other, arguments: ['thread-exec', processes, ...connect], skip})).toEqual(hooked)
    expect(await judged({program: processes, arguments: ['failed-exec', ...connect.slice(1)], skip})).toEqual([
      'failed-exec ECONNREFUSED',
    ])
  })

  it('[PRC-04] include package managers by script and command, but not what they run', async () => {
    const connect = `require('node:net').connect(${port}, '127.0.0.1').on('connect', () => {console.log('skipped'); process.exit()}).on('error', () => console.log('hooked'))`
    const bin = mkdtempSync(join(directory, 'bin-'))
    const cli = join(bin, 'npm-cli.js')
    writeFileSync(cli, `#!/usr/bin/env node\nprocess.title = 'npm ' + process.argv[2]\n${connect}\n`, {mode: 0o755})
    const npm = join(bin, 'npm')
    symlinkSync(cli, npm)
    const skip = ['npm install', 'npm ci', 'yarn ', 'yarn install']
    const env = {PATH: `${join(process.execPath, '..')}:${process.env.PATH}`}
    const through = (...words: string[]) => judged({program: process.execPath, arguments: words, env, skip})
    expect(await through('--no-warnings', cli, 'install')).toEqual(['skipped'])
    expect(await through(npm, '--prefix', '/a', '--silent', 'ci', 'run')).toEqual(['skipped'])
    expect(await through(npm, 'run', 'install')).toEqual(['hooked'])
    expect(await through(npm)).toEqual(['hooked'])
    expect(await judged({program: npm, arguments: ['install'], env, skip}), 'by its #! line').toEqual(['skipped'])
    const yarn = join(bin, 'yarn.cjs')
    writeFileSync(yarn, connect)
    expect(await through(yarn)).toEqual(['skipped'])
    expect(await through(yarn, '--frozen-lockfile')).toEqual(['skipped'])
    expect(await through(yarn, 'start')).toEqual(['hooked'])
  })

  const go = which('go') ?? '/usr/local/go/bin/go'
  const canGo = (() => {
    try {
      execFileSync(go, ['version'], {stdio: 'ignore'})
      return true
    } catch {
      return false
    }
  })()
  it.skipIf(!canGo)(
    '[PRC-04] include go, while the program that `go run` built is hooked',
    {timeout: 120_000},
    async () => {
      const source = join(directory, 'main.go')
      writeFileSync(
        source,
        `package main\nimport ("fmt"; "net")\nfunc main() { _, err := net.Dial("tcp", "127.0.0.1:${port}"); fmt.Println("error:", err != nil) }\n`,
      )
      const env = {
        PATH: process.env.PATH ?? '',
        HOME: directory,
        CGO_ENABLED: '0',
        GO111MODULE: 'off',
        GOFLAGS: '',
        GOCACHE: join(tmpdir(), `mirrord-test-gocache-${process.getuid?.() ?? 0}`),
      }
      expect(
        await judged({program: go, arguments: ['run', source], env, skip: ['go', 'compile', 'link', 'asm']}),
      ).toEqual(['error: true'])
    },
  )

  it.skipIf(!which('gcc'))('[PRC-04] include gcc, while the program that it built is hooked', async () => {
    const source = join(import.meta.dirname, '../../apps/trap/processes.c')
    const target = join(directory, 'built')
    const script = `gcc -std=gnu11 -pthread -o ${target} ${source} && ${target} connect 127.0.0.1 ${port}`
    expect(
      await judged({program: '/bin/sh', arguments: ['-c', script], skip: ['gcc', 'cc1', 'as', 'ld', 'collect2']}),
    ).toEqual(hooked)
  })
})
