// The agent as one file: it starts its worker from the same file, so it must not be split. Beside it the C program, for
// what Node cannot do.
import {execFile} from 'node:child_process'
import {chmodSync, existsSync, mkdirSync, readFileSync, renameSync, writeFileSync} from 'node:fs'
import {dirname, join} from 'node:path'
import {promisify} from 'node:util'
import {build} from 'esbuild'

/** The program's name beside the bundle. */
export const agentHelper = 'mirrord-trap'

/**
 * Bundles src/agent/main.ts of `root` into lib/agent/agent.js, with lib/agent/mirrord-trap beside it, each replaced at
 * once and only when it changed; returns the bundle's path.
 */
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
  replace(file, Buffer.from(result.outputFiles[0].contents), 0o644)
  await promisify(execFile)('make', ['-s', '-C', join(root, 'native/trap')])
  replace(join(root, 'lib/agent', agentHelper), readFileSync(join(root, 'native/trap/build/mirrord-trap')), 0o755)
  return file
}

function replace(file, contents, mode) {
  if (existsSync(file) && readFileSync(file).equals(contents)) return
  mkdirSync(dirname(file), {recursive: true})
  const next = `${file}.${process.pid}`
  writeFileSync(next, contents)
  chmodSync(next, mode)
  renameSync(next, file)
}
