import {expect, it} from 'vitest'
import {profileChanges} from '../../../src/config/profile.ts'
import {documentedDefinitions} from '../../e2e/support/profiles.ts'

it('docs/profiles.md defines both kinds of profiles with the changes that there are', () => {
  const definitions = documentedDefinitions()
  expect(definitions.map(({spec}) => [spec.names.kind, spec.scope])).toEqual([
    ['MirrordClusterProfile', 'Cluster'],
    ['MirrordProfile', 'Namespaced'],
  ])
  for (const {metadata, spec} of definitions) {
    expect(metadata?.name).toBe(`${spec.names.plural}.${spec.group}`)
    const [version] = spec.versions
    const list = version?.schema?.openAPIV3Schema?.properties?.spec?.properties?.featureAdjustments
    const item = list?.items as {properties: {change: {enum: string[]}}}
    expect(item.properties.change.enum).toEqual(Object.keys(profileChanges))
  }
})
