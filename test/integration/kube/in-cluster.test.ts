import path from 'node:path'
import {afterAll, beforeAll, describe, expect, test} from 'vitest'
import {cluster as startCluster, type Client} from '../sandbox/cluster.ts'

const node = path.join(import.meta.dirname, '../../../node_modules/node/bin/node')
const script = path.join(import.meta.dirname, 'in-cluster.mjs')

describe.skipIf(process.getuid?.() !== 0)('in a pod (root)', () => {
  let client: Client
  beforeAll(async () => {
    client = await startCluster()
  })
  afterAll(() => client?.sandbox.stop())

  test("the cluster is reached with the pod's own service account, where there is no kubeconfig", async () => {
    const env = [{name: 'HOME', value: '/nowhere'}]
    await client.pod('inside', {command: [node, '--disable-warning=ExperimentalWarning', script], env})
    const said = await client.output('inside')
    expect(said).toMatch(/^\{/)
    expect(JSON.parse(said)).toMatchObject({
      context: 'in-cluster',
      namespace: 'default',
      source: 'the service account of this pod',
      user: 'system:serviceaccount:default:default',
      targets: [],
    })
  })

  test('KUBECONFIG with a file that is not there is passed over, as kubectl does', async () => {
    const env = Object.entries({KUBECONFIG: '/nowhere/config', HOME: '/nowhere'}).map(([name, value]) => ({
      name,
      value,
    }))
    await client.pod('named', {command: [node, '--disable-warning=ExperimentalWarning', script], env})
    expect(JSON.parse(await client.output('named'))).toMatchObject({context: 'in-cluster'})
  })
})
