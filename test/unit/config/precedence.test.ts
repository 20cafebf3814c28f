import fc from 'fast-check'
import {describe, expect, it} from 'vitest'
import {resolvedFile, rootSection} from '../../../src/config/index.ts'
import {readConfigFile} from '../../../src/config/files.ts'
import {defaultOf, leaves, valueAt, type Leaf} from '../../../src/config/meta.ts'
import {examine} from '../../../src/config/resolve.ts'
import {inputOf, type Node} from '../../../scripts/lib/config-schema.ts'

/** A value that a variable or flag can say too: no object, and lists of such. */
type Sayable = boolean | number | string | readonly (number | string)[]
const sayable = (value: unknown): value is Sayable =>
  Array.isArray(value) ? value.every((entry) => !Array.isArray(entry) && sayable(entry)) : typeof value !== 'object'

/** Valid values of a key, from its JSON Schema; from its examples where its texts have a syntax of their own. */
function values({schema, meta}: Leaf): fc.Arbitrary<Sayable> {
  if (meta.examples) return fc.constantFrom(...meta.examples.filter(sayable))
  const found = arbitrary(inputOf(schema, meta))
  if (!found) throw new Error('no value of this key can be written as text')
  return found as fc.Arbitrary<Sayable>
}

function arbitrary(node: Node): fc.Arbitrary<unknown> | undefined {
  const options = (node.anyOf ?? node.oneOf) as Node[] | undefined
  if (options) {
    const found = options.flatMap((option) => arbitrary(option) ?? [])
    return found.length === 0 ? undefined : fc.oneof(...found)
  }
  if (node.const !== undefined) return fc.constant(node.const)
  if (Array.isArray(node.enum)) return fc.constantFrom(...(node.enum as unknown[]))
  switch (node.type) {
    case 'boolean':
      return fc.boolean()
    case 'integer': {
      const {minimum = 0, maximum = Number.MAX_SAFE_INTEGER} = node as {minimum?: number; maximum?: number}
      return fc.integer({min: minimum, max: maximum})
    }
    case 'string': {
      const pattern = typeof node.pattern === 'string' ? node.pattern : '^[A-Za-z0-9_./:@ =*-]{1,12}$'
      return fc.stringMatching(new RegExp(pattern))
    }
    case 'array': {
      const inner = arbitrary(node.items as Node)
      return inner && fc.array(inner, {minLength: 1, maxLength: 3})
    }
    default:
      return undefined
  }
}

const asText = (value: Sayable) => (Array.isArray(value) ? value.join(';') : String(value))
/** A repeated flag arrives as a list of texts. */
const asFlag = ({meta}: Leaf, value: Sayable) => (meta.repeatable ? [value].flat().map(String) : asText(value))

/** The file that sets one key, with a target so that modes mean something. */
const fileOf = (path: readonly string[], value: unknown): unknown => {
  const inner = path.reduceRight<unknown>((below, step) => ({[step]: below}), value)
  return path[0] === 'target' ? inner : {target: 'pod/base', ...(inner as object)}
}

interface Given {
  file?: unknown
  env?: Record<string, string>
  flags?: Record<string, unknown>
}

/** What a key resolves to, and where that is said to come from. */
async function resolved({path}: Pick<Leaf, 'path'>, {file, env = {}, flags = {}}: Given) {
  const text = JSON.stringify(file ?? {target: 'pod/base'})
  const read = await readConfigFile('m.json', '/work', async () => text)
  const base = path[0] === 'target' && file === undefined ? undefined : read
  const {config, origins, problems} = examine({flags, env, cwd: '/work'}, base)
  const name = path.join('.')
  expect(problems.filter((problem) => problem.path.startsWith(name) && !problem.later)).toEqual([])
  return {config: config!, value: valueAt(config, path), origin: origins.get(name) ?? 'default'}
}

