import {Config, Errors, Flags} from '@oclif/core'
import {mkdtempSync, rmSync} from 'node:fs'
import path from 'node:path'
import {tmpdir} from 'node:os'
import {afterAll, afterEach, beforeAll, describe, expect, it, vi} from 'vitest'
import {MirrordCommand} from '../../../src/cli/command.ts'
import {ReportedError} from '../../../src/cli/report.ts'
import CiApiKey from '../../../src/commands/ci/api-key.ts'
import CiStart from '../../../src/commands/ci/start.ts'
import CiStop from '../../../src/commands/ci/stop.ts'
import {checks} from '../../../src/hooks/checks.ts'
import {commandContext} from '../../../src/cli/context.ts'
import prerun from '../../../src/hooks/prerun.ts'
import {MirrordError} from '../../../src/errors/mirrord-error.ts'

const root = path.join(import.meta.dirname, '../../..')
let config: Config
let home: string

beforeAll(async () => {
  config = await Config.load({root})
  home = mkdtempSync(path.join(tmpdir(), 'mirrord-prerun-'))
})
afterAll(() => rmSync(home, {recursive: true}))
afterEach(() => {
  vi.restoreAllMocks()
  vi.unstubAllEnvs()
})

/** Runs the hook as oclif does. */
function gate(command: unknown, argv: string[] = []): Promise<void> {
  vi.stubEnv('HOME', home)
  vi.stubEnv('KUBECONFIG', undefined)
  for (const name of Object.keys(process.env)) if (/^MIRRORD_(?!CI_API_KEY)/.test(name)) vi.stubEnv(name, undefined)
  const context = {config, debug: () => {}, error: () => {}, exit: () => {}, log: () => {}, warn: () => {}}
  return prerun.call(context, {Command: command as never, argv, config, context})
}

/** What the hook did: the checks that ran, in their order. */
function watched(fail: Partial<Record<keyof typeof checks, Error>> = {}) {
  const ran: string[] = []
  for (const name of Object.keys(checks) as (keyof typeof checks)[]) {
    vi.spyOn(checks, name).mockImplementation(async () => {
      ran.push(name)
      if (fail[name]) throw fail[name]
    })
  }
  return ran
}

const failureOf = async (running: Promise<void>): Promise<unknown> =>
  running.then(
    () => undefined,
    (error: unknown) => error,
  )

class Bare extends MirrordCommand {
  static override pluginType = 'core'

  async run(): Promise<void> {}
}

