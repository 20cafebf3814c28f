import {copyFileSync, mkdirSync, mkdtempSync} from 'node:fs'
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
    toolCache: RUNNER_TOOL_CACHE,
  }
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