const keys = [...leaves(rootSection)].map((leaf) => ({...leaf, name: leaf.path.join('.')}))
const withVariable = keys.filter(({meta}) => meta.env !== undefined)
/** Flags that take the value of their key. */
const valued = keys.flatMap((leaf) =>
  Object.entries(leaf.meta.flags ?? {}).flatMap(([flag, meaning]) => (meaning === true ? [{...leaf, flag}] : [])),
)
/** Flags that mean one value of their key. */
const switches = keys.flatMap((leaf) =>
  Object.entries(leaf.meta.flags ?? {}).flatMap(([flag, meaning]) =>
    meaning === true ? [] : [{...leaf, flag, meaning}],
  ),
)
const runs = {numRuns: 8}

describe('a value says the same wherever it is said', () => {
  it('is tried for every key with a variable or flag', () => {
    expect([withVariable.length, valued.length, switches.length].map((count) => count > 0)).toEqual([true, true, true])
    expect(withVariable.length + valued.length).toBeGreaterThan(80)
  })

  it.each(withVariable)('$name: file and variable', async (leaf) => {
    const holds = async (value: Sayable) => {
      const inFile = await resolved(leaf, {file: fileOf(leaf.path, value)})
      const inVariable = await resolved(leaf, {env: {[leaf.meta.env!]: asText(value)}})
      expect(inVariable.value).toEqual(inFile.value)
      expect(inFile.origin).toBe('file m.json:1')
      expect(inVariable.origin).toBe(`env ${leaf.meta.env}`)
    }
    await fc.assert(fc.asyncProperty(values(leaf), holds), runs)
  })

  it.each(valued)('$name: file and --$flag', async (leaf) => {
    const holds = async (value: Sayable) => {
      const inFile = await resolved(leaf, {file: fileOf(leaf.path, value)})
      const inFlag = await resolved(leaf, {flags: {[leaf.flag]: asFlag(leaf, value)}})
      expect(inFlag.value).toEqual(inFile.value)
      expect(inFlag.origin).toBe(`flag --${leaf.flag}`)
    }
    await fc.assert(fc.asyncProperty(values(leaf), holds), runs)
  })

  it.each(switches)('--$flag is the value $meaning of $name', async (leaf) => {
    const inFlag = await resolved(leaf, {flags: {[leaf.flag]: true}})
    const inVariable = await resolved(leaf, {env: {[leaf.meta.env!]: leaf.meaning}})
    expect(inFlag.value).toEqual(inVariable.value)
    expect(inFlag.origin).toBe(`flag --${leaf.flag}`)
    expect((await resolved(leaf, {flags: {[leaf.flag]: false}})).origin).toBe('default')
  })
})

