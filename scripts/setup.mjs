// Everything between a fresh clone on a bare Debian 12 with Node >= 20 and a built tree. Idempotent; only Node's own modules.
import {existsSync} from 'node:fs'
import {join} from 'node:path'
import {fileURLToPath} from 'node:url'
import {withLock} from './lib/lock.mjs'
import {installPackages, missingPackages} from './lib/packages.mjs'
import {npmCi} from './lib/npm.mjs'
import {main, node22, phase, programEnv, root, run, ScriptError} from './lib/run.mjs'
import {installRuntimes} from './lib/runtimes.mjs'
import {digest, readStamp, writeStamp} from './lib/stamp.mjs'

/** What the build reads. A change in any of it makes a new build. */
const buildInputs = [
  'src',
  'native',
  'package.json',
  'package-lock.json',
  'scripts/build.mjs',
  'scripts/lib/bundle.mjs',
  'scripts/lib/bundle-agent.mjs',
]

/**
 * Packages (of the named sets, see lib/packages.mjs), dependencies, the runtimes of the set `long`, build: each only when needed.
 * Prints a line for each step that did something.
 */
export async function setup(...sets) {
  const packages = ['base', ...sets]
  const major = Number(process.versions.node.split('.')[0])
  if (major < 20) throw new ScriptError(`Node ${process.versions.node} is too old: at least Node 20 is needed.`)
  await withLock(async () => {
    if (missingPackages(packages).length > 0) {
      await phase('setup', 'Debian packages', async () => (await installPackages(packages)).join(' '))
    }
    const dependencies = digest(['package-lock.json'])
    if (readStamp('dependencies') !== dependencies || !existsSync(node22)) {
      // Development dependencies are needed whatever NODE_ENV says.
      await phase('setup', 'npm ci', () => npmCi(root, '--include=dev'))
      writeStamp('dependencies', dependencies)
    }
    if (sets.includes('long')) await installRuntimes()
    const sources = digest(buildInputs)
    if (readStamp('build') !== sources || !existsSync(join(root, 'lib'))) {
      await phase('setup', 'build', async () => {
        await run(node22, [join(root, 'scripts/build.mjs'), '--locked'], {env: programEnv(), failure: 'The build'})
      })
      writeStamp('build', digest(buildInputs))
    }
  })
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await main(() => setup())
