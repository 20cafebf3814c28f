export {connectAgent, type ConnectedAgent, type ConnectOptions} from './connect-agent.ts'
export {createAgentJob, deleteAgentJob, waitForAgentGone, type AgentJob} from './job-lifecycle.ts'
export {
  agentContainer,
  agentJobObject,
  drawIdentity,
  sessionLabel,
  type AgentIdentity,
  type AgentPlan,
} from './agent-job.ts'
export type {KubeClient, Request, RetryPolicy} from './client.ts'
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
export {openForward, PortUnreachable, type ForwardChannel, type PodPort} from './port-forward.ts'
export {fetchProfile} from './profile.ts'
export type {Mesh, Runtime} from './readiness.ts'
export {resolveTarget, type ResolvedTarget} from './target.ts'