describe('flag over variable over file over default [LIF-29]', () => {
  const sources = fc.record({file: fc.boolean(), env: fc.boolean(), flag: fc.boolean()})

  it.each(keys.filter(({meta}) => meta.env !== undefined || meta.flags !== undefined))('$name', async (leaf) => {
    const [flag, meaning] = Object.entries(leaf.meta.flags ?? {})[0] ?? []
    const holds = async (used: {file: boolean; env: boolean; flag: boolean}, ...drawn: Sayable[]) => {
      const [inFile, inEnv, inFlag] = drawn as [Sayable, Sayable, Sayable]
      const env = used.env && leaf.meta.env !== undefined
      const byFlag = used.flag && flag !== undefined
      const given = {
        ...(used.file ? {file: fileOf(leaf.path, inFile)} : {}),
        ...(env ? {env: {[leaf.meta.env!]: asText(inEnv)}} : {}),
        ...(byFlag ? {flags: {[flag]: meaning === true ? asFlag(leaf, inFlag) : true}} : {}),
      }
      const {config, value, origin} = await resolved(leaf, given)
      const strongest = byFlag
        ? {flags: given.flags}
        : env
          ? {env: given.env}
          : used.file
            ? {file: given.file}
            : undefined
      if (strongest) expect(value).toEqual((await resolved(leaf, strongest)).value)
      else if (leaf.name === 'key') expect(value).toMatch(/^[0-9a-f]{5}$/)
      else if (leaf.name !== 'target.path') expect(value).toEqual(defaultOf(leaf.schema))
      const expected = byFlag
        ? `flag --${flag}`
        : env
          ? `env ${leaf.meta.env}`
          : used.file
            ? 'file m.json:1'
            : leaf.name === 'key'
              ? 'generated'
              : 'default'
      expect(origin).toBe(expected)
      // The whole of it, written as a file, says the same.
      const again = await resolved(leaf, {file: resolvedFile(config)})
      expect(again.value).toEqual(value)
    }
    const drawn = values(leaf)
    await fc.assert(fc.asyncProperty(sources, drawn, drawn, drawn, holds), runs)
  })

  it('as in the row: steal in the file, off in the variable, --steal', async () => {
    const leaf = {path: ['feature', 'network', 'incoming', 'mode']}
    const file = fileOf(leaf.path, 'steal')
    const env = {MIRRORD_AGENT_TCP_STEAL_TRAFFIC: 'false'}
    expect((await resolved(leaf, {file})).value).toBe('steal')
    expect((await resolved(leaf, {file, env})).value).toBe('off')
    expect((await resolved(leaf, {file, env, flags: {steal: true}})).value).toBe('steal')
  })
})

describe('flags of upstream [LIF-11]', () => {
  // config.md 1.2: a flag is another way to set the variable.
  it.each([
    ['target', 'MIRRORD_IMPERSONATED_TARGET'],
    ['target-namespace', 'MIRRORD_TARGET_NAMESPACE'],
    ['agent-namespace', 'MIRRORD_AGENT_NAMESPACE'],
    ['agent-log-level', 'MIRRORD_AGENT_RUST_LOG'],
    ['agent-image', 'MIRRORD_AGENT_IMAGE'],
    ['agent-ttl', 'MIRRORD_AGENT_TTL'],
    ['agent-startup-timeout', 'MIRRORD_AGENT_STARTUP_TIMEOUT'],
    ['ephemeral-container', 'MIRRORD_EPHEMERAL_CONTAINER=true'],
    ['fs-mode', 'MIRRORD_FILE_MODE'],
    ['override-env-vars-exclude', 'MIRRORD_OVERRIDE_ENV_VARS_EXCLUDE'],
    ['override-env-vars-include', 'MIRRORD_OVERRIDE_ENV_VARS_INCLUDE'],
    ['no-remote-dns', 'MIRRORD_REMOTE_DNS=false'],
    ['skip-processes', 'MIRRORD_SKIP_PROCESSES'],
    ['accept-invalid-certificates', 'MIRRORD_ACCEPT_INVALID_CERTIFICATES'],
    ['steal', 'MIRRORD_AGENT_TCP_STEAL_TRAFFIC=steal'],
    ['no-outgoing', 'MIRRORD_TCP_OUTGOING=false', 'MIRRORD_UDP_OUTGOING=false'],
    ['no-tcp-outgoing', 'MIRRORD_TCP_OUTGOING=false'],
    ['no-udp-outgoing', 'MIRRORD_UDP_OUTGOING=false'],
    ['no-telemetry', 'MIRRORD_TELEMETRY=false'],
    ['context', 'MIRRORD_KUBE_CONTEXT'],
    ['env-file', 'MIRRORD_OVERRIDE_ENV_VARS_FILE'],
    ['key', 'MIRRORD_KEY'],
  ])('--%s stands for %s', (flag, ...variables) => {
    const bound = keys.flatMap(({meta}) => {
      const meaning = meta.flags?.[flag]
      return meaning === undefined ? [] : [meaning === true ? meta.env : `${meta.env}=${meaning}`]
    })
    expect(bound).toEqual(variables)
  })
})
