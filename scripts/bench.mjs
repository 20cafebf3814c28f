// `npm run bench`: the set-up, then the benchmarks on Node 22: on the sandbox, or on the cluster of MIRRORD_E2E_KUBECONFIG.
import {join} from 'node:path'
import {main, node22, programEnv, root, runAttached} from './lib/run.mjs'
import {setup} from './setup.mjs'

await main(async () => {
  await setup()
  let code = 0
  for (const name of ['cli', 'path', 'interception']) {
    const bench = join(root, `bench/${name}.ts`)
    const args = ['--disable-warning=ExperimentalWarning', bench, ...process.argv.slice(2)]
    code ||= await runAttached(node22, args, {env: programEnv()})
  }
  return code
})
