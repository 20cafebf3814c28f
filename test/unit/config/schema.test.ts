import {describe, expect, it} from 'vitest'
import {z} from 'zod'
import {rootSection} from '../../../src/config/index.ts'
import {leaves} from '../../../src/config/meta.ts'

describe('the schema', () => {
  const all = [...leaves(rootSection)]

  it('documents every key', () => {
    expect(all.length).toBeGreaterThan(100)
    for (const {path, meta} of all) expect(meta.doc, path.join('.')).toMatch(/\.$/)
  })

  it('binds each variable to one key', () => {
    const names = all.flatMap(({meta}) => meta.env ?? [])
    expect(names.filter((name, index) => names.indexOf(name) !== index)).toEqual([])
    for (const name of names) expect(name).toMatch(/^MIRRORD_[A-Z0-9_]+$/)
  })

  it.each([
    ['target', 'target.path'],
    ['target-namespace', 'target.namespace'],
    ['agent-namespace', 'agent.namespace'],
    ['agent-log-level', 'agent.log_level'],
    ['agent-image', 'agent.image'],
    ['agent-ttl', 'agent.ttl'],
    ['agent-startup-timeout', 'agent.startup_timeout'],
    ['ephemeral-container', 'agent.ephemeral'],
    ['fs-mode', 'feature.fs.mode'],
    ['override-env-vars-exclude', 'feature.env.exclude'],
    ['override-env-vars-include', 'feature.env.include'],
    ['no-remote-dns', 'feature.network.dns.enabled'],
    ['skip-processes', 'skip_processes'],
    ['accept-invalid-certificates', 'accept_invalid_certificates'],
    ['steal', 'feature.network.incoming.mode'],
    ['no-tcp-outgoing', 'feature.network.outgoing.tcp'],
    ['no-udp-outgoing', 'feature.network.outgoing.udp'],
    ['no-telemetry', 'telemetry'],
    ['context', 'kube_context'],
    ['env-file', 'feature.env.env_file'],
    ['key', 'key'],
  ])('binds --%s to %s', (flag, key) => {
    const bound = all.filter(({meta}) => meta.flags && flag in meta.flags).map(({path}) => path.join('.'))
    expect(bound).toContain(key)
  })

  it('can be turned into a JSON Schema', () => {
    const schema = z.toJSONSchema(rootSection, {io: 'input'})
    expect(Object.keys(schema.properties ?? {})).toEqual(expect.arrayContaining(['target', 'agent', 'feature', 'ci']))
  })
})
