import {execFileSync} from 'node:child_process'
import {chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {dirname, join} from 'node:path'
import {afterEach, beforeAll, describe, expect, it} from 'vitest'
import {inEachCondition, trapIn} from './conditions.ts'
import {buildTrap, cleanUp, compile, python, run, useTrap, which} from './harness.ts'
import {Target} from './remote.ts'

let robust: string
const ended: (() => void)[] = []
beforeAll(() => {
  buildTrap()
  robust = compile('robust')
})
afterEach(async () => {
  await cleanUp()
  for (const end of ended.splice(0)) end()
})
const root = process.getuid?.() === 0
const lines = (text: string) => text.trim().split('\n')
const natively = (mode: string) => lines(execFileSync(robust, [mode], {encoding: 'utf8'}))
const under = async (mode: string, local = true) => {
  const here = [{cidr: '127.0.0.0/8'}]
  return lines(await (await run({program: robust, arguments: [mode], local: local ? here : []})).finish())
}
const descriptors = (reaper: number) => {
  const supervisor = readFileSync(`/proc/${reaper}/task/${reaper}/children`, 'utf8').trim()
  return readdirSync(`/proc/${supervisor}/fd`).length
}

inEachCondition('the supervisor', ({denied}) => {
  it('is not made to wait by a socket whose O_NONBLOCK changes', {timeout: 20_000}, async () => {
    expect(await under('flip')).toEqual(['flipped'])
  })

  it('is not made to wait by SO_LINGER of a socket whose last descriptor it closes', {timeout: 20_000}, async () => {
    expect(await under('linger')).toEqual(['after 0 ok'])
  })

  it('closes a connection that accept could not return for a bad pointer, as the kernel does', async () => {
    expect(await under('pointer')).toEqual(natively('pointer'))
  })

  it('answers bad pointers and lengths with the errno of the kernel', async () => {
    expect(await under('errnos', false)).toEqual(natively('errnos'))
  })

  it.skipIf(denied.includes('killable'))(
    'tells a thread of its child, and another thread in accept nothing',
    async () => {
      for (let i = 0; i < 3; i++) expect(await under('child')).toEqual(natively('child'))
    },
  )

  it('keeps few connections for a program that accepts without a free descriptor for long', async () => {
    const program = await run({program: robust, arguments: ['exhausted', '20'], local: [{cidr: '127.0.0.0/8'}]})
    await program.line(/^exhausted/)
    expect(descriptors(program.trap.pid)).toBeLessThan(40)
    program.input('on\n')
    expect(lines(await program.finish())).toEqual(['exhausted', 'accept ok data'])
  })
})

describe('a program that is not root below a trap of root', () => {
  it.skipIf(!root || !python)(
    'gets no file by a detour that it could not open, and every one that it could',
    async () => {
      using target = new Target({readOnly: ['^/app']})
      target.file('/app/test.txt', 'remote')
      const directory = mkdtempSync(join(tmpdir(), 'mirrord-robust-'))
      ended.push(() => rmSync(directory, {recursive: true}))
      chmodSync(directory, 0o755)
      const file = join(directory, 'shared')
      writeFileSync(file, 'of the group')
      execFileSync('chgrp', ['1690', file])
      chmodSync(file, 0o640)
      const program = await run({
        program: python ?? '',
        arguments: [
          '-c',
          `
import errno, os
here = os.path.relpath('${dirname(file)}', '/')
os.setgroups(range(1000, 1700)); os.chdir('/app'); os.setresgid(65534, 65534, 65534); os.setresuid(65534, 65534, 65534)
def attempt(name, call):
    try: print(name, call())
    except OSError as e: print(name, errno.errorcode[e.errno])
attempt('another process', lambda: len(open('../proc/1/maps').read()))
attempt('its memory', lambda: os.open('../proc/1/mem', os.O_RDWR))
attempt('shadow', lambda: open('../etc/shadow').read(1))
attempt('group', lambda: open('../' + here + '/shared').read())
attempt('own', lambda: len(open('../proc/self/status').read()) > 99)
`,
        ],
        files: target.options,
        file: target.handler,
      })
      expect(lines(await program.finish())).toEqual([
        'another process EACCES',
        'its memory EACCES',
        'shadow EACCES',
        'group of the group',
        'own True',
      ])
    },
  )

  it.skipIf(!root || !python)('in 700 groups is interrupted by its signals', async () => {
    const program = await run({
      program: python ?? '',
      arguments: [
        '-c',
        `
import os, signal, socket
os.setgroups(range(1000, 1700))
l = socket.socket(); l.bind(('127.0.0.1', 0)); l.listen()
class Alarm(Exception): pass
def alarm(*_): raise Alarm
signal.signal(signal.SIGALRM, alarm); signal.setitimer(signal.ITIMER_REAL, 0.1)
try: l.accept()
except Alarm: print('interrupted')
`,
      ],
    })
    expect(await program.finish()).toBe('interrupted\n')
  })
})

describe('without room in the queue of signals', () => {
  const trap = {path: '', remove: () => {}}
  beforeAll(() => {
    Object.assign(trap, trapIn({nobody: false, denied: ''}))
    const script = readFileSync(trap.path, 'utf8')
    writeFileSync(trap.path, script.replace('exec ', 'exec prlimit --sigpending=0 '))
    useTrap(trap.path)
    return () => {
      useTrap(undefined)
      trap.remove()
    }
  })

  it.skipIf(!which('prlimit'))('the supervisor is not made to wait either', {timeout: 20_000}, async () => {
    expect(await under('flip')).toEqual(['flipped'])
  })
})
