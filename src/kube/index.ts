export {connectAgent, type ConnectOptions} from './connect-agent.ts'
export type {ConnectedAgent} from './reach-agent.ts'
export {createAgent, deleteAgent, waitForAgentGone, type Agent} from './agent-lifecycle.ts'
export {drawIdentity, type AgentIdentity} from './agent-container.ts'
export {agentContainer, agentJobObject, type AgentPlan} from './agent-job.ts'
export {sessionLabel, type AgentOwner} from './agent-owner.ts'
export type {KubeClient, Request} from './client.ts'
export {checkCluster, loadCluster, type Cluster, type ClusterChoice, type ServerVersion} from './cluster.ts'
export {eventLines, logTail} from './diagnosis.ts'
export {ApiError, isStatus} from './errors.ts'
export {loadLibrary} from './kubeconfig.ts'
export {
  listedKinds,
  listNamespaces,
  listTargets,
  type ListedKind,
  type ListedTarget,
  type TargetList,
} from './list-targets.ts'
export {agentNamespaces, deathOf, removeOrphans, type FoundAgent, type OrphanReport} from './orphans.ts'
export {openForward, PortUnreachable, type ForwardChannel, type PodPort} from './port-forward.ts'
export {fetchProfile} from './profile.ts'
export type {Mesh, Runtime} from './readiness.ts'
export {isTransient, type RetryPolicy} from './retry.ts'
export {resolveTarget, type ResolvedTarget} from './target.ts'
export {awaitTarget, podLeaves, stillRuns} from './target-watch.ts'
export {accessMissing, checkAccess, describeNeed} from './access/check.ts'
export {checkVersion, minorVersion} from './server-version.ts'
export {accessNeeds, type Need} from './access/needs.ts'
export {reviewAccess, whoAmI, type Reviewed} from './access/review.ts'
export {rolesFor} from './access/roles.ts'
