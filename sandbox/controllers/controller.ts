import type {Store} from '../api/store.ts'
import type {Pod} from '../api/types.ts'
import type {Recorder} from '../kubelet/events.ts'

/** What every controller works with. */
export interface ControllerContext {
  store: Store
  recorder(component: string): Recorder
  /** Completes a pod before it is stored, as the API server does for a client's pod. */
  admit(pod: Pod): void
}

/** A running controller. */
export interface Controller {
  close(): void
}
