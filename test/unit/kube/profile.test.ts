import {afterEach, describe, expect, it} from 'vitest'
import {fetchProfile, type Cluster} from '../../../src/kube/index.ts'
import {refusal} from '../../refusal.ts'
import {clusterFor, fakeApi, type FakeApi} from './fake-api.ts'

let api: FakeApi | undefined
let cluster: Cluster | undefined
afterEach(async () => {
  cluster?.client.close()
  await api?.close()
})

const GROUP = '/apis/profiles.mirrord.metalbear.co/v1alpha'
const OF_CLUSTER = `${GROUP}/mirrordclusterprofiles`
const OF_SHOP = `${GROUP}/namespaces/shop/mirrordprofiles`

/** Objects by path; a number is a refusal with that status, everything else is not found. */
async function serve(objects: Record<string, unknown>) {
  api = await fakeApi(({url = ''}) => {
    const found = objects[new URL(url, 'http://x').pathname]
    if (found === undefined || typeof found === 'number') return {status: found ?? 404, body: {message: 'refused'}}
    return {body: found}
  })
  cluster = await clusterFor(api.url)
  return cluster
}
const items = (...names: string[]) => ({items: names.map((name) => ({metadata: {name}}))})

describe('fetchProfile', () => {
  it('gives the spec of the object, of the cluster or of a namespace', async () => {
    const found = await serve({
      [`${OF_CLUSTER}/quiet`]: {spec: {featureAdjustments: []}},
      [`${OF_SHOP}/quiet`]: {spec: {featureAdjustments: [{change: 'x'}]}},
    })
    expect(await fetchProfile(found, {name: 'quiet'})).toEqual({featureAdjustments: []})
    expect(await fetchProfile(found, {namespace: 'shop', name: 'quiet'})).toEqual({featureAdjustments: [{change: 'x'}]})
  })

  it('names the profiles that there are', async () => {
    const found = await serve({[OF_CLUSTER]: items('quiet', 'loud'), [OF_SHOP]: items(), '/api/v1/namespaces/shop': {}})
    expect(await refusal(fetchProfile(found, {name: 'quite'}))).toMatchObject({
      code: 'PROFILE_NOT_FOUND',
      exit: 'configNotFound',
      why: 'There is: quiet, loud.',
      next: ['Did you mean "quiet"?', 'See what there is: kubectl get mirrordclusterprofiles'],
    })
    expect(await refusal(fetchProfile(found, {namespace: 'shop', name: 'quiet'}))).toMatchObject({
      what: 'There is no profile "quiet" in the namespace "shop".',
      why: 'There is none at all.',
    })
  })

  it('tells a namespace, and a kind, that do not exist', async () => {
    const found = await serve({[OF_SHOP]: items()})
    expect(await refusal(fetchProfile(found, {namespace: 'shop', name: 'quiet'}))).toMatchObject({
      code: 'NAMESPACE_NOT_FOUND',
    })
    expect(await refusal(fetchProfile(found, {name: 'quiet'}))).toMatchObject({
      code: 'PROFILES_NOT_INSTALLED',
      exit: 'configNotFound',
      why: 'The CustomResourceDefinition mirrordclusterprofiles.profiles.mirrord.metalbear.co is not installed.',
    })
  })

  it('says which right is missing', async () => {
    const found = await serve({[`${OF_CLUSTER}/quiet`]: 403, [OF_CLUSTER]: 403})
    expect(await refusal(fetchProfile(found, {name: 'quiet'}))).toMatchObject({
      exit: 'forbidden',
      what: 'The credentials may not get mirrordclusterprofiles.profiles.mirrord.metalbear.co "quiet".',
    })
    // It may be read but not listed: that it is missing is known all the same.
    expect(await refusal(fetchProfile(found, {name: 'other'}))).toMatchObject({
      code: 'PROFILE_NOT_FOUND',
      why: undefined,
    })
  })
})
