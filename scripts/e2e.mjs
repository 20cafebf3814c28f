// `npm run e2e`: the end-to-end suite on the sandbox, or on the cluster whose kubeconfig is in MIRRORD_E2E_KUBECONFIG.
// Words after `--` go to vitest, for example `npm run e2e -- -t curl`.
import {existsSync} from 'node:fs'
import {main, ScriptError} from './lib/run.mjs'
import {report, vitest} from './lib/results.mjs'
import {setup} from './setup.mjs'

await main(async () => {
  const kubeconfig = process.env.MIRRORD_E2E_KUBECONFIG
  if (kubeconfig && !existsSync(kubeconfig)) {
    throw new ScriptError(`MIRRORD_E2E_KUBECONFIG names ${kubeconfig}, which does not exist.`, 33)
  }
  await setup()
  const where = kubeconfig ? `the cluster of ${kubeconfig}` : 'the sandbox'
  const counts = await vitest(`end-to-end tests on ${where}`, 'vitest.e2e.config.ts', {args: process.argv.slice(2)})
  return report('npm run e2e', counts)
})
