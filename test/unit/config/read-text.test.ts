import {execFileSync} from 'node:child_process'
import {once} from 'node:events'
import {chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync} from 'node:fs'
import {createServer} from 'node:net'
import path from 'node:path'
import {afterEach, beforeEach, describe, expect, it} from 'vitest'
import {resolveConfig} from '../../../src/config/index.ts'
import {exitCodes} from '../../../src/errors/exit-codes.ts'
import {MirrordError} from '../../../src/errors/mirrord-error.ts'
import {canary} from '../../fixtures/config/expected.ts'

let folder: string
beforeEach(() => {
  folder = mkdtempSync('/tmp/mct-read-')
  chmodSync(folder, 0o755)
})
afterEach(() => rmSync(folder, {recursive: true, force: true}))

const resolve = (name: string) => resolveConfig({flags: {'config-file': name}, env: {}, cwd: folder})

async function refusal(name: string) {
  const error: unknown = await resolve(name).then(
    () => undefined,
    (thrown: unknown) => thrown,
  )
  if (!(error instanceof MirrordError)) throw new Error('expected a MirrordError', {cause: error})
  const {report} = error
  const all = `${JSON.stringify(report)}\n${error.message}`
  expect(all).not.toContain(canary)
  expect(all).not.toMatch(/\bat .*\.[jt]s:\d|undefined|\[object/)
  expect(all.length).toBeLessThan(50_000)
  const said = [report.what, report.why ?? '', report.detail ?? '', ...report.next].join('\n')
  return {code: report.code, exit: exitCodes[report.exit].code, said, line: report.places?.[0]?.line}
}

const at = (name: string) => path.join(folder, name)

describe('what is no file to read', () => {
  it.each<[string, string, string, () => unknown]>([
    ['a missing file', 'm.json', 'no such file', () => {}],
    ['a missing folder', 'nowhere/m.json', 'no such file', () => {}],
    ['a folder', 'm.json', 'a directory', () => mkdirSync(at('m.json'))],
    ['a file as a folder', 'm.json/n.json', 'not a directory', () => writeFileSync(at('m.json'), canary)],
    ['a dangling link', 'm.json', 'link to a file that does not exist', () => symlinkSync('nowhere', at('m.json'))],
    ['a link to itself', 'm.json', 'in a circle', () => symlinkSync('m.json', at('m.json'))],
    ['a link to a folder', 'm.json', 'a directory', () => symlinkSync('.', at('m.json'))],
    ['a name of 300 characters', `${'n'.repeat(300)}.json`, 'too long', () => {}],
    ['a FIFO without a writer', 'm.json', 'named pipe', () => execFileSync('mkfifo', [at('m.json')])],
    ['a link to an endless device', 'm.json', 'a device', () => symlinkSync('/dev/zero', at('m.json'))],
    ['an endless device', '/dev/zero', 'a device', () => {}],
    ['an empty device', '/dev/null', 'a device', () => {}],
    ['a descriptor that is not open', '/dev/fd/4321', 'no such file', () => {}],
  ])('%s', async (_name, name, words, make) => {
    make()
    const {code, exit, said} = await refusal(name)
    expect([code, exit]).toEqual(['CONFIG_NOT_FOUND', 31])
    expect(said.toLowerCase()).toContain(words)
    expect(said).toContain(name)
  })

  it('a socket', async () => {
    const server = createServer().listen(at('m.json'))
    await once(server, 'listening')
    try {
      expect((await refusal('m.json')).said).toContain('a socket')
    } finally {
      server.close()
    }
  })

  it('a file that this user may not read', async () => {
    writeFileSync(at('m.json'), `{"target": "${canary}"}`, {mode: 0})
    const root = process.geteuid!() === 0
    if (root) process.seteuid!(65_534)
    try {
      const {code, said} = await refusal('m.json')
      expect(code).toBe('CONFIG_NOT_FOUND')
      expect(said).toContain('may not be read by this user')
    } finally {
      if (root) process.seteuid!(0)
    }
  })
})

const json = `{\n  "agent": {"annotations": {"note": "${canary}"}},\n  "target": "pod/x"\n}\n`
const utf16 = (text: string) => Buffer.from(text, 'utf16le')
const swapped = (bytes: Buffer) => Buffer.from(bytes).swap16()
const utf32 = (text: string) => Buffer.concat([...text].map((char) => Buffer.from([char.charCodeAt(0), 0, 0, 0])))
const deep = 100_000

describe('what is no text of a configuration', () => {
  it.each<[string, string, string | Buffer, string, number?]>([
    ['an empty file', 'm.json', '', 'the file is empty'],
    ['an empty file without an extension', 'm', '', 'the file is empty'],
    ['white space only', 'm.json', ' \n\t\n', 'the file is empty'],
    ['a byte order mark only', 'm.json', '\u{feff}', 'the file is empty'],
    ['two byte order marks', 'm.json', `\u{feff}\u{feff}${json}`, 'malformed', 1],
    ['a NUL', 'm.json', json.replace('pod/x', 'pod/\0'), 'NUL', 3],
    ['a NUL in YAML', 'm.yaml', `key: ${canary}\nkube_context: a\0b\n`, 'NUL', 2],
    ['a NUL in TOML', 'm.toml', `key = "${canary}"\n# \0\n`, 'NUL', 2],
    ['NULs only', 'm.json', Buffer.alloc(1000), 'NUL', 1],
    ['a NUL behind the end', 'm.json', `${json}\0`, 'NUL', 5],
    ['UTF-16 with a mark', 'm.json', utf16(`\u{feff}${json}`), 'UTF-16'],
    ['UTF-16 with a mark, the other order', 'm.yaml', swapped(utf16(`\u{feff}${json}`)), 'UTF-16'],
    ['UTF-16 without a mark', 'm.json', utf16(json), 'UTF-16'],
    ['UTF-16 without a mark, the other order', 'm.toml', swapped(utf16(json)), 'UTF-16'],
    ['UTF-32', 'm.json', utf32(json), 'm.json'],
    ['Latin-1', 'm.json', Buffer.from(json.replace('pod/x', 'caf\u{e9}'), 'latin1'), 'not UTF-8', 3],
    ['Latin-1 in a comment', 'm.yaml', Buffer.from(`key: ${canary}\n# caf\u{e9}\n`, 'latin1'), 'not UTF-8', 2],
    ['a cut character', 'm.toml', Buffer.from(`key = "${canary}"\n# \u{20ac}`).subarray(0, -1), 'not UTF-8', 2],
    ['half a surrogate pair', 'm.json', Buffer.from([0x7b, 0xed, 0xa0, 0x80, 0x7d]), 'not UTF-8', 1],
    ['an overlong slash', 'm.json', Buffer.from([0x7b, 0xc0, 0xaf, 0x7d]), 'not UTF-8', 1],
    ['compressed data', 'm.json', Buffer.from([0x1f, 0x8b, 8, 0, 1, 2, 3, 4, 0, 3]), 'm.json:1'],
    ['a program', 'm', Buffer.from('\x7fELF\x02\x01\x01\0\0\0', 'latin1'), 'NUL', 1],
    ['5 MB', 'm.json', `{"target": "${canary}${'x'.repeat(5_000_000)}"}`, 'larger than 512 KiB'],
    ['one byte too many', 'm.yaml', `key: ${canary}\n`.padEnd(512 * 1024 + 1, '#'), 'larger than 512 KiB'],
    ['one byte too many of YAML', 'm.yaml', `key: ${canary}\n`.padEnd(128 * 1024 + 1, '#'), 'larger than 128 KiB'],
    ['one byte too many of TOML', 'm.toml', `key = "${canary}"\n`.padEnd(128 * 1024 + 1, '#'), 'larger than 128 KiB'],
    ['deep lists', 'm.json', '['.repeat(deep), 'deeper than 100', 1],
    ['deep objects', 'm.json', '{"a":'.repeat(deep / 2), 'deeper than 100', 1],
    ['deep lists that end', 'm', '['.repeat(deep) + ']'.repeat(deep), 'deeper than 100', 1],
    ['deep flows of YAML', 'm.yaml', '['.repeat(deep), 'deeper than 100', 1],
    [
      'deep blocks of YAML',
      'm.yml',
      Array.from({length: 450}, (_, at) => `${' '.repeat(at)}a:\n`).join(''),
      'deeper',
      101,
    ],
    ['deep entries of YAML', 'm.yaml', '- '.repeat(60_000), 'deeper than 100', 1],
    ['deep lists of TOML', 'm.toml', `a = ${'['.repeat(deep)}`, 'deeper than 100', 1],
    ['deep tables of TOML', 'm.toml', `[${'a.'.repeat(500)}b]\n`, 'deeper than 100', 1],
    ['a template of brackets', 'm.yaml', `key: {{ ${'('.repeat(deep)} }}`, 'deeper', 1],
    ['thousands of tags', 'm.yaml', `key: ${canary}\n${'{% if true %}\n'.repeat(9000)}`, 'm.yaml:'],
    ['thousands of expressions', 'm.yaml', `key: ${canary}\nagent: "${'{{ nothing }}'.repeat(9000)}"`, 'nothing', 2],
    ['thousands of open quotes', 'm.json', `{\n${'"\n'.repeat(9000)}`, 'no end on its line'],
    ['a number of 400000 digits', 'm.json', `{"a": ${'9'.repeat(400_000)}}`, 'not finite', 1],
    ['thousands of unknown keys', 'm.json', many(5000), 'not a known key'],
    ['thousands of wrong values', 'm.json', `{"skip_processes": [${'5,'.repeat(9000)}5]}`, 'expected a string'],
    ['a key of 100000 characters', 'm.json', `{"${'k'.repeat(100_000)}": "${canary}"}`, 'not a known key'],
    ['a key with control characters', 'm.json', `{"\\u001b[2J\\n::error::x": "${canary}"}`, 'not a known key'],
    ['a pattern of 400000 brackets', 'm.json', `{"feature": {"fs": {"local": "${'('.repeat(400_000)}"}}}`, 'local'],
    ['a target of 400000 slashes', 'm.json', `{"target": "pod${'/'.repeat(400_000)}${canary}"}`, 'malformed'],
  ])('%s', async (_name, name, content, words, line) => {
    writeFileSync(at(name), content)
    const {exit, said, line: told} = await refusal(name)
    expect(exit).toBe(30)
    expect(said.toLowerCase()).toContain(words.toLowerCase())
    expect(said).toContain(name)
    // eslint-disable-next-line no-control-regex -- just those are refused
    expect(said).not.toMatch(/[\x00-\x09\x0b-\x1f]|^::/m)
    if (line !== undefined) expect(told).toBe(line)
  })
})

function many(count: number): string {
  return JSON.stringify(Object.fromEntries(Array.from({length: count}, (_, index) => [`kuy${index}`, canary])))
}

/** The same settings in each format. */
const clean: Record<string, string> = {
  'm.json': '{\n  "target": "pod/x",\n  "agent": {\n    "ttl": 7\n  }\n}\n',
  m: '{\n  "target": "pod/x",\n  "agent": {\n    "ttl": 7\n  }\n}\n',
  'm.yaml': 'target: pod/x\nagent:\n  ttl: 7\n',
  'm.yml': 'target: pod/x\nagent:\n  ttl: 7\n',
  'm.toml': 'target = "pod/x"\n[agent]\nttl = 7\n',
}
const isJson = (name: string) => !/ml$/.test(name)
const schema = (name: string) =>
  isJson(name) ? '{"$schema": "x", ' : `${name === 'm.toml' ? '"$schema" =' : '$schema:'} "x"\n`

describe.each(Object.keys(clean))('[LIF-32] %s is not broken', (name) => {
  it.each<[string, (text: string) => string]>([
    ['as it is', (text) => text],
    ['with a byte order mark', (text) => `\u{feff}${text}`],
    ['with CRLF', (text) => text.replaceAll('\n', '\r\n')],
    ['without its last line break', (text) => text.trimEnd()],
    ['with blank lines around it', (text) => `\n\n${text}\n\n`],
    ['with comments', (text) => (isJson(name) ? `// a\n/* b\n*/ ${text}// c` : `# a\n${text}# b`)],
    ['with $schema', (text) => schema(name) + (isJson(name) ? text.slice(1) : text)],
    ['with a template', (text) => text.replace('pod/x', "{{ 'pod' }}/x")],
    ['with a key that is null', (text) => (isJson(name) ? text.replace('{', '{"kubeconfig": null, ') : text)],
    ['with a mark and CRLF', (text) => `\u{feff}${text.replaceAll('\n', '\r\n')}`],
    [
      'padded to the limit',
      (text) => `${text}${isJson(name) ? '//' : '#'}`.padEnd((isJson(name) ? 512 : 128) * 1024, '.'),
    ],
  ])('%s', async (_name, change) => {
    writeFileSync(at(name), change(clean[name]!))
    const {config} = await resolve(name)
    expect({target: config.target.path, ttl: config.agent.ttl}).toEqual({target: {kind: 'pod', name: 'x'}, ttl: 7})
    const {config: twin} = await resolveConfig({
      flags: {'config-file': 'clean.json', key: config.key},
      env: {},
      cwd: folder,
      readFile: async () => clean['m.json']!,
    })
    expect(config).toEqual(twin)
  })
})
