export {TrapError, type TrapErrorReason} from './trap-error.ts'
export type * from './types.ts'
