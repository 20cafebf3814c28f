import {spawn} from 'node:child_process'
import {once} from 'node:events'
import {expect, test} from 'vitest'
import {exists, identify, isAlive, readStat} from '../../../src/util/process.ts'
import {delay} from '../../../src/util/time.ts'

test('a process that has ended but was not collected exists and is not alive', async () => {
  // The second sleep has taken the shell's place and collects nobody.
  const parent = spawn('sh', ['-c', 'sleep 0.2 & echo $!; exec sleep 60'], {stdio: ['ignore', 'pipe', 'inherit']})
  try {
    const [line] = (await once(parent.stdout, 'data')) as [Buffer]
    const child = identify(Number(line.toString()))!
    expect([exists(child), isAlive(child)]).toEqual([true, true])
    while (readStat(child.pid)?.state !== 'Z') await delay(5)
    expect([exists(child), isAlive(child)]).toEqual([true, false])
    parent.kill()
    await once(parent, 'exit')
    expect(isAlive(child)).toBe(false)
  } finally {
    parent.kill('SIGKILL')
  }
})