describe('the gate before a command', () => {
  it('runs the checks in their order, whatever the order of the declaration', async () => {
    const ran = watched()
    await gate(
      class extends Bare {
        static override requires = ['licence', 'kubeconfig', 'cluster'] as const
      },
    )
    expect(ran).toEqual(['kubeconfig', 'cluster', 'licence'])
  })

  it('runs every check for a command that declares nothing', async () => {
    const ran = watched()
    await gate(Bare)
    expect(ran).toEqual(['kubeconfig', 'cluster', 'licence', 'profile', 'access'])
    ran.length = 0
    await gate({id: 'x', flags: {}, args: {}, strict: true, pluginType: 'core'})
    expect(ran).toEqual(['kubeconfig', 'cluster', 'licence', 'profile', 'access'])
  })

  it('runs only what the command requires', async () => {
    const ran = watched()
    await gate(
      class extends Bare {
        static override requires = ['kubeconfig'] as const
      },
    )
    expect(ran).toEqual(['kubeconfig'])
  })

  it.each([
    ['ci stop', CiStop],
    ['ci api-key', CiApiKey],
  ])('asks nothing of %s', async (_name, command) => {
    const ran = watched()
    await gate(command)
    expect(ran).toEqual([])
  })

  it('leaves the commands of the plugins alone', async () => {
    const ran = watched()
    await gate({id: 'update', flags: {}, args: {}, pluginType: 'user'})
    expect(ran).toEqual([])
  })

  it('blocks the command when a check fails, and does not ask further', async () => {
    const failure = new MirrordError({code: 'X', exit: 'clusterUnreachable', what: 'No.', next: []})
    const ran = watched({cluster: failure})
    const error = await failureOf(gate(Bare))
    expect(error).toBeInstanceOf(ReportedError)
    expect((error as ReportedError).oclif.exit).toBe(40)
    expect(ran).toEqual(['kubeconfig', 'cluster'])
  })

  it('blocks the command when a check has a defect', async () => {
    watched({licence: new TypeError('x is undefined')})
    const error = await failureOf(gate(Bare))
    expect(error).toBeInstanceOf(Errors.CLIError)
    expect((error as ReportedError).report).toMatchObject({code: 'UNEXPECTED', exit: 'unexpected'})
  })

  it('blocks the command when reading its own flags has a defect', async () => {
    watched()
    const parse = () => Promise.reject(new TypeError('broken parser'))
    const error = await failureOf(
      gate(
        class extends Bare {
          static override flags = {number: Flags.string({parse})}
        },
        ['--number', '1'],
      ),
    )
    expect(error).toBeInstanceOf(ReportedError)
  })

  it('blocks the command when its flags are wrong, as a usage error', async () => {
    const ran = watched()
    const error = await failureOf(gate(CiStart, ['--nope', '--', 'node']))
    expect(error).toBeInstanceOf(Errors.CLIError)
    expect(error).not.toBeInstanceOf(ReportedError)
    expect((error as Errors.CLIError).oclif.exit).toBe(2)
    expect(ran).toEqual([])
  })

  it('refuses a kubeconfig that is not there', async () => {
    const error = await failureOf(gate(CiStart, ['--', 'node']))
    expect((error as ReportedError).report).toMatchObject({exit: 'kubeconfig', code: 'KUBECONFIG_MISSING'})
  })

  it('refuses a CI API key that cannot be read, without showing it', async () => {
    for (const name of ['kubeconfig', 'cluster'] as const) vi.spyOn(checks, name).mockResolvedValue()
    vi.stubEnv('MIRRORD_CI_API_KEY', 'mci-v1:c2VjcmV0LXNlY3JldA')
    const error = await failureOf(gate(CiStart, ['--', 'node']))
    const {report} = error as ReportedError
    expect(report).toMatchObject({exit: 'apiKey', code: 'API_KEY_MALFORMED'})
    expect(JSON.stringify(report) + (error as Error).stack).not.toContain('c2VjcmV0')
  })
})

describe('what the command gets from the gate', () => {
  it('has the words of the program in their order', async () => {
    watched()
    await gate(CiStart, ['--', 'docker', 'run', '-e', 'A=1', '-e', 'B=2', '', 'img'])
    expect(commandContext().words).toEqual(['docker', 'run', '-e', 'A=1', '-e', 'B=2', '', 'img'])
  })

  it.each([
    [['--agent-ttl', '5'], 'agent.ttl', 5],
    [['--agent-startup-timeout', '7'], 'agent.startup_timeout', 7],
    [['-i', 'img:1'], 'agent.image', 'img:1'],
    [['--no-outgoing'], 'feature.network.outgoing', {tcp: false, udp: false}],
    [['--no-tcp-outgoing'], 'feature.network.outgoing', {tcp: false, udp: true}],
    [['--no-udp-outgoing'], 'feature.network.outgoing', {tcp: true, udp: false}],
    [['--no-remote-dns'], 'feature.network.dns.enabled', false],
    [['-t', 'pod/web', '--steal'], 'feature.network.incoming.mode', 'steal'],
    [['-t', 'pod/web'], 'feature.network.incoming.mode', 'steal'],
    [[], 'feature.network.incoming.mode', 'off'],
    [['-t', 'deployment/web/container/app'], 'target.path', {kind: 'deployment', name: 'web', container: 'app'}],
    [['-t', 'pod/web', '-n', 'shop'], 'target.namespace', 'shop'],
    [['-t', 'pod/web', '-a', 'agents'], 'agent.namespace', 'agents'],
    [['--accept-invalid-certificates'], 'accept_invalid_certificates', true],
    [['--no-accept-invalid-certificates'], 'accept_invalid_certificates', false],
    [['--context', 'staging'], 'kube_context', 'staging'],
    [['-s', 'A;B'], 'feature.env.include', ['A', 'B']],
    [['-x', 'A'], 'feature.env.exclude', ['A']],
  ])('has %j as %s in the configuration', async (argv, key, value) => {
    watched()
    await gate(CiStart, [...argv, '--', 'node'])
    const found = key
      .split('.')
      .reduce<unknown>((node, name) => (node as Record<string, unknown>)[name], commandContext().resolved!.config)
    if (typeof value === 'object' && !Array.isArray(value)) expect(found).toMatchObject(value)
    else expect(found).toEqual(value)
  })
})
