export type {Check} from './check.ts'
export {clusterChecks, type ClusterFindings} from './cluster.ts'
export {machineChecks} from './machine.ts'
