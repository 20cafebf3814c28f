import {existsSync, readdirSync, readFileSync} from 'node:fs'
import path from 'node:path'
import {jobIdentity} from '../../../src/session/job.ts'
import {jobReportSchema} from '../../../src/report/schema.ts'
import {commonRoot} from '../../../src/session/roots.ts'
import type {Harness} from './harness.ts'
import {programs, targets, type Action, type Moment, type Step} from './interleaving.ts'
import type {Job, Result} from './mirrord.ts'
import type {Process} from './processes.ts'
import {until} from './until.ts'
import {lostSessions, wrongExits, type Command} from './verdict.ts'

/** Longer than every limit of the product that a command can wait for. */
const COMMAND_MS = 90_000

/** Runs the steps of one job, each of them at its moment, and keeps what came of each command. */
export class Interleaved {
  readonly job: Job
  readonly #harness: Harness
  readonly #commands: Command[] = []
  readonly #problems: string[] = []
  readonly #told: string[] = []
  #clock = 0
  /** How often each kind of event had been seen when the step before began. */
  #before = new Map<Moment, number>()
  #killed = false
  #crashing = false

  constructor(harness: Harness) {
    this.#harness = harness
    this.job = harness.job()
  }

  /** Runs the steps, stops what is left, and gives everything that is not as it was before, or that no command may do. */
  async run(steps: readonly Step[]): Promise<string[]> {
    for (const [index, {when, action}] of steps.entries()) {
      await this.#moment(when)
      this.#before = new Map(steps.slice(index + 1).map((later) => [later.when, this.#seen(later.when)]))
      this.#act(action)
    }
    await this.#allEnded()
    await this.#run('stop', ['--grace', '1'])
    const again = await this.#run('stop', [])
    if (again.code !== 0 || !again.stdout.startsWith('Nothing to stop')) this.#problems.push('the second stop stopped')
    this.#problems.push(
      ...wrongExits(this.#commands, this.#killed || this.#crashing),
      ...lostSessions(this.#commands, this.#reported()),
    )
    await this.#nothingLeft()
    return this.#problems
  }

  /** What happened, for whoever has to understand a failure. */
  transcript(): string {
    const commands = this.#commands.map(({kind, args, began, ended, signals, result}) =>
      [
        `--- ${began}..${ended ?? ''} ${kind} ${args.join(' ')}${signals.length > 0 ? ` <- ${signals.join(', ')}` : ''}`,
        result ? `${result.signal ?? result.code} after ${result.ms} ms\n${result.output.trimEnd()}` : 'still runs',
      ].join('\n'),
    )
    const logs = this.#logs().map(({file, text}) => `--- ${file}\n${text.trimEnd()}`)
    return [...this.#told, ...commands, ...logs].join('\n')
  }

  #logs(): {file: string; text: string}[] {
    return this.job.outputFolders().flatMap((folder) => {
      const file = path.join(folder, 'mirrord.log')
      return existsSync(file) ? [{file, text: readFileSync(file, 'utf8')}] : []
    })
  }

