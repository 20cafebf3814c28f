import {mkdtempSync, rmSync, statSync, writeFileSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {afterAll, afterEach, beforeAll, expect, it} from 'vitest'
import {inOwnConditions} from './conditions.ts'
import {buildTrap, cleanUp, python, run, which} from './harness.ts'

let directory: string
beforeAll(() => {
  buildTrap()
  directory = mkdtempSync(join(tmpdir(), 'mirrord-overlay-'))
  writeFileSync(join(directory, 'resolv.conf'), 'nameserver 10.96.0.10\nsearch shop.svc.cluster.local\n')
  writeFileSync(join(directory, 'hosts'), '10.244.9.9 only-in-the-pod\n')
})
afterAll(() => rmSync(directory, {recursive: true}))
afterEach(cleanUp)

const overlays = () => ['resolv.conf', 'hosts'].map((name) => ({path: `/etc/${name}`, source: join(directory, name)}))

inOwnConditions('overlays', () => {
  it('are what cat and the shell read, absolute, relative and with detours', async () => {
    const program = await run({
      program: '/bin/sh',
      arguments: [
        '-c',
        'cat /etc/resolv.conf; cd /etc; head -n1 hosts; head -n1 ../etc/./hosts; head -n1 /etc//hosts; [ -r /etc/hosts ] && readlink /etc/hosts || echo plain',
      ],
      overlays: overlays(),
    })
    const hosts = '10.244.9.9 only-in-the-pod\n'
    expect(await program.finish()).toBe(
      `nameserver 10.96.0.10\nsearch shop.svc.cluster.local\n${hosts.repeat(3)}plain\n`,
    )
  })

  it.skipIf(!which('getent'))('are what getaddrinfo of glibc reads', async () => {
    const program = await run({
      program: which('getent') ?? '',
      arguments: ['ahostsv4', 'only-in-the-pod'],
      overlays: overlays(),
    })
    expect(await program.finish()).toMatch(/^10\.244\.9\.9\s/)
  })

  it.skipIf(!python)('agree between open, fstat, stat and statx', async () => {
    const program = await run({
      program: python ?? '',
      arguments: [
        '-c',
        `
import os
f = os.open('/etc/resolv.conf', os.O_RDONLY)
print(os.fstat(f).st_ino, os.stat('/etc/resolv.conf').st_ino, os.lstat('/etc/resolv.conf').st_size, os.path.realpath('/etc/resolv.conf'))
print(os.get_inheritable(f), os.access('/etc/resolv.conf', os.R_OK), os.stat('/etc/passwd').st_ino)
`,
      ],
      overlays: overlays(),
    })
    const source = statSync(join(directory, 'resolv.conf'))
    expect(await program.finish()).toBe(
      `${source.ino} ${source.ino} ${source.size} /etc/resolv.conf\nFalse True ${statSync('/etc/passwd').ino}\n`,
    )
  })

  it('are what Node reads, through statx', async () => {
    const program = await run({
      program: process.execPath,
      arguments: [
        '-e',
        "const fs = require('fs'); console.log(fs.readFileSync('/etc/hosts', 'utf8').trim(), fs.statSync('/etc/hosts').size)",
      ],
      overlays: overlays(),
    })
    expect(await program.finish()).toBe('10.244.9.9 only-in-the-pod 27\n')
  })
})
