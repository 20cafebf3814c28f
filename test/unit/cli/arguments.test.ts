import {describe, expect, it} from 'vitest'
import {normalizeArguments} from '../../../src/cli/arguments.ts'
import CiStart from '../../../src/commands/ci/start.ts'

const flags = CiStart.flags as Parameters<typeof normalizeArguments>[1]
const normal = (line: string | readonly string[]) =>
  normalizeArguments(typeof line === 'string' ? line.split(' ').filter(Boolean) : line, flags)
const file = '--config-file=./.mirrord/mirrord.json'
const certificates = '--accept-invalid-certificates'

describe('normalizeArguments', () => {
  it.each([
    // As the docs page writes them.
    ['--target deployment/ip-visit-counter go run x.go', '--target deployment/ip-visit-counter -- go run x.go'],
    ['--config-file mirrord.json npm run x', '--config-file=mirrord.json -- npm run x'],
    // The configuration file, with and without a value.
    ['-f', file],
    ['-f -- node app.js', `${file} -- node app.js`],
    ['-f --steal node app.js', `${file} --steal -- node app.js`],
    ['-f my.json node app.js', '--config-file=my.json -- node app.js'],
    ['-f=my.json node app.js', '-f=my.json -- node app.js'],
    ['-fmy.json node app.js', '-fmy.json -- node app.js'],
    ['--config-file=my.json node', '--config-file=my.json -- node'],
    // Certificates: the value needs "=".
    ['-c node app.js', `${certificates} -- node app.js`],
    ['-c=true node', `${certificates} -- node`],
    ['-c=false node', '--no-accept-invalid-certificates -- node'],
    ['-c true node', `${certificates} -- true node`],
    ['--accept-invalid-certificates=false node', '--no-accept-invalid-certificates -- node'],
    // Every spelling of a value.
    ['-t x node app.js', '-t x -- node app.js'],
    ['-tx node app.js', '-tx -- node app.js'],
    ['-t=x node app.js', '-t=x -- node app.js'],
    ['--target=x node app.js', '--target=x -- node app.js'],
    ['-t node', '-t node'],
    ['-t', '-t'],
    ['--agent-ttl 5 --steal node', '--agent-ttl 5 --steal -- node'],
    ['--no-wait node', '--no-wait -- node'],
    // The program's own flags are its own.
    ['-t x go run main.go -v', '-t x -- go run main.go -v'],
    ['-t x app --help', '-t x -- app --help'],
    ['-t x app --json -c -f', '-t x -- app --json -c -f'],
    ['-t x app --target y', '-t x -- app --target y'],
    ['docker run -e A=1 -e B=2 img', '-- docker run -e A=1 -e B=2 img'],
    ['- x', '-- - x'],
    // The separator before the program, and between the program and its arguments.
    ['-t x -- node app.js -p 1', '-t x -- node app.js -p 1'],
    ['-t x node -- app.js -p 1', '-t x -- node app.js -p 1'],
    ['-t x node app.js -- -p 1', '-t x -- node app.js -- -p 1'],
    ['-- sh -c x -- y', '-- sh -c x -- y'],
    ['-- -weird', '-- -weird'],
    ['--', '--'],
    ['', ''],
    // An unknown flag stays before the separator, where the parser refuses it.
    ['--unknown node app.js', '--unknown -- node app.js'],
    ['--unknown=1 node', '--unknown=1 -- node'],
    ['-z x node', '-z -- x node'],
    ['--help', '--help'],
  ])('%j becomes %j', (line, expected) => {
    expect(normal(line).join(' ')).toBe(expected)
  })

  it('keeps empty arguments where they are', () => {
    expect(normal(['app', '', 'a', ''])).toEqual(['--', 'app', '', 'a', ''])
  })

  it('takes an empty value for what it is', () => {
    expect(normal(['-t', '', 'node'])).toEqual(['-t', '', '--', 'node'])
    expect(normal(['', 'node'])).toEqual(['--', '', 'node'])
  })

  it('changes nothing when it is applied twice', () => {
    for (const line of ['-f -- node a', '-c=false -t x node -- b', 'docker run -e A=1', '--unknown y']) {
      expect(normal(normal(line))).toEqual(normal(line))
    }
  })
})
