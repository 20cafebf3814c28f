// Installing what a package-lock.json pins, by the npm that runs us, if one does.
import {lstatSync, readlinkSync} from 'node:fs'
import {join} from 'node:path'
import {root, run, ScriptError} from './run.mjs'

/**
 * `npm ci` in a folder. Errors: where its node_modules is a symbolic link, because npm ci empties the folder behind it, which
 * belongs to another tree.
 */
export async function npmCi(folder = root, ...options) {
  const modules = join(folder, 'node_modules')
  if (lstatSync(modules, {throwIfNoEntry: false})?.isSymbolicLink()) {
    throw new ScriptError(
      `${modules} is a symbolic link to ${readlinkSync(modules)}, and npm ci would empty that folder, which other trees may use. ` +
        'Remove the link and run the command again: the packages are then installed here.',
    )
  }
  const args = ['ci', '--no-audit', '--no-fund', '--loglevel=error', ...options]
  const npm = process.env.npm_execpath
  // npm hands its own settings down; those of `npm run --silent` and the like must not change an installation.
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => name !== 'npm_config_omit'))
  const how = {cwd: folder, env, failure: 'npm ci'}
  await (npm?.endsWith('.js') ? run(process.execPath, [npm, ...args], how) : run('npm', args, how))
}
