// The CLI as small ES modules: one entry a command, what they share in chunks, so that a command loads only itself.
import {existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmdirSync, rmSync, writeFileSync} from 'node:fs'
import {dirname, join, relative} from 'node:path'
import {build} from 'esbuild'

/** Plugins are loaded by oclif itself, by name. The rest is optional: native speed-ups of `ws`, oclif's development mode. */
const external = [
  '@oclif/plugin-help',
  '@oclif/plugin-update',
  'bufferutil',
  'utf-8-validate',
  'typescript',
  'tsx',
  'ts-node',
]

/** CommonJS dependencies inside an ES module need a `require`. */
const banner =
  "import {createRequire as __mirrordRequire} from 'node:module';const require=__mirrordRequire(import.meta.url);"

/**
 * @oclif/core finds its own package.json through `__dirname`, which ES modules lack. Its package is installed beside us
 * for the plugins in any case, so the bundled copy is told where that is.
 */
const coreDirname = {
  name: 'oclif-core-dirname',
  setup(builder) {
    builder.onLoad({filter: /@oclif[\\/]core[\\/]lib[\\/].*\.js$/}, (args) => {
      const contents = readFileSync(args.path, 'utf8')
      if (!contents.includes('__dirname')) return undefined
      return {
        contents: contents.replaceAll(/\b__dirname\b/g, 'require("node:path").dirname(require.resolve("@oclif/core"))'),
        loader: 'js',
      }
    })
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
    // Its main file asks for its parts in a way that bundlers do not see.
    alias: {'jsonc-parser': 'jsonc-parser/lib/esm/main.js'},
    banner: {js: banner},
    plugins: [coreDirname],
    legalComments: 'none',
    // Names in stack traces stay, white space goes: fewer bytes for Node to read at each start.
    minifyWhitespace: true,
    minifySyntax: true,
    metafile: true,
    write: false,
    logLevel: 'error',
  })
  for (const file of result.outputFiles) writeChanged(file.path, Buffer.from(file.contents))
  removeStale(out, new Set(result.outputFiles.map((file) => file.path)))
  return result.outputFiles.map((file) => ({path: relative(root, file.path), bytes: file.contents.length}))
}
