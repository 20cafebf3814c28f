import {execFileSync, spawn} from 'node:child_process'
import {once} from 'node:events'
import {copyFileSync, readdirSync, writeFileSync} from 'node:fs'
import path from 'node:path'
import {describe, expect, it} from 'vitest'
import {canary, expected} from '../../fixtures/config/expected.ts'
import {useCli} from './harness.ts'

// All files go through resolveConfig in test/unit/config; here is that the commands say the same and nothing more.
const cli = useCli()
const broken = path.join(import.meta.dirname, '../../fixtures/config/broken')
const rootOf = path.join(import.meta.dirname, '../../..')

const chosen = expected.filter(([file]) =>
  [
    'unknown-root.yaml',
    'syntax-duplicate.yml',
    'syntax-date.toml',
    'syntax-environment-in-no-extension',
    'syntax-billion-laughs.yaml',
    'format-mirrord.jsonc',
    'template-include.json',
    'template-constructor.json',
    'several-mistakes.json',
    'value-header-pattern.yml',
    'later-queues.yml',
  ].includes(file),
)

/** What any output of a refusal is: no value of the file, nothing for developers. */
function sound({stdout, stderr}: {stdout: string; stderr: string}) {
  for (const text of [stdout, stderr]) {
    expect(text).not.toContain(canary)
    expect(text).not.toMatch(/^\s+at .*[:)]\d*|\[object|UNEXPECTED/m)
  }
}

describe('broken files', () => {
  it('are about ten', () => {
    expect(chosen.length).toBeGreaterThanOrEqual(10)
  })

  it.each(chosen)('[LIF-31] [LIF-32] %s', async (file, code, exit, line, ...words) => {
    copyFileSync(path.join(broken, file), path.join(cli.folder, file))
    const verified = await cli.run(['verify-config', file])
    expect(verified.code).toBe(exit)
    const {type, errors} = JSON.parse(verified.stdout) as {type: string; errors: string[]}
    expect(type).toBe('Fail')
    sound(verified)
    const started = await cli.run(['ci', 'start', '-f', file, '--', 'true'])
    expect([started.code, started.stdout]).toEqual([exit, ''])
    sound(started)
    expect(started.stderr).toContain(code)
    for (const said of [started.stderr, verified.stderr, errors.join('\n')]) {
      expect(said).toContain(line === null ? file : `${file}:${line}`)
    }
    for (const word of words) expect(started.stderr.toLowerCase()).toContain(word.toLowerCase())
    expect(readdirSync(path.join(cli.folder, 'tmp'))).toEqual([])
  })

  it('a FIFO without a writer does not hang', async () => {
    execFileSync('mkfifo', [path.join(cli.folder, 'm.json')])
    const {code, stderr} = await cli.run(['verify-config', 'm.json'])
    expect(code).toBe(31)
    expect(stderr).toContain('named pipe')
  })
})

describe('[LIF-32] every format', () => {
  const json = '{"target": "pod/x", "agent": {"ttl": 7}}'
  it.each([
    ['m.json', json],
    ['m', json],
    ['m.yaml', 'target: pod/x\nagent:\n  ttl: 7\n'],
    ['m.yml', 'target: pod/x\nagent:\n  ttl: 7\n'],
    ['m.toml', 'target = "pod/x"\nagent.ttl = 7\n'],
  ])('%s', async (name, text) => {
    writeFileSync(path.join(cli.folder, name), text)
    const {code, stdout} = await cli.run(['verify-config', name])
    expect(code).toBe(0)
    expect(JSON.parse(stdout)).toMatchObject({type: 'Success', config: {path: {pod: 'x'}}})
  })

  it('is read from the pipe of a shell, up to the limit', async () => {
    const run = async (command: string) => {
      const child = spawn(
        'bash',
        ['-c', `"$0" "$1" verify-config <(${command})`, process.execPath, `${rootOf}/bin/run.js`],
        {
          cwd: cli.folder,
          env: {PATH: process.env.PATH, HOME: cli.folder, TMPDIR: cli.folder, RUNNER_TEMP: cli.folder},
          stdio: ['ignore', 'pipe', 'pipe'],
        },
      )
      let stdout = ''
      child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()))
      child.stderr.resume()
      const [code] = (await once(child, 'close')) as [number | null]
      return {code, stdout}
    }
    expect(await run(`sleep 0.1; echo '${json}'`)).toMatchObject({code: 0})
    const endless = await run('yes')
    expect(endless.code).toBe(30)
    expect(endless.stdout).toContain('larger than 512 KiB')
  })
})