  #seen(moment: Moment): number {
    const [kind, ...rest] = moment.split(' ')
    const what = rest.join(' ')
    if (kind === 'log') return this.#logs().reduce((sum, {text}) => sum + text.split(` ${what}`).length - 1, 0)
    if (kind === 'process') return this.job.processes().filter(({command}) => command.startsWith(what)).length
    if (kind !== 'file') return 0
    const files = readdirSync(path.join(this.job.folder, 'run'), {recursive: true, encoding: 'utf8'})
    return files.filter((file) => path.basename(file) === what).length
  }

  #open(kind?: Command['kind']): Command[] {
    return this.#commands.filter((command) => !command.result && (!kind || command.kind === kind))
  }

  async #moment(when: Moment): Promise<void> {
    if (when === 'at once') return
    if (when === 'ended') return this.#allEnded()
    const before = this.#before.get(when) ?? 0
    const come = () => this.#open().length === 0 || this.#seen(when) > before
    await until(`${when}, or the end of every command`, come, {timeout: COMMAND_MS, interval: 2})
  }

  async #allEnded(): Promise<void> {
    await until('the end of every command', () => this.#open().length === 0, {timeout: COMMAND_MS, interval: 5})
  }

  #act(action: Action): void {
    switch (action.do) {
      case 'start':
        return this.#start(action)
      case 'stop': {
        const args = [...(action.name ? [action.name] : []), '--grace', `${action.grace}`]
        for (let copy = 0; copy < action.copies; copy++) this.#spawn('stop', args, action.fresh)
        return
      }
      case 'cancel': {
        const command = this.#open(action.command).at(-1)
        command?.signals.push(action.signal)
        command?.running.child.kill(action.signal)
        return this.#tell(`${action.signal} to ${command ? `the ${action.command} of ${command.began}` : 'nothing'}`)
      }
      case 'kill': {
        const candidates = this.#victims(action.victim)
        const victim = candidates[action.pick % candidates.length]
        this.#killed ||= victim !== undefined
        if (victim) killNow(victim.pid)
        return this.#tell(`killed ${victim ? `${victim.pid} ${victim.command}` : 'nothing'}`)
      }
      case 'status':
        return void this.#spawn('status', ['--json'])
      case 'wait':
        return void this.#spawn('wait', [...(action.name ? [action.name] : []), '--for', action.goal, '--timeout', '2'])
    }
  }

  #start({program, target, name, wait, copies}: Extract<Action, {do: 'start'}>): void {
    this.#crashing ||= program === 'crash'
    for (let copy = 0; copy < copies; copy++) {
      const at = targets[(target + copy) % targets.length]!
      // Without incoming traffic a port is this machine's own, and another session's program may have it: any will do.
      const port = at === 'targetless' ? 0 : 8080
      const {flags = [], words}: {flags?: string[]; words: string[]} = programs[program](port)
      const named = name ? ['--name', name] : []
      const args = ['--target', at, ...named, ...flags, ...(wait ? [] : ['--no-wait']), '--', ...words]
      this.#spawn('start', args)
    }
  }

  #victims(kind: 'session' | 'trap' | 'program'): Process[] {
    const processes = this.job.processes()
    return processes.filter(({command}) => {
      if (command.startsWith('mirrord-session')) return kind === 'session'
      if (command.includes('mirrord-trap')) return kind === 'trap'
      return kind === 'program' && !command.includes('bin/run.js') && !command.includes('session/main.js')
    })
  }

  #tell(text: string): void {
    this.#told.push(`${++this.#clock} ${text}`)
  }

  async #run(kind: Command['kind'], args: string[]): Promise<Result> {
    const {running} = this.#spawn(kind, args)
    const result = await running.result
    await this.#allEnded()
    return result
  }

  /** `fresh`: from a shell that knows nothing but which job it belongs to. */
  #spawn(kind: Command['kind'], args: string[], fresh = false): Command {
    const kept = ['PATH', 'HOME', 'MIRRORD_CI_JOB', 'MIRRORD_TEST_JOB', 'NODE_COMPILE_CACHE']
    const below = fresh ? ['env', '-i', ...kept.map((name) => `${name}=${this.job.env[name]}`)] : []
    const running = this.job.spawn(['ci', kind, ...args], {below})
    const command: Command = {kind, args, running, began: ++this.#clock, signals: []}
    this.#commands.push(command)
    void running.result.then((result) => Object.assign(command, {result, ended: ++this.#clock}))
    return command
  }

  /** The output folders of the sessions in the job's report. */
  #reported(): string[] {
    const {id} = jobIdentity(this.job.env, {uid: process.getuid!(), bootId: ''})
    const file = path.join(this.job.folder, 'tmp/mirrord', `report-${id}`, 'mirrord-report.json')
    if (!existsSync(file)) return []
    const {sessions} = jobReportSchema.parse(JSON.parse(readFileSync(file, 'utf8')))
    return sessions.flatMap(({session}) => session.outputDirectory ?? [])
  }

  async #nothingLeft(): Promise<void> {
    const problem = (error: unknown) => this.#problems.push((error as Error).message)
    // A process that is gone has no port, no socket and no lock; the rules and the agents are the cluster's.
    await this.#harness.nothingLeft(this.job).catch(problem)
    await this.#harness.deployedAgain(60_000).catch(problem)
    const uid = process.getuid!()
    const {id} = jobIdentity(this.job.env, {uid, bootId: ''})
    const links = path.join(commonRoot(uid), id)
    if (existsSync(links)) this.#problems.push(`left: ${links}: ${readdirSync(links).join(', ')}`)
    for (const {file, text} of this.#logs()) if (/ defect: /.test(text)) this.#problems.push(`a defect in ${file}`)
  }
}

function killNow(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error // it ended by itself
  }
}
