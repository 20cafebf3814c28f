import {execFileSync} from 'node:child_process'
import vendors from 'ci-info/vendors.json' with {type: 'json'}
import fc from 'fast-check'
import {describe, expect, it} from 'vitest'
import {detectCi, systemOf} from '../../../src/ci/detect.ts'
import {systems} from '../../../src/ci/systems.ts'
import {vendorOf} from '../../../src/ci/vendors.ts'
import {jobs} from './environments.ts'

/** What ci-info itself says: it reads the environment of the process that loads it, so it is loaded anew for each. */
function askCiInfo(environments: readonly Record<string, string>[]): (string | null)[] {
  const program = `
    const answers = []
    for (const env of JSON.parse(require('fs').readFileSync(0, 'utf8'))) {
      process.env = env
      delete require.cache[require.resolve('ci-info')]
      answers.push(require('ci-info').id)
    }
    console.log(JSON.stringify(answers))`
  const input = JSON.stringify(environments)
  return JSON.parse(execFileSync(process.execPath, ['-e', program], {input, encoding: 'utf8'})) as (string | null)[]
}

/** Every variable of the data, with a value that means its system, an empty one and a wrong one. */
const pairs = vendors
  .flatMap(({env}) => [env].flat() as (string | Record<string, string | string[]>)[])
  .flatMap((condition): [string, string][] => {
    if (typeof condition === 'string') return [[condition, 'x']]
    if ('includes' in condition) return [[condition.env as string, `a:${condition.includes as string}:b`]]
    if ('any' in condition) return (condition.any as string[]).map((name) => [name, 'x'])
    return Object.entries(condition) as [string, string][]
  })
const right = Object.fromEntries(pairs)
const variable = fc
  .constantFrom(...pairs)
  .chain(([name, value]) => fc.constantFrom(value, value, value, '', 'false', 'other').map((text) => [name, text]))
const environment = fc
  .array(fc.oneof({weight: 9, arbitrary: variable}, fc.constantFrom(['CI', 'false'], ['CI', 'true'])), {maxLength: 8})
  .map((entries) => Object.fromEntries(entries) as Record<string, string>)

describe('the evaluation of ci-info’s data', () => {
  it('names every system as ci-info does, and with any mixture of variables', () => {
    const single = vendors.map(({env}) => {
      const names = JSON.stringify(env)
      return Object.fromEntries(pairs.filter(([name]) => names.includes(`"${name}"`)))
    })
    const environments = [...single, {}, right, ...fc.sample(environment, {numRuns: 2000, seed: 5})]
    const ours = environments.map((env) => vendorOf(env)?.constant ?? null)
    expect(ours).toEqual(askCiInfo(environments))
    expect(new Set(ours).size).toBe(vendors.length + 1)
  })
})

describe.each(jobs)('a job of $provider', ({id, provider, env, run}) => {
  it('[D29] is recognised, with what it says about its run', () => {
    expect(systemOf(env)?.id).toBe(id)
    expect(detectCi(env)).toEqual({provider, ...run})
  })

  it('is none with CI=false, but its identity stays', () => {
    expect(detectCi({...env, CI: 'false'})).toBeUndefined()
    expect(systemOf({...env, CI: 'false'})?.id).toBe(id)
  })
})

describe('the detection', () => {
  it('has a realistic job in the tests for every system that it describes', () => {
    expect(jobs.map(({id}) => id).sort()).toEqual(systems.map(({id}) => id).sort())
  })

  it('finds nothing outside of any CI, and no name in generic variables', () => {
    expect(detectCi({})).toBeUndefined()
    expect(detectCi({CI: 'true', BUILD_NUMBER: '1', CONTINUOUS_INTEGRATION: 'true', RUN_ID: '1'})).toBeUndefined()
  })

  it('prefers the system that it knows to a name that anyone can set', () => {
    expect(detectCi({...jobs[0]!.env, VERCEL: '1'})?.provider).toBe('GitHub Actions')
    expect(detectCi({VERCEL: '1'})).toEqual({provider: 'Vercel'})
  })

  it.each([
    [{GITEA_ACTIONS: 'true', GITHUB_ACTIONS: 'true'}, 'Gitea Actions'],
    [{JENKINS_URL: 'https://j', BUILD_ID: '1', HUDSON_URL: 'https://j', GERRIT_PROJECT: 'p'}, 'Jenkins'],
    [{AGOLA_GIT_REF: 'x'}, 'Agola'],
    [{APPCENTER_BUILD_ID: 'x'}, 'AppCenter'],
    [{AC_APPCIRCLE: 'x'}, 'AppCircle'],
    [{LAYERCI: 'x'}, 'Layer CI'],
    [{CI_NAME: 'sourcehut'}, 'SourceHut'],
    [{CI: 'woodpecker'}, 'Woodpecker CI'],
  ])('spells %j as upstream does: %s', (env, provider) => {
    expect(detectCi(env)?.provider).toBe(provider)
  })

  it('knows a Jenkins whose administrator has not configured its address', () => {
    const {JENKINS_URL: _, HUDSON_URL: __, ...env} = jobs.find(({id}) => id === 'jenkins')!.env
    expect(systemOf(env)?.id).toBe('jenkins')
    expect(detectCi(env)?.provider).toBe('Jenkins')
  })

  it.each([
    ['a password', 'https://user:secret@ci.example.org/job/1/', 'https://ci.example.org/job/1/'],
    ['no web address', 'javascript:alert(1)', undefined],
    ['no address at all', 'job 1', undefined],
  ])('shows an address with %s only as far as it may be shown', (_, given, shown) => {
    expect(detectCi({JENKINS_URL: 'https://j', BUILD_ID: '1', BUILD_URL: given})?.url).toBe(shown)
  })
})
