// `npm run behaviours`: runs every test that names a row of the specification's behaviours, then prints row by row which
// test shows it and how that went. Fails for a row of a finished feature (A or B) without a passing test.
import {mkdtempSync, rmSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {main, node22, programEnv, root, runAttached} from './lib/run.mjs'
import {vitest} from './lib/results.mjs'
import {setup} from './setup.mjs'

await main(async () => {
  await setup('test')
  const folder = mkdtempSync(join(tmpdir(), 'mirrord-behaviours-'))
  const args = ['-t', String.raw`\[(?:[A-Z]{2,4}-|D)\d+`]
  const env = {MIRRORD_E2E_KUBECONFIG: ''}
  try {
    const suites = [
      ['unit and integration tests', 'vitest.config.ts'],
      ['end-to-end tests on the sandbox', 'vitest.e2e.config.ts'],
    ]
    const files = []
    for (const [name, config] of suites) {
      const file = join(folder, `${config}.json`)
      await vitest(name, config, {env, args, file})
      files.push(file)
    }
    return await runAttached(node22, [join(root, 'scripts/lib/behaviour-table.ts'), ...files], {env: programEnv()})
  } finally {
    rmSync(folder, {recursive: true, force: true})
  }
})
