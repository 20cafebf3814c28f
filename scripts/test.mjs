// `npm test`: the set-up, then every check. `npm run test:long` runs every large matrix whole instead of a fixed slice of it.
import {existsSync, mkdtempSync, readFileSync, rmSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {main, node22, root} from './lib/run.mjs'
import {add, check, failure, none, report, vitest} from './lib/results.mjs'
import {setup} from './setup.mjs'

const tool = (path) => join(root, 'node_modules', path)

const manifest = join(root, 'oclif.manifest.json')
const readManifest = () => (existsSync(manifest) ? readFileSync(manifest, 'utf8') : undefined)

/** The committed manifest must be the one that the build writes; the build corrects it, which is still a failure. */
async function checkManifest(before) {
  const built = await check('manifest', node22, [join(root, 'scripts/build.mjs'), '--manifest'])
  if (built.failed > 0 || readManifest() === before) return built
  console.log('== manifest: oclif.manifest.json was out of date and has been written anew; commit it')
  return failure('manifest: oclif.manifest.json was out of date')
}

await main(async () => {
  const long = process.argv.includes('--long')
  const env = long ? {MIRRORD_LONG: '1'} : {}
  const committed = readManifest()
  await setup('test', ...(long ? ['long'] : []))
  let counts = none
  const count = async (result) => {
    counts = add(counts, await result)
  }
  await count(checkManifest(committed))
  await count(check('types', node22, [tool('typescript/bin/tsc'), '--noEmit']))
  await count(check('lint', node22, [tool('eslint/bin/eslint.js'), '.']))
  await count(check('format', node22, [tool('prettier/bin/prettier.cjs'), '--check', '.']))
  const folder = mkdtempSync(join(tmpdir(), 'mirrord-test-'))
  try {
    const [hermetic, e2e] = ['hermetic.json', 'e2e.json'].map((name) => join(folder, name))
    await count(vitest('unit and integration tests', 'vitest.config.ts', {env, file: hermetic}))
    await count(
      vitest('end-to-end tests on the sandbox', 'vitest.e2e.config.ts', {
        env: {...env, MIRRORD_E2E_KUBECONFIG: ''},
        file: e2e,
      }),
    )
    // The classes of faults of test/e2e/support/faults.ts.
    for (const fault of long ? ['429', '500', '503', 'slow', 'cut'] : [])
      await count(
        vitest(`starts and stops while the API fails: ${fault}`, 'vitest.e2e.config.ts', {
          env: {MIRRORD_E2E_KUBECONFIG: '', MIRRORD_FAULT: fault},
          args: ['test/e2e/life.test.ts', 'test/e2e/stop.test.ts'],
        }),
      )
    if (long)
      await count(
        vitest('trap tests with AddressSanitizer and UBSan', 'vitest.config.ts', {
          env: {...env, MIRRORD_TRAP_VARIANT: 'sanitized'},
          args: ['test/integration/trap'],
        }),
      )
    const results = [hermetic, e2e].filter((file) => existsSync(file))
    await count(check('behaviours', node22, [join(root, 'scripts/lib/behaviour-table.ts'), ...results]))
  } finally {
    rmSync(folder, {recursive: true, force: true})
  }
  return report(long ? 'npm run test:long' : 'npm test', counts)
})
