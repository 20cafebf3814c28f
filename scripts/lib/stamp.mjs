// Stamps tell whether a step's inputs changed since it last succeeded. By content: a checkout changes every time.
import {createHash} from 'node:crypto'
import {existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {root} from './run.mjs'

const folder = join(root, '.setup-stamp')

function* files(path) {
  if (!existsSync(path)) return
  if (!statSync(path).isDirectory()) return yield path
  for (const name of readdirSync(path).sort()) {
    if (name === 'node_modules' || name === 'build') continue
    yield* files(join(path, name))
  }
}

/** A digest of the content of these files and folders, with their names. */
export function digest(paths) {
  const hash = createHash('sha256')
  for (const path of paths) {
    for (const file of files(join(root, path))) {
      hash.update(`${file.slice(root.length)}\0`)
      hash.update(createHash('sha256').update(readFileSync(file)).digest())
    }
  }
  return hash.digest('hex')
}

export const readStamp = (name) => {
  const file = join(folder, name)
  return existsSync(file) ? readFileSync(file, 'utf8') : undefined
}

export const writeStamp = (name, value) => {
  mkdirSync(folder, {recursive: true})
  writeFileSync(join(folder, name), value)
}
