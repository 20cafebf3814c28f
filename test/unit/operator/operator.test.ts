import {deflateSync, inflateSync} from 'node:zlib'
import {afterEach, describe, expect, it} from 'vitest'
import type {Cluster} from '../../../src/kube/index.ts'
import {checkLicence, decodeApiKey, discoverOperator} from '../../../src/operator/index.ts'
import {clusterFor, fakeApi, type Answer, type FakeApi} from '../kube/fake-api.ts'
import {ciApiKey as key} from '../../fixtures/ci-api-key.ts'
import {refusal} from '../../refusal.ts'

const payload = inflateSync(Buffer.from(key.slice(7), 'base64url'))
const encode = (bytes: Uint8Array) => `mci-v1:${deflateSync(bytes).toString('base64url')}`

describe('decodeApiKey', () => {
  it('reads the key of the specification, also when it was packed by another deflater', async () => {
    for (const text of [key, encode(payload)]) {
      const {certificate, privateKey} = await decodeApiKey(text)
      expect([certificate.length, privateKey.length]).toEqual([258, 83])
    }
  })

  it.each([
    ['empty', '', 'empty'],
    ['another prefix', key.replace('mci-v1', 'mci-v2'), 'does not begin'],
    ['a line break at its end', `${key}\n`, 'white space'],
    ['padding', `${key}=`, 'characters'],
    ['an end cut off', key.slice(0, -40), 'cut off'],
    ['a changed character', key.replace('eNr7', 'eNr8'), 'damaged'],
    ['no private key', encode(payload.subarray(0, 261)), 'cut off'],
    ['a private key cut off', encode(payload.subarray(0, 300)), 'cut off'],
    [
      'a damaged certificate',
      encode(Buffer.concat([payload.subarray(0, 3), Buffer.from([0]), payload.subarray(4)])),
      'certificate',
    ],
    [
      'a damaged private key',
      encode(Buffer.concat([payload.subarray(0, 262), Buffer.from([0]), payload.subarray(263)])),
      'private key',
    ],
    ['an absurd length', encode(Buffer.from([0xfd, 255, 255, 255, 255, 255, 255, 255, 255])), 'cut off'],
    ['a bomb', encode(Buffer.alloc(50_000_000)), 'damaged'],
  ])('refuses %s without showing it', async (_name, text, words) => {
    const report = await refusal(decodeApiKey(text))
    expect(report).toMatchObject({code: 'API_KEY_MALFORMED', exit: 'apiKey'})
    expect(report.why).toContain(words)
    expect(JSON.stringify(report)).not.toContain('eNr7zc')
  })
})

describe('discoverOperator', () => {
  let api: FakeApi
  let cluster: Cluster
  afterEach(async () => {
    cluster.client.close()
    await api.close()
  })
  const base = '/apis/operator.metalbear.co/v1'
  const discover = async (object: Answer, resources: Answer, required?: boolean) => {
    api = await fakeApi(({url}) => (url === base ? resources : object))
    cluster = await clusterFor(api.url)
    return discoverOperator(cluster, {required})
  }
  const none = {status: 404, body: {}}
  const served = {body: {resources: [{kind: 'MirrordOperator', name: 'mirrordoperators'}]}}
  const down = {status: 503, body: {}}

  it('finds it', async () => {
    const license = {organization: 'Acme', expire_at: '2030-01-01', name: 'x'}
    const spec = {operator_version: '3.120.0', license}
    expect(await discover({body: {spec}}, none)).toEqual({
      present: true,
      version: '3.120.0',
      licence: {organization: 'Acme', expireAt: '2030-01-01'},
    })
    expect(api.requests).toEqual([`GET ${base}/mirrordoperators/operator`])
  })

  it.each([
    ['absent', none, none, undefined, false],
    ['absent, required', none, none, true, false],
    ['down', down, down, undefined, false],
    ['another API of the group', none, {body: {resources: []}}, undefined, false],
    [
      'only a subresource',
      none,
      {body: {resources: [{kind: 'MirrordOperator', name: 'mirrordoperators/status'}]}},
      undefined,
      false,
    ],
  ])('%s', async (_name, object, resources, required, present) => {
    expect((await discover(object, resources, required)).present).toBe(present)
  })

  it.each([
    ['forbidden where it is served', {status: 403, body: {}}, served, undefined, 'forbidden'],
    ['down, required', down, down, true, 'clusterUnreachable'],
    ['an answer that is not understood', {body: {spec: {}}}, none, undefined, 'operator'],
  ])('refuses: %s', async (_name, object, resources, required, exit) => {
    expect((await refusal(discover(object, resources, required))).exit).toBe(exit)
  })

  it('does not take a lost connection for an absence', async () => {
    api = await fakeApi(({socket}) => {
      socket.destroy()
      return 'handled'
    })
    cluster = await clusterFor(api.url)
    expect((await refusal(discoverOperator(cluster))).exit).toBe('clusterUnreachable')
    // Asked again, because it may pass; nothing else is asked instead.
    expect([...new Set(api.requests)]).toEqual([`GET ${base}/mirrordoperators/operator`])
  })
})

describe('checkLicence', () => {
  const present = {present: true, version: '3.120.0'} as const
  const absent = {present: false} as const

  it.each([
    [{discovery: absent}],
    [{discovery: absent, apiKey: key}],
    [{operator: false}],
    [{operator: false, discovery: present}],
  ])('passes %#', async (input) => {
    await checkLicence(input)
  })

  it.each([
    [{operator: true, discovery: absent}, 'OPERATOR_NOT_FOUND', 'operator'],
    [{discovery: present}, 'OPERATOR_SESSIONS_UNSUPPORTED', 'operator'],
    [{operator: true, discovery: present}, 'OPERATOR_SESSIONS_UNSUPPORTED', 'operator'],
    [{operator: false, apiKey: 'nonsense'}, 'API_KEY_MALFORMED', 'apiKey'],
    [{discovery: absent, apiKey: ''}, 'API_KEY_MALFORMED', 'apiKey'],
  ])('refuses %#', async (input, code, exit) => {
    expect(await refusal(checkLicence(input))).toMatchObject({code, exit})
  })

  it('says how to go on where there is an operator', async () => {
    const {next} = await refusal(checkLicence({discovery: present}))
    expect(next.join()).toContain('"operator": false')
  })
})
