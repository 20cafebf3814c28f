// Runs in a pod: reaches the cluster as that pod's service account, and says who it is and what it sees.
import {checkCluster, listTargets, loadCluster, whoAmI} from '../../../src/kube/index.ts'

const cluster = await loadCluster({}, process.env)
const {context, namespace, source} = cluster
const {gitVersion} = await checkCluster(cluster)
const {targets} = await listTargets(cluster, {kinds: ['deployment']})
console.log(JSON.stringify({context, namespace, source, gitVersion, user: await whoAmI(cluster), targets}))
cluster.client.close()
