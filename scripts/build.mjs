// Builds the CLI (lib/), the agent (lib/agent), the trap (lib/trap) and oclif.manifest.json. `npm run build`; Node 22.
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import {dirname, join} from 'node:path'
import {withLock} from './lib/lock.mjs'
import {main, node22, phase, programEnv, root, run, runAttached, ScriptError} from './lib/run.mjs'

const kilobytes = (bytes) => `${Math.ceil(bytes / 1024)} kB`

async function buildCli() {
  const {bundle} = await import('./lib/bundle.mjs')
  const files = await bundle(root)
  const entries = files.filter((file) => !file.path.includes('/chunks/'))
  const total = files.reduce((sum, file) => sum + file.bytes, 0)
  return `${entries.length} entries, ${files.length - entries.length} chunks, ${kilobytes(total)}`
}

async function buildAgent() {
  const {bundleAgent} = await import('./lib/bundle-agent.mjs')
  await bundleAgent(root)
  const file = join(root, 'lib/agent/agent.js')
  if (!existsSync(file)) throw new ScriptError('The agent bundle did not write lib/agent/agent.js.')
  return kilobytes(statSync(file).size)
}

async function buildTrap() {
  await run('make', ['-C', 'native/trap'], {env: programEnv(), failure: 'make -C native/trap'})
  const file = join(root, 'lib/trap/mirrord-trap')
  mkdirSync(dirname(file), {recursive: true})
  // A running trap's file cannot be overwritten in place.
  const next = `${file}.${process.pid}`
  copyFileSync(join(root, 'native/trap/build/mirrord-trap'), next)
  chmodSync(next, 0o755)
  renameSync(next, file)
  return kilobytes(statSync(file).size)
}

/** The same manifest as `oclif manifest` writes, without the moment in which there is none. */
async function buildManifest() {
  const {Plugin, settings} = await import('@oclif/core')
  settings.enableAutoTranspile = false
  const plugin = new Plugin({
    errorOnManifestCreate: true,
    ignoreManifest: true,
    respectNoCacheDefault: true,
    root,
    type: 'core',
  })
  await plugin.load()
  const file = join(root, 'oclif.manifest.json')
  // They come in the order in which the folders were read.
  const commands = Object.fromEntries(Object.entries(plugin.manifest.commands).sort(([a], [b]) => (a < b ? -1 : 1)))
  const text = JSON.stringify({...plugin.manifest, commands}, null, 2) + '\n'
  const same = existsSync(file) && readFileSync(file, 'utf8') === text
  if (!same) {
    writeFileSync(`${file}.${process.pid}`, text)
    renameSync(`${file}.${process.pid}`, file)
  }
  return `${Object.keys(plugin.manifest.commands).length} commands${same ? '' : ', changed'}`
}

/** `--manifest` writes only the manifest, from a CLI that is built already. */
async function build() {
  if (process.argv.includes('--manifest')) return phase('build', 'manifest', buildManifest)
  await phase('build', 'CLI', buildCli)
  if (existsSync(join(root, 'scripts/lib/bundle-agent.mjs'))) await phase('build', 'agent', buildAgent)
  if (existsSync(join(root, 'native/trap/Makefile'))) await phase('build', 'trap', buildTrap)
  await phase('build', 'manifest', buildManifest)
}

await main(async () => {
  if (Number(process.versions.node.split('.')[0]) < 22) {
    if (!existsSync(node22)) throw new ScriptError('Run `npm ci` first, or `npm run setup`, which does all of it.')
    return runAttached(node22, process.argv.slice(1))
  }
  // The set-up holds the tree's lock already when it calls us.
  await (process.argv.includes('--locked') ? build() : withLock(build))
})
