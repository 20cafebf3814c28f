import {chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, realpathSync, rmSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {afterAll, afterEach, beforeAll, expect, it, vi} from 'vitest'
import type {ConnectAnswer, ConnectRequest} from '../../../src/trap/types.ts'
import {inEachCondition} from './conditions.ts'
import {buildTrap, cleanUp, compile, run, startRelay} from './harness.ts'
import {Target} from './remote.ts'

/** All seven conditions together end within six minutes. */
const long = Boolean(process.env.MIRRORD_LONG)
let hostile: string, directory: string
beforeAll(() => {
  buildTrap()
  hostile = compile('hostile')
  directory = mkdtempSync(join(realpathSync(tmpdir()), 'mirrord-hostile-'))
  chmodSync(directory, 0o755)
})
afterAll(() => rmSync(directory, {recursive: true}))
afterEach(cleanUp)

/** What the supervisor (child of the reaper) has open: whatever it holds on behalf of the tree is among that. */
function heldBy(reaper: number): string[] {
  const supervisor = readFileSync(`/proc/${reaper}/task/${reaper}/children`, 'utf8').trim()
  const what = readdirSync(`/proc/${supervisor}/fd`).map((fd) => {
    try {
      return readlinkSync(`/proc/${supervisor}/fd/${fd}`)
    } catch {
      return 'closed meanwhile'
    }
  })
  // The socket by which it asks the kernel about local addresses stays open. The inode is the last word of a line, padded to 8 digits.
  const netlink = new Set(readFileSync(`/proc/${supervisor}/net/netlink`, 'utf8').split(/\s+/))
  return what.filter((name) => !netlink.has(/^socket:\[(\d+)\]$/.exec(name)?.[1] ?? ''))
}

/**
 * Runs a mode of test/apps/trap/hostile.c, then an ordinary program below the same supervisor: it must be served rightly,
 * and nothing may be left of what was before.
 */
async function survive(
  mode: string,
  count: number,
  during?: (program: Awaited<ReturnType<typeof run>>) => Promise<void>,
) {
  using relay = await startRelay()
  using target = new Target({local: ['^/(proc|sys|usr|etc|dev|tmp)(/|$)', '^/$'], modeReadWrite: ['.']})
  target.file('/app/test.txt', 'remote')
  target.link('/app/link', 'test.txt')
  const own = join(directory, mode)
  mkdirSync(own, {recursive: true})
  chmodSync(own, 0o777)
  const calm = mkdtempSync(join(directory, 'calm-'))
  chmodSync(calm, 0o777)
  const argumentsOf = (what: string) => `${what} 10.1.2.3 80 ${what === 'fine' ? calm : own} 4711 ${count}`
  const script = `read go; ${hostile} ${argumentsOf(mode)}; echo over $?; read go; ${hostile} ${argumentsOf('fine')}`
  let asked = 0
  const answer = (request: ConnectRequest): ConnectAnswer | Promise<ConnectAnswer> => {
    const never = () =>
      new Promise<ConnectAnswer>((resolve) => request.gone.addEventListener('abort', () => resolve({errno: 110})))
    if (request.remote.port === 1) return never()
    if (request.remote.address === '10.1.2.3' && quiet) return relay.answer
    return [relay.answer, {errno: 111}, new Promise<ConnectAnswer>((resolve) => setTimeout(resolve, 3, {errno: 113}))][
      asked++ % 3
    ] as ConnectAnswer | Promise<ConnectAnswer>
  }
  let quiet = false
  const program = await run({
    program: '/bin/sh',
    arguments: ['-c', script],
    connect: async (request) => answer(request),
    files: target.options,
    file: target.handler,
    hostname: 'pod',
    skip: ['nobody'],
    overlays: [{path: '/etc/resolv.conf', source: '/etc/hosts'}],
    limits: {connect: 7_200_000}, // none of the unanswered ends before all are there
  })
  const before = heldBy(program.trap.pid)
  program.input('go\n')
  await during?.(program)
  const [, status] = await program.line(/^over (\d+)/).catch(async (error: Error) => {
    const {reason} = await program.trap.ended // the supervisor's end says more than the program's
    throw new Error(`${error.message}\nThe trap: ${reason}; warnings: ${program.warnings.slice(-5).join('\n')}`)
  })
  expect(status, program.output()).toBe('0')
  await vi.waitFor(() => expect(heldBy(program.trap.pid).filter((what) => !before.includes(what))).toEqual([]), {
    timeout: 20_000,
    interval: 50,
  })
  quiet = true
  program.input('go\n')
  await program.line(/^fine connected hello 10\.1\.2\.3:80 remote/)
  await program.finish()
  expect(
    program.connects
      .slice(0, -1)
      .filter(({protocol, gone, remote}) => protocol === 'tcp' && remote.port === 1 && !gone.aborted),
  ).toEqual([])
  return program
}

/**
 * How many calls may be pending at once: a pending call is a thread, so no more than there are numbers for threads (pid_max, 32,768 as a
 * rule, in every pid namespace up to the outermost), some of which the machine itself needs. The kernel looks a notification up in a list of
 * all, so the time grows with the square: 24,000 took three and a half minutes on two busy processors. MIRRORD_TEST_PENDING is another number,
 * for a machine with other limits.
 */
function mostPending(): number {
  if (process.env.MIRRORD_TEST_PENDING) return Number(process.env.MIRRORD_TEST_PENDING)
  const limits = ['pid_max', 'threads-max'].map((name) => Number(readFileSync(`/proc/sys/kernel/${name}`, 'utf8')))
  const used = Number(/\/(\d+) /.exec(readFileSync('/proc/loadavg', 'utf8'))?.[1])
  return Math.floor(Math.min(24_000, (Math.min(...limits) - used) * 0.8) / 500) * 500
}

inEachCondition('a hostile program', ({name}) => {
  it('with bad pointers in every argument of every call', {timeout: 120_000}, async () => {
    expect((await survive('pointers', 1)).output()).toContain('pointers done')
  })

  it('with random calls and arguments, killed at random', {timeout: 300_000}, async () => {
    expect((await survive('fuzz', long ? 8000 : 1000)).output()).toContain('fuzz 8 ended')
  })

  it('with memory that changes and descriptors that close during calls', {timeout: 300_000}, async () => {
    expect((await survive('racing', long ? 50_000 : 5000)).output()).toContain('racing done')
  })

  const threads = !long ? 500 : name === 'natively' ? mostPending() : 6000
  it(`with ${threads} calls that nobody answers`, {timeout: threads > 24_000 ? 7_200_000 : 600_000}, async () => {
    await survive('pending', threads, async (program) => {
      const [, held] = await program.line(/^pending (\d+)/)
      expect(Number(held)).toBe(threads)
      await program.until(() => program.connects.length >= Math.floor(threads / 3) - 20)
      program.input('x')
      await program.line(/^pending gone/)
    })
  })
})
