import {stopJobs} from '../../../src/session/stop.ts'

// Stops the sessions of the job and prints what it stopped as JSON.
process.stdout.write(JSON.stringify(await stopJobs(process.env, {allJobs: false, graceMs: 0})))
