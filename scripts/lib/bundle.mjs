// The CLI as small ES modules: one entry a command, what they share in chunks, so that a command loads only itself.
import {existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmdirSync, rmSync, writeFileSync} from 'node:fs'
import {dirname, join, relative} from 'node:path'
import {build} from 'esbuild'
import {nativeBuiltins} from './builtins.mjs'
import {lazyCore, lazyImports, replaceKnown} from './lazy-modules.mjs'

/** Plugins are loaded by oclif itself, by name. The rest is optional: native speed-ups of `ws`, oclif's development mode. */
const external = [
  '@oclif/plugin-update',
  'bufferutil',
  'utf-8-validate',
  'typescript',
  'tsx',
  'ts-node',
]

/**
 * @oclif/core finds its own package.json through `__dirname`, which ES modules lack. Its package is installed beside us
 * for the plugins in any case, so the bundled copy is told where that is. And it loads what is used (lazy-modules.mjs).
 */
const core = {
  name: 'oclif-core',
  setup(builder) {
    builder.onLoad({filter: /@oclif[\\/]core[\\/]lib[\\/].*\.js$/}, (args) => {
      const name = args.path.replaceAll('\\', '/').replace(/^.*\/@oclif\/core\/lib\//, '')
      return {
        contents: lazyCore(name, readFileSync(args.path, 'utf8')).replaceAll(
          /\b__dirname\b/g,
          'require("node:path").dirname(require.resolve("@oclif/core"))',
        ),
        loader: 'js',
      }
    })
  },
}

/** What the Kubernetes library needs for proxies and for its own requests: loaded where it is used, without a proxy never. */
const lazyPackages = {
  config: ['undici', 'socks', 'socks-proxy-agent', 'hpagent'],
  'gen/http/isomorphic-fetch': ['undici'],
}
/** All that `gen/index.js` has would be 6 MB of generated classes. */
const generated = [
  /^import \{ createConfiguration, ServerConfiguration, \} from '.\/gen\/index.js';$/m,
  "import {createConfiguration} from './gen/configuration.js';import {ServerConfiguration} from './gen/servers.js';",
]
const kubernetes = {
  name: 'kubernetes',
  setup(builder) {
    for (const [name, packages] of Object.entries(lazyPackages)) {
      builder.onLoad({filter: new RegExp(`@kubernetes[\\\\/]client-node[\\\\/]dist[\\\\/]${name}\\.js$`)}, ({path}) => {
        let source = readFileSync(path, 'utf8')
        if (name === 'config') source = replaceKnown(source, ...generated)
        return {contents: lazyImports(source, packages), loader: 'js'}
      })
    }
  },
}

function* sources(folder) {
  if (!existsSync(folder)) return
  for (const entry of readdirSync(folder, {withFileTypes: true}).sort((a, b) => (a.name < b.name ? -1 : 1))) {
    const path = join(folder, entry.name)
    if (entry.isDirectory()) yield* sources(path)
    else if (entry.name.endsWith('.ts')) yield path
  }
}

/** The modules that something loads by path: oclif, bin/run.js, the session's launcher, users of the protocol. */
export function entryPoints(root) {
  const single = ['src/cli.ts', 'src/cli/help.ts', 'src/session/main.ts', 'src/protocol/index.ts'].map((file) => join(root, file))
  return [
    ...sources(join(root, 'src/commands')),
    ...sources(join(root, 'src/hooks')),
    ...single.filter((file) => existsSync(file)),
  ]
}

/** Writes a file only when it changed, at once: a command that runs meanwhile sees the old or the new one. */
function writeChanged(file, contents) {
  if (existsSync(file) && readFileSync(file).equals(contents)) return
  mkdirSync(dirname(file), {recursive: true})
  const next = `${file}.${process.pid}`
  writeFileSync(next, contents)
  renameSync(next, file)
}

/** Removes what an earlier build wrote and this one does not; `lib/agent` and `lib/trap` are written by others. */
function removeStale(folder, keep, top = true) {
  if (!existsSync(folder)) return
  for (const entry of readdirSync(folder, {withFileTypes: true})) {
    const path = join(folder, entry.name)
    if (top && entry.isDirectory() && ['agent', 'trap'].includes(entry.name)) continue
    if (!entry.isDirectory()) {
      if (!keep.has(path)) rmSync(path)
      continue
    }
    removeStale(path, keep, false)
    if (readdirSync(path).length === 0) rmdirSync(path)
  }
}

/** Bundles the CLI of `root` into its lib/; returns the paths and sizes written. */
export async function bundle(root) {
  const out = join(root, 'lib')
  const result = await build({
    absWorkingDir: root,
    entryPoints: entryPoints(root),
    outbase: join(root, 'src'),
    outdir: out,
    bundle: true,
    splitting: true,
    chunkNames: 'chunks/[hash]',
    format: 'esm',
    platform: 'node',
    target: 'node22',
    external,
    alias: {
      // Its main file asks for its parts in a way that bundlers do not see.
      'jsonc-parser': 'jsonc-parser/lib/esm/main.js',
      // The part that reads kubeconfigs: nothing else of it is used.
      '@kubernetes/client-node': '@kubernetes/client-node/dist/config.js',
    },
    plugins: [core, kubernetes],
    legalComments: 'none',
    // Names in stack traces stay, white space goes: fewer bytes for Node to read at each start.
    minifyWhitespace: true,
    minifySyntax: true,
    metafile: true,
    write: false,
    logLevel: 'error',
  })
  const files = result.outputFiles.map((file) => ({path: file.path, contents: Buffer.from(nativeBuiltins(file.text))}))
  for (const {path, contents} of files) writeChanged(path, contents)
  removeStale(out, new Set(files.map((file) => file.path)))
  return files.map(({path, contents}) => ({path: relative(root, path), bytes: contents.length}))
}
