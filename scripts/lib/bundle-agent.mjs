// The agent as one file: it starts its worker from the same file, so it must not be split.
import {existsSync, mkdirSync, readFileSync, renameSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {build} from 'esbuild'

/** Bundles src/agent/main.ts of `root` into lib/agent/agent.js, replaced at once and only when it changed; returns its path. */
export async function bundleAgent(root) {
  const file = join(root, 'lib/agent/agent.js')
  const result = await build({
    absWorkingDir: root,
    entryPoints: ['src/agent/main.ts'],
    outfile: file,
    bundle: true,
    format: 'esm',
    platform: 'node',
    target: 'node22',
    legalComments: 'none',
    minifyWhitespace: true,
    minifySyntax: true,
    write: false,
    logLevel: 'error',
  })
  const contents = Buffer.from(result.outputFiles[0].contents)
  if (existsSync(file) && readFileSync(file).equals(contents)) return file
  mkdirSync(join(root, 'lib/agent'), {recursive: true})
  const next = `${file}.${process.pid}`
  writeFileSync(next, contents)
  renameSync(next, file)
  return file
}
