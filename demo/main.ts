// `npm run demo`: a cluster, a deployed service, and a local program in its place. Exits 0 only when every step showed what
// it should and everything that was started is gone, also after Ctrl-C.
import {startSandbox} from '../sandbox/sandbox.ts'
import {Cluster} from '../test/e2e/support/cluster.ts'
import {Job} from '../test/e2e/support/mirrord.ts'
import {Belongings} from './belongings.ts'
import {chapter, end, failed, say, shown} from './narrator.ts'
import {Story} from './story.ts'

const interruption = new AbortController()
let interruptedBy: NodeJS.Signals | undefined
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(signal, () => {
    if (interruptedBy) return // the end is under way: more signals must not cut it short
    interruptedBy = signal
    console.log()
    say(`${signal}: ending everything that was started`)
    interruption.abort()
  })
}

const belongings = new Belongings()
let job: Job | undefined
let sandbox: Awaited<ReturnType<typeof startSandbox>> | undefined
let ok = false
try {
  chapter('Start a small Kubernetes cluster on this machine')
  sandbox = await startSandbox()
  shown('the API server, the node and the cluster DNS are up')
  job = new Job({kubeconfig: sandbox.kubeconfig, agentImage: 'localhost/mirrord-agent:sandbox'})
  interruption.signal.throwIfAborted()
  await new Story(new Cluster(sandbox.kubeconfig), job, interruption.signal).tell()
  ok = true
} catch (error) {
  if (!interruptedBy) failed(error instanceof Error ? error.message : String(error))
  if (!interruptedBy && process.env.MIRRORD_DEBUG) console.error(error)
}

try {
  chapter('The end: everything that was started goes')
  belongings.look()
  // A story that was cut short may have left a session.
  if (job && job.processes().length > 0) await job.stop('--grace', '2')
  const left = job?.processes().map(({pid, command}) => `process ${pid} ${command}`) ?? []
  belongings.look()
  await sandbox?.stop()
  job?.dispose()
  const folders = [sandbox?.stateDir, job?.folder].filter((folder) => folder !== undefined)
  left.push(...(await belongings.left({link: sandbox?.addresses.link ?? 'none', folders})))
  if (left.length === 0) shown('no process, network, mount or folder is left')
  else ok = false
  for (const item of left) failed(`left behind: ${item}`)
} catch (error) {
  ok = false
  failed(`the end failed: ${error instanceof Error ? error.message : String(error)}`)
}
if (interruptedBy) end('Interrupted.', ok)
else end(ok ? 'Everything worked.' : 'The demo failed.', ok)
process.exit(interruptedBy === 'SIGINT' ? 130 : interruptedBy ? 143 : ok ? 0 : 1)
