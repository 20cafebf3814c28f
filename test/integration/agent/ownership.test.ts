import {
  chmodSync,
  chownSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {afterAll, beforeAll, describe, expect, it} from 'vitest'
import {buildAgent, eventually, isRoot, Lab, type Agent} from './lab.ts'
import {Peer} from './peer.ts'

const [UID, GID, TEAM] = [1234, 4321, 777]
const create = {read: false, write: true, append: false, truncate: false, create: true, createNew: false}

describe.skipIf(!isRoot)('what the agent makes in the target (needs root)', () => {
  let lab: Lab
  let agent: Agent
  let peer: Peer
  const directory = mkdtempSync(join(tmpdir(), 'mrd-owner-'))

  beforeAll(async () => {
    await buildAgent()
    lab = await Lab.create()
    const user = ['setpriv', `--reuid=${UID}`, `--regid=${GID}`, '--clear-groups', 'sleep', '600']
    const {pid = 0} = lab.start('nsenter', [`--net=/run/netns/${lab.name}`, '--', ...user], {})
    await eventually(() => statSync(`/proc/${pid}`).uid === UID, 'the target has its user')
    lab.targetPid = pid
    agent = await lab.agent()
    peer = await Peer.connect(agent.port)
  })
  afterAll(async () => {
    peer?.close()
    await agent?.exited
    await lab?.destroy()
    rmSync(directory, {recursive: true})
  })

  const at = (name: string) => join(directory, name)
  const open = (name: string, more: object = {}) =>
    peer.file({type: 'Open', value: {path: at(name), openOptions: {...create, ...more}}})
  const makeDirectory = (name: string, mode = 0o755) => peer.file({type: 'MakeDir', value: {pathname: at(name), mode}})

  it('belongs to the user and group of its process', async () => {
    await open('file')
    await open('new', {createNew: true})
    await makeDirectory('dir')
    await makeDirectory('dir/slash/', 0o1700)
    symlinkSync('made', at('link'))
    await open('link')
    for (const name of ['file', 'new', 'dir', 'dir/slash', 'made'])
      expect([name, lstatSync(at(name))]).toMatchObject([name, {uid: UID, gid: GID}])
    expect(statSync(at('dir/slash')).mode & 0o7777).toBe(0o1700)
    expect(lstatSync(at('link')).isSymbolicLink()).toBe(true)
    expect(agent.log()).not.toMatch(/WARN/)
  })

  it('has the group of a directory with the set-group-ID bit', async () => {
    mkdirSync(at('team'))
    chownSync(at('team'), 0, TEAM)
    chmodSync(at('team'), 0o2775)
    await open('team/file')
    await makeDirectory('team/dir')
    await open('team/dir/file')
    for (const name of ['team/file', 'team/dir', 'team/dir/file'])
      expect([name, statSync(at(name))]).toMatchObject([name, {uid: UID, gid: TEAM}])
    expect(statSync(at('team/dir')).mode & 0o7777).toBe(0o2755)
  })

  it('is not what was there already', async () => {
    writeFileSync(at('there'), 'old')
    chownSync(at('there'), 5, 6)
    await open('there', {truncate: true})
    expect(statSync(at('there'))).toMatchObject({uid: 5, gid: 6, size: 0})
    await expect(open('there', {createNew: true})).rejects.toThrow(/"rawOsError":17\b/)
    await expect(makeDirectory('there')).rejects.toThrow(/"rawOsError":17\b/)
    expect(statSync(at('there'))).toMatchObject({uid: 5, gid: 6})
    await expect(open('missing/file')).rejects.toThrow(/"rawOsError":2\b/)
  })
})
