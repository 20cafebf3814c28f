import {copyFileSync, mkdirSync, mkdtempSync, statSync} from 'node:fs'
import path from 'node:path'
import type {PathContext} from '../proxy/files/default-paths.ts'
import type {Unsaved} from '../proxy/files/file-proxy.ts'
import type {SessionSpec} from './spec.ts'

/** What the default path rules are built from, of one session. */
export function pathContext({environment, program}: SessionSpec): PathContext {
  const {HOME, TMPDIR, RUNNER_TOOL_CACHE} = environment
  return {
    home: HOME,
    cwd: program.cwd,
    temporary: TMPDIR?.startsWith('/') ? TMPDIR : '/tmp',
    executable: program.path,
    script: scriptDirectory(program.argv, program.cwd),
    toolCache: RUNNER_TOOL_CACHE,
  }
}

/** `node /builds/app/dist/main.mjs`: the directory of the first argument that is no option, when that is a script's file. */
export function scriptDirectory(argv: readonly string[], cwd: string): string | undefined {
  const first = argv.slice(1).find((word) => !word.startsWith('-'))
  if (first === undefined || !/\.([cm]?[jt]s|jsx|tsx|py|rb|pl|php|lua|sh|jar)$/.test(first)) return undefined
  const file = path.resolve(cwd, first)
  return statSync(file, {throwIfNoEntry: false})?.isFile() ? path.dirname(file) : undefined
}

/** Copies what could not be written to the target into a new folder below `parent`, by its path there; returns the folder. */
export function keepUnsaved(unsaved: readonly Unsaved[], parent: string): string {
  const folder = mkdtempSync(path.join(parent, 'unsaved-'))
  for (const file of unsaved) {
    const kept = path.join(folder, file.path)
    mkdirSync(path.dirname(kept), {recursive: true})
    copyFileSync(file.copy, kept)
  }
  return folder
}
