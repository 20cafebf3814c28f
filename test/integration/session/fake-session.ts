import {spawn} from 'node:child_process'
import {writeFileSync} from 'node:fs'
import {createInterface} from 'node:readline'
import type {ErrorReport} from '../../../src/errors/mirrord-error.ts'
import {serveControl, type LastWord} from '../../../src/session/control.ts'
import {SessionDirectory, type SessionRecord} from '../../../src/session/state.ts'
import {identify} from '../../../src/util/process.ts'

/** What the stand-in of a session process is to do. */
export interface FakeSession {
  directory: string
  id: string
  /** The session's name; `server` by default. */
  name?: string
  /** Writes its record only when its stdin ends. */
  late?: boolean
  /** Never answers what it is asked. */
  mute?: boolean
  /** Never answers a stop. */
  hang?: boolean
  /** Dies without an answer when it is asked to stop. */
  die?: boolean
  /** What it reports at its end. */
  failure?: ErrorReport
  /** Its `report.json` in its directory. */
  report?: string
  /** Says its report only in its answer, because it removes its directory. */
  tellsReport?: boolean
  /** Fields of its record. */
  record?: Partial<SessionRecord>
  /** Starts a process in the place of the trap, which ends when its stdin does. */
  trap?: boolean
}

const plan = JSON.parse(process.argv[2]!) as FakeSession
const directory = new SessionDirectory(plan.directory, plan.id)
const say = (line: string) => process.stdout.write(`${line}\n`)

const trap = plan.trap ? spawn('/bin/sh', ['-c', 'read line'], {stdio: ['pipe', 'ignore', 'ignore']}) : undefined
let record: SessionRecord = {
  format: 1,
  id: plan.id,
  job: 'aaaaaaaa',
  name: plan.name ?? 'server',
  program: 'server',
  target: 'deployment/web',
  state: 'ready',
  createdAt: new Date().toISOString(),
  session: identify(process.pid)!,
  trap: trap && identify(trap.pid!),
  ...plan.record,
}
const watchers = new Set<(record: SessionRecord) => void>()

if (plan.late) {
  say('waiting')
  process.stdin.resume()
  await new Promise((resolve) => process.stdin.once('end', resolve))
}
directory.write(record)
if (plan.report) writeFileSync(directory.report, plan.report)
let graces = 0
let hurry: () => void = () => {}
const hurried = new Promise<void>((resolve) => (hurry = resolve))
const live = {ports: [{port: 8080, local: '127.0.0.1:9090'}], requests: 3, connections: 2, bytesIn: 120, bytesOut: 4500}
const control = await serveControl(directory.socket, {
  status: () => (plan.mute ? ({type: 'mute'} as never) : {record, live}),
  watch: (tell) => {
    watchers.add(tell)
    tell(record)
    say('watched')
    return () => watchers.delete(tell)
  },
  hurry: (graceMs) => {
    say(`hurry ${graceMs}`)
    hurry()
  },
  async stop(graceMs) {
    say(`stop ${graceMs}`)
    if (plan.die) process.kill(process.pid, 'SIGKILL')
    if (plan.hang) return new Promise<never>(() => {})
    if (graceMs === 60_000) await hurried
    if (++graces > 1) return ended
    finish()
    return ended
  },
})
const {promise: ended, resolve} = Promise.withResolvers<LastWord>()
say('ready')
// A session that nobody stops ends with its test.
process.stdin.resume()
if (!plan.late) {
  // Each line changes its record.
  createInterface({input: process.stdin}).on('line', (line) => {
    record = {...record, ...(JSON.parse(line) as Partial<SessionRecord>)}
    directory.write(record)
    for (const tell of watchers) tell(record)
  })
  process.stdin.once('end', () => void control.close().then(() => process.exit()))
}

function finish(): void {
  setImmediate(() => {
    if (plan.failure) directory.write({...record, state: 'ended', failure: plan.failure})
    else directory.remove()
    resolve({failure: plan.failure, report: plan.tellsReport ? plan.report : undefined})
    void control.close().then(() => {
      say('ended')
      process.exit()
    })
  })
}
