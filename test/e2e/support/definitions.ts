import {ApiException, ApiextensionsV1Api, type V1CustomResourceDefinition} from '@kubernetes/client-node'
import type {Cluster} from './cluster.ts'
import {until} from './until.ts'

/** Installs a definition where it is missing, and waits until it is established. The result removes what was made here. */
export async function installDefinition(
  {config}: Cluster,
  definition: V1CustomResourceDefinition,
): Promise<() => Promise<unknown>> {
  const definitions = config.makeApiClient(ApiextensionsV1Api)
  const name = definition.metadata!.name!
  let undo = () => Promise.resolve<unknown>(undefined)
  try {
    await definitions.createCustomResourceDefinition({body: definition})
    undo = () => definitions.deleteCustomResourceDefinition({name})
  } catch (error) {
    if (!(error instanceof ApiException) || error.code !== 409) throw error // it is installed already
  }
  await until(`the definition ${name}`, async () => {
    const {status} = await definitions.readCustomResourceDefinition({name})
    return status?.conditions?.some(({type, status}) => type === 'Established' && status === 'True')
  })
  return undo
}
