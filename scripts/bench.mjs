// `npm run bench`: the set-up, then the benchmark on Node 22: on the sandbox, or on the cluster of MIRRORD_E2E_KUBECONFIG.
import {join} from 'node:path'
import {main, node22, programEnv, root, runAttached} from './lib/run.mjs'
import {setup} from './setup.mjs'

await main(async () => {
  await setup()
  const bench = join(root, 'bench/path.ts')
  return runAttached(node22, ['--disable-warning=ExperimentalWarning', bench, ...process.argv.slice(2)], {
    env: programEnv(),
  })
})
