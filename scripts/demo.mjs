// `npm run demo`: the set-up, then the demonstration on Node 22.
import {join} from 'node:path'
import {main, node22, programEnv, root, runAttached} from './lib/run.mjs'
import {setup} from './setup.mjs'

await main(async () => {
  await setup()
  const demo = join(root, 'demo/main.ts')
  return runAttached(node22, ['--disable-warning=ExperimentalWarning', demo], {env: programEnv()})
})
