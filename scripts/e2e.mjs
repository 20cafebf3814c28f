// `npm run e2e`: the end-to-end suite on the sandbox, or on the cluster whose kubeconfig is in MIRRORD_E2E_KUBECONFIG.
// Words after `--` go to vitest, for example `npm run e2e -- -t curl`.
import {existsSync} from 'node:fs'
import {main, ScriptError} from './lib/run.mjs'
import {add, report, vitest} from './lib/results.mjs'
import {setup} from './setup.mjs'

await main(async () => {
  const kubeconfig = process.env.MIRRORD_E2E_KUBECONFIG
  if (kubeconfig && !existsSync(kubeconfig)) {
    throw new ScriptError(`MIRRORD_E2E_KUBECONFIG names ${kubeconfig}, which does not exist.`, 33)
  }
  await setup('test')
  const where = kubeconfig ? `the cluster of ${kubeconfig}` : 'the sandbox'
  let counts = await vitest(`end-to-end tests on ${where}`, 'vitest.e2e.config.ts', {args: process.argv.slice(2)})
  // The tests of src/kube run against a real cluster too, where an image of their stand-in agent was made for it.
  if (kubeconfig && process.env.MIRRORD_STAND_IN_IMAGE && process.argv.length === 2) {
    counts = add(
      counts,
      await vitest('src/kube on a real cluster', 'vitest.config.ts', {args: ['test/integration/kube']}),
    )
  }
  return report('npm run e2e', counts)
})
