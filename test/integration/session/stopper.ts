import {currentJob} from '../../../src/session/current-job.ts'
import {stopSessions} from '../../../src/session/stop.ts'

// Stops the sessions of the job and prints what it stopped as JSON.
process.stdout.write(JSON.stringify(await stopSessions(currentJob(process.env), {graceMs: 0})))
