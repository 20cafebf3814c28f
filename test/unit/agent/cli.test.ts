import {describe, expect, it} from 'vitest'
import {parseCli} from '../../../src/agent/cli.ts'
import {makeLog} from '../../../src/agent/log.ts'
import {readSettings} from '../../../src/agent/settings.ts'

const id = 'a'.repeat(64)

describe('parseCli', () => {
  it('reads the arguments that clients send', () => {
    const words = ['-l', '31000', '-t', '45', 'targeted', '--container-id', id, '--container-runtime', 'cri-o']
    expect(parseCli(words, {})).toEqual({
      type: 'run',
      options: {
        communicatePort: 31_000,
        communicationTimeout: 45,
        metrics: undefined,
        testError: false,
        operatorCert: undefined,
        cleanOnStart: false,
        mode: {type: 'targeted', containerId: id, runtime: 'cri-o'},
      },
    })
  })

  it('has defaults, other spellings, and ignores what old clients send', () => {
    const result = parseCli(['--communicate-port=1', '-t2', '--ipv6', 'targeted', '-c', id, '--mesh', 'istio'], {})
    expect(result).toMatchObject({
      options: {communicatePort: 1, communicationTimeout: 2, mode: {runtime: 'containerd'}},
    })
    expect(parseCli(['ephemeral', '--mesh', 'linkerd'], {})).toMatchObject({
      options: {communicatePort: 61_337, communicationTimeout: 30, mode: {type: 'ephemeral'}},
    })
    expect(parseCli(['targetless'], {})).toMatchObject({options: {mode: {type: 'targetless'}}})
  })

  it('takes bound variables, which options override', () => {
    const env = {MIRRORD_AGENT_CLEAN_IPTABLES_ON_START: 'true', MIRRORD_AGENT_METRICS: '0.0.0.0:1'}
    expect(parseCli(['--metrics', '[::]:2', 'targetless'], env)).toMatchObject({
      options: {cleanOnStart: true, metrics: '[::]:2'},
    })
  })

  it.each([
    [[]],
    [['nonsense']],
    [['targeted']],
    [['targeted', '-c']],
    [['-l', '65536', 'targetless']],
    [['-l', 'x', 'targetless']],
    [['--unknown', 'targetless']],
    [['targetless', 'more']],
    [['targetless', '-l', '5']],
    [['--ipv6=yes', 'targetless']],
  ])('refuses %j with exit code 2', (words) => {
    expect(parseCli(words, {})).toMatchObject({type: 'print', exitCode: 2})
  })

  it('refuses malformed bound variables', () => {
    expect(parseCli(['targetless'], {MIRRORD_AGENT_IN_SERVICE_MESH: 'yes'})).toMatchObject({exitCode: 2})
    expect(parseCli(['targetless'], {MIRRORD_AGENT_METRICS: 'here'})).toMatchObject({exitCode: 2})
  })

  it('prints help and version with exit code 0', () => {
    expect(parseCli(['--help'], {})).toMatchObject({type: 'print', exitCode: 0})
    expect(parseCli(['-V'], {})).toMatchObject({text: 'mirrord-agent 3.250.0', exitCode: 0})
    expect(parseCli(['targeted', '-h'], {})).toMatchObject({type: 'print', exitCode: 0})
  })
})

describe('readSettings', () => {
  it('has the defaults of absent variables', () => {
    expect(readSettings({})).toEqual({
      settings: {
        jsonLog: false,
        logFilter: 'error',
        flushConnections: false,
        flushConntrack: true,
        nftables: undefined,
        podIps: [],
        externalIpFix: false,
        unusedPortLinger: 0,
        dnsTimeout: undefined,
        dnsAttempts: undefined,
        idleTtl: 0,
        ephemeralContainerId: '',
      },
      problems: [],
    })
  })

  it('converts units and lists', () => {
    const {settings, problems} = readSettings({
      MIRRORD_AGENT_POD_IPS: '10.0.0.1,fd00::1',
      MIRRORD_AGENT_IDLE_TTL: '3',
      MIRRORD_AGENT_DNS_TIMEOUT: '2',
      MIRRORD_AGENT_NFTABLES: 'false',
    })
    expect(settings).toMatchObject({podIps: ['10.0.0.1', 'fd00::1'], idleTtl: 3000, dnsTimeout: 2000, nftables: false})
    expect(problems).toEqual([])
  })

  it('falls back from malformed values and says so', () => {
    const {settings, problems} = readSettings({MIRRORD_AGENT_POD_IPS: 'x', MIRRORD_AGENT_JSON_LOG: 'yes'})
    expect(settings).toMatchObject({podIps: [], jsonLog: false})
    expect(problems.map((problem) => problem.level)).toEqual(['error', 'error'])
  })

  it('names what it does not support or know, and nothing that clients always send', () => {
    const {problems} = readSettings({
      MIRRORD_AGENT_STEAL_TLS_CONFIG: 'abc',
      MIRRORD_AGENT_NEW_THING: '1',
      MIRRORD_AGENT_PASSTHROUGH_MIRRORING: 'true',
      MIRRORD_AGENT_OVERRIDE_CACHE_CONTROL: 'true',
    })
    expect(problems).toHaveLength(2)
    expect(problems[0]!.text).toMatch(/STEAL_TLS_CONFIG is not supported/)
    expect(problems[1]!.text).toMatch(/NEW_THING is unknown/)
  })
})

describe('makeLog', () => {
  const lines = (filter: string, json = false) => {
    const written: string[] = []
    const log = makeLog(filter, json, 'guard', (line) => written.push(line))
    for (const level of ['error', 'info', 'trace'] as const) log(level, level)
    return written
  }

  it('filters by level, with or without a module', () => {
    expect(lines('')).toHaveLength(1)
    expect(lines('info')).toHaveLength(2)
    expect(lines('error,mirrord=trace')).toHaveLength(3)
    expect(lines('info,hyper=trace')).toHaveLength(2)
    expect(lines('off')).toHaveLength(0)
  })

  it('writes JSON lines', () => {
    expect(JSON.parse(lines('error', true)[0]!)).toMatchObject({level: 'ERROR', message: 'error'})
  })
})
