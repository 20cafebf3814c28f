// Bun and Deno for the matrix of languages. Only `npm run test:long` needs them, and they are large: so no dependencies of ours.
import {existsSync, readFileSync} from 'node:fs'
import {join} from 'node:path'
import {npmCi} from './npm.mjs'
import {phase, root, ScriptError} from './run.mjs'
import {digest, readStamp, writeStamp} from './stamp.mjs'

/** A package of its own, which pins the packages that npm carries each runtime's executable in. */
const folder = 'test/apps/matrix/runtimes'

/** The pinned packages for this machine's processor that are not there: npm leaves out an optional one that it cannot get. */
function missing() {
  const {packages} = JSON.parse(readFileSync(join(root, folder, 'package-lock.json'), 'utf8'))
  return Object.entries(packages)
    .filter(([path, {cpu}]) => cpu?.includes(process.arch) && !existsSync(join(root, folder, path)))
    .map(([path, {version}]) => `${path.replace('node_modules/', '')}@${version}`)
}

/** Installs them where that has not been done; where it cannot be done says so, and the matrix leaves them out by name. */
export async function installRuntimes() {
  const pinned = digest([folder])
  if (readStamp('runtimes') === pinned && missing().length === 0) return
  await phase('setup', 'Bun and Deno', async () => {
    try {
      // Nothing but the executables is wanted: no scripts of the packages.
      await npmCi(join(root, folder), '--include=optional', '--ignore-scripts')
    } catch (error) {
      if (!(error instanceof ScriptError)) throw error
      return `left out of the matrix: ${error.message}`
    }
    const without = missing()
    if (without.length > 0) return `npm could not install ${without.join(' and ')}, left out of the matrix`
    writeStamp('runtimes', pinned)
  })
}
