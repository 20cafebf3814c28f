#!/usr/bin/env node
// Node's own modules without `import`, as in the bundle (scripts/lib/builtins.mjs says why).
const [major, minor] = process.versions.node.split('.').map(Number)
if (major < 22 || (major === 22 && minor < 3)) {
  process.stderr.write(`Error: mirrord needs Node 22.3 or later, and this is ${process.version}.\n`)
  process.exit(1)
}
const {getCompileCacheDir, enableCompileCache} = process.getBuiltinModule('node:module')
const {lstatSync, mkdirSync} = process.getBuiltinModule('node:fs')
const {join} = process.getBuiltinModule('node:path')

/**
 * Where Node keeps the compiled form of our modules between two commands, a fifth of the time of each. Who can write there can
 * have code run as us, so Node's own default, one folder in /tmp for all users, will not do: this one is ours and closed
 * to others, or there is none. A user's NODE_COMPILE_CACHE goes before.
 */
function cacheFolder() {
  const {TMPDIR, NODE_DISABLE_COMPILE_CACHE} = process.env
  const uid = process.getuid?.()
  if (uid === undefined || NODE_DISABLE_COMPILE_CACHE || getCompileCacheDir() !== undefined) return undefined
  const folder = join(TMPDIR?.startsWith('/') ? TMPDIR : '/tmp', `mirrord-compile-cache-${uid}`)
  try {
    mkdirSync(folder, {mode: 0o700})
  } catch (error) {
    if (error.code !== 'EEXIST') return undefined
  }
  const stat = lstatSync(folder, {throwIfNoEntry: false})
  return stat?.isDirectory() && stat.uid === uid && (stat.mode & 0o077) === 0 ? folder : undefined
}

const folder = cacheFolder()
if (folder !== undefined) enableCompileCache(folder)
await import('./user.js')
const {run} = await import('../lib/cli.js')
await run(process.argv.slice(2), {root: join(import.meta.dirname, '..')})
