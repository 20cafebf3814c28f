import {Flags} from '@oclif/core'
import {clusterFlags} from './cluster.ts'
import {readinessFlags} from './readiness.ts'
import {runFlags, sessionFlags} from './session.ts'
import {targetFlags} from './target.ts'
import {trafficFlags} from './traffic.ts'

/** The flags of `ci start`, but `--json`, in the order of its help: what few need comes last. */
export const startFlags = {
  ...targetFlags,
  ...sessionFlags,
  foreground: Flags.boolean({summary: 'stay attached to the program and exit with its status'}),
  ...readinessFlags,
  ...trafficFlags('the default of this command'),
  ...runFlags,
  ...clusterFlags,
}
