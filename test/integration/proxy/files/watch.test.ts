import fs from 'node:fs'
import path from 'node:path'
import {afterEach, describe, expect, it} from 'vitest'
import {until} from '../sockets.ts'
import type {FileAnswer} from '../../../../src/trap/types.ts'
import {Room} from './room.ts'

let room: Room
const watchers: fs.FSWatcher[] = []
afterEach(async () => {
  for (const watcher of watchers.splice(0)) watcher.close()
  await room.close()
})

/** Watches a remote path as a program does; what inotify tells is recorded. */
async function watch(name: string): Promise<{source: string; events: string[]}> {
  const {source, errno} = await room.ask('watch', name)
  expect(errno).toBeUndefined()
  const events: string[] = []
  watchers.push(fs.watch(source!, (event, file) => events.push(`${event} ${file}`)))
  return {source: source!, events}
}

describe('watching remote files', () => {
  it('changes the copy of a watched file in place', async () => {
    room = await Room.open()
    fs.writeFileSync(room.at('config'), 'one')
    const {source, events} = await watch('/config')
    const inode = fs.statSync(source).ino
    fs.writeFileSync(room.at('config'), 'two and more')
    await until('the change', () => fs.readFileSync(source, 'utf8') === 'two and more')
    await until('an event', () => events.includes('change config'))
    expect(fs.statSync(source).ino).toBe(inode)
    expect(room.changes).toBeGreaterThan(0)
    fs.writeFileSync(room.at('replacing'), 'three')
    fs.renameSync(room.at('replacing'), room.at('config'))
    await until('the change', () => fs.readFileSync(source, 'utf8') === 'three')
    expect(fs.statSync(source).ino).toBe(inode)
  })

  it('renews a large watched file too', async () => {
    room = await Room.open()
    fs.writeFileSync(room.at('big'), Buffer.alloc(3_000_000, 1))
    const {source} = await watch('/big')
    fs.writeFileSync(room.at('big'), Buffer.alloc(3_500_000, 2))
    await until('the change', () => fs.readFileSync(source).equals(Buffer.alloc(3_500_000, 2)))
  })

  it('leaves a copy alone that a program has opened for writing meanwhile', async () => {
    let opened: Promise<FileAnswer> | undefined
    room = await Room.open({
      changed: () => {
        // Between the look and what it leads to.
        opened ??= room.ask('open', '/big', {flags: fs.constants.O_RDWR}).then((answer) => {
          const fd = fs.openSync(answer.source!, 'r+')
          fs.writeSync(fd, 'mine', 0)
          fs.closeSync(fd)
          return answer
        })
      },
    })
    fs.writeFileSync(room.at('big'), Buffer.alloc(3_000_000, 1))
    await watch('/big')
    fs.writeFileSync(room.at('big'), Buffer.alloc(3_500_000, 2))
    await until('the open', () => opened !== undefined)
    const {source, object} = await opened!
    const looks = room.count('Xstat')
    await until('two more looks', () => room.count('Xstat') > looks + 1)
    const mine = Buffer.alloc(3_500_000, 2)
    mine.write('mine')
    expect(fs.readFileSync(source!).equals(mine)).toBe(true)
    await room.proxy.closed(object!, 1)
    expect(fs.readFileSync(room.at('big')).equals(mine)).toBe(true)
  })

  it('shows names that come and go in a watched directory, and content that changes', async () => {
    room = await Room.open()
    fs.mkdirSync(room.at('d'))
    fs.writeFileSync(room.at('d/a'), 'a')
    fs.writeFileSync(room.at('d/b'), 'b')
    const {source, events} = await watch('/d')
    expect(fs.readdirSync(source).sort()).toEqual(['a', 'b'])
    fs.writeFileSync(room.at('d/c'), 'new')
    fs.rmSync(room.at('d/b'))
    await until('the names', () => fs.readdirSync(source).sort().join() === 'a,c')
    await until('the events', () => events.includes('rename c') && events.includes('rename b'))
    expect(fs.readFileSync((await room.ask('open', '/d/c')).source!, 'utf8')).toBe('new')
    events.length = 0
    fs.appendFileSync(room.at('d/a'), ' changed')
    await until('the change', () => events.includes('change a'))
    expect(fs.readFileSync((await room.ask('open', '/d/a')).source!, 'utf8')).toBe('a changed')
    events.length = 0
    fs.renameSync(room.at('d/a'), room.at('d/z'))
    await until('the events', () => events.includes('rename a') && events.includes('rename z'))
  })

  it('follows the swap of a ConfigMap volume', async () => {
    room = await Room.open()
    const volume = room.at('config')
    const version = (name: string, text: string) => {
      fs.mkdirSync(path.join(volume, name))
      fs.writeFileSync(path.join(volume, name, 'app.yaml'), text)
      fs.symlinkSync(name, path.join(volume, '..data_tmp'))
      fs.renameSync(path.join(volume, '..data_tmp'), path.join(volume, '..data'))
    }
    fs.mkdirSync(volume)
    version('..one', 'version: 1')
    fs.symlinkSync('..data/app.yaml', path.join(volume, 'app.yaml'))
    expect(fs.readFileSync((await room.ask('open', '/config/app.yaml')).source!, 'utf8')).toBe('version: 1')
    const {source, events} = await watch('/config')
    version('..two', 'version: 2')
    fs.rmSync(path.join(volume, '..one'), {recursive: true})
    await until('the events', () => events.includes('rename ..data') && events.includes('rename app.yaml'))
    expect(fs.readFileSync((await room.ask('open', '/config/app.yaml')).source!, 'utf8')).toBe('version: 2')
    expect(fs.readdirSync(source).sort()).toEqual(['..data', '..two', 'app.yaml'])
  })

  it('ends the watch of what is removed, and refuses what is missing', async () => {
    room = await Room.open()
    fs.writeFileSync(room.at('f'), 'x')
    const {source} = await watch('/f')
    fs.rmSync(room.at('f'))
    await until('the removal', () => !fs.existsSync(source))
    expect(await room.ask('watch', '/f')).toMatchObject({errno: 2})
  })
})
