import {spawnSync} from 'node:child_process'
import {mkdirSync, mkdtempSync, rmSync} from 'node:fs'
import path from 'node:path'
import {afterEach, beforeEach, describe, expect, it} from 'vitest'
import {buildTrap, trapPath} from '../trap/harness.ts'
import {withOwnMounts} from '../own-mounts.ts'

let folder: string
beforeEach(() => {
  folder = mkdtempSync('/tmp/mdk-')
  mkdirSync(path.join(folder, 'disk'))
})
afterEach(() => rmSync(folder, {recursive: true, force: true}))

const sources = path.join(import.meta.dirname, '../../../src')

/** Runs a script where `disk` is a file system of its own, mounted with these options. */
function onDisk(options: string, script: string): string {
  const shell = `mount -t tmpfs -o ${options} none "$DISK" && exec "$NODE" --input-type=module-typescript -e "$SCRIPT"`
  const [unshare, ...words] = withOwnMounts
  const {stdout, stderr} = spawnSync(unshare, [...words, '/bin/sh', '-c', shell], {
    env: {
      ...process.env,
      NODE: process.execPath,
      NODE_NO_WARNINGS: '1',
      DISK: path.join(folder, 'disk'),
      SCRIPT: `import {stateRoot} from '${sources}/session/roots.ts'\nimport {SessionStore} from '${sources}/session/state.ts'
        import {toReport} from '${sources}/errors/mirrord-error.ts'\nimport {identify} from '${sources}/util/process.ts'
        import fs from 'node:fs'\nimport {execFileSync} from 'node:child_process'
        import {removeOldOutput} from '${sources}/session/old-output.ts'\nconst disk = process.env.DISK\n${script}`,
    },
    encoding: 'utf8',
  })
  return stdout || stderr
}

describe('the state of a session', () => {
  it('is not put where nothing can be written', () => {
    expect(onDisk('ro', `console.log(stateRoot({RUNNER_TEMP: disk, TMPDIR: '${folder}'}, 7))`)).toBe(
      `${folder}/mirrord-7\n`,
    )
  })

  it('that finds no room is reported with what to do, and leaves the record that was there', () => {
    const said = onDisk(
      'size=64k',
      `const directory = new SessionStore(disk + '/m', 'aaaaaaaa').create()
       const claim = {name: 'web', held: true, launcher: identify(process.pid)}
       directory.claim(claim)
       try { fs.writeFileSync(disk + '/filler', Buffer.alloc(1_000_000)) } catch (error) { if (error.code !== 'ENOSPC') throw error }
       try { directory.claim({...claim, name: 'x'.repeat(10_000)}) } catch (error) {
         console.log(JSON.stringify({...toReport(error), name: directory.readClaim().name, files: fs.readdirSync(directory.path)}))
       }`,
    )
    expect(JSON.parse(said)).toMatchObject({
      code: 'STATE_DIRECTORY',
      exit: 'permission',
      why: expect.stringContaining('ENOSPC') as string,
      name: 'web',
      files: ['name.json'],
    })
  })
})

describe('[D30] old output folders', () => {
  it('that cannot be removed are told in the log, and fail nothing', () => {
    const said = onDisk(
      'mode=755',
      `const old = Date.now() / 1000 - 9 * 24 * 3600
       for (const unique of ['0000001', '0000002']) {
         const folder = disk + '/web-' + Math.floor(old) + '-' + unique
         fs.mkdirSync(folder)
         fs.writeFileSync(folder + '/mirrord.log', '')
         fs.utimesSync(folder + '/mirrord.log', old, old)
       }
       execFileSync('mount', ['-o', 'remount,ro', disk])
       const session = {config: {ci: {}}, outputDirectory: disk + '/own', environment: {}}
       await removeOldOutput(session, (line) => console.log(line))
       await removeOldOutput({...session, outputDirectory: disk + '/none/own'}, (line) => console.log(line))
       console.log(fs.readdirSync(disk).length)`,
    )
    expect(said.split('\n')).toEqual([
      expect.stringMatching(/^output: old folders that could not be removed: 2 \(EROFS/),
      expect.stringMatching(/^output: old folders could not be looked for: ENOENT/),
      '2',
      '',
    ])
  })
})

describe('the output of a program', () => {
  it('for which there is no room is missing in its file, which says so where and why; the program is not held up', () => {
    buildTrap()
    const said = onDisk(
      // Room for everything, once the filler has gone.
      'size=512k',
      `const {openOutput} = await import('${sources}/session/output.ts')
       const told = []
       const tell = (line) => told.push(line)
       const output = await openOutput({directory: disk, tee: false, max: 2 ** 30, trapPath: '${trapPath}', log: tell, broken: tell})
       fs.writeSync(output.stdout, 'first\\n')
       while (fs.statSync(disk + '/stdout').size < 6) await new Promise(setImmediate)
       try { fs.writeFileSync(disk + '/filler', Buffer.alloc(1_000_000)) } catch {}
       // More than a pipe holds (pipe(7)): when it is written, the disk has refused some of it.
       fs.writeSync(output.stdout, 'x'.repeat(200_000) + '\\n')
       fs.rmSync(disk + '/filler')
       fs.writeSync(output.stdout, 'last\\n')
       output.release()
       await output.finish()
       console.log(JSON.stringify({told, stdout: fs.readFileSync(disk + '/stdout', 'latin1')}))`,
    )
    const {told, stdout} = JSON.parse(said) as {told: string[]; stdout: string}
    expect(told).toEqual(['output: not all of stdout could be written to its file'])
    const notes = [...stdout.matchAll(/\n\[mirrord: (\d+) bytes are missing here: (.*?)\]\n/g)]
    expect(new Set(notes.map(([, , why]) => why))).toEqual(new Set(['No space left on device']))
    const missing = notes.reduce((sum, [note, count]) => sum + Number(count) - note.length, 0)
    expect(stdout.length + missing).toBe('first\n'.length + 200_001 + 'last\n'.length)
    expect(stdout).toMatch(/^first\nx*\n\[mirrord/)
    expect(stdout.endsWith('last\n')).toBe(true)
  })
})
