import {appendFileSync, mkdirSync, rmSync, writeFileSync} from 'node:fs'
import {afterEach, beforeAll, expect, it} from 'vitest'
import type {FileRequest} from '../../../src/trap/types.ts'
import {inEachCondition} from './conditions.ts'
import {buildTrap, cleanUp, compile, run} from './harness.ts'
import {Target} from './remote.ts'

let program: string
beforeAll(() => {
  buildTrap()
  program = compile('watch')
})
afterEach(cleanUp)

/** A target with a file and a directory, whose copies are watched; the session would change them when the target changes. */
function target(): Target {
  const made = new Target({readOnly: ['^/watched(/|$)']})
  made.file('/watched/config', 'first\n')
  return made
}
function start(remote: Target, path: string, watch: (request: FileRequest) => {errno?: number; source?: string}) {
  const file = async (request: FileRequest) =>
    request.operation === 'watch' ? watch(request) : remote.handler(request)
  return run({program, arguments: [path], files: remote.options, file})
}

inEachCondition('watching remote files', () => {
  it('gives the program events of its own inotify instance', async () => {
    using remote = target()
    const copy = `${remote.options.directory}/watched`
    mkdirSync(copy, {recursive: true})
    const started = await start(remote, '/watched', () => ({source: copy}))
    await started.line(/^watching 1, again the same$/)
    writeFileSync(`${copy}/new`, 'x')
    appendFileSync(`${copy}/new`, 'y')
    rmSync(`${copy}/new`)
    writeFileSync(`${copy}/last`, '')
    const events = (await started.finish()).trimEnd().split('\n').slice(1)
    expect(new Set(events)).toEqual(new Set(['created new', 'written new', 'deleted new', 'created last']))
  })

  it('tells what the session cannot watch', async () => {
    using remote = target()
    const unsupported = await start(remote, '/watched/config', () => ({errno: 95}))
    expect(await unsupported.finish()).toBe('Operation not supported\n')
    expect(unsupported.warnings).toEqual([expect.stringContaining('/watched/config')])
    const missing = await start(remote, '/watched/nothing', () => ({errno: 2}))
    expect(await missing.finish()).toBe('No such file or directory\n')
    expect(missing.warnings).toEqual([])
  })
})
