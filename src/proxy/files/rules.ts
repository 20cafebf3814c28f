import type {Config} from '../../config/index.ts'
import {compilePatterns, patternMatcher, patternReplacer, type LabelledPattern} from '../../patterns/index.ts'
import {pathClasses} from '../../trap/types.ts'
import {localPaths, mountPaths, notFoundPaths, remotePaths, type PathContext} from './default-paths.ts'
import type {PathClass} from './listing.ts'

/** How paths are judged: for the trap as automata, for the session as functions with the same results. */
export interface FileRules {
  /** `FileOptions.rules` of the trap. */
  rules: Uint8Array
  /** `FileOptions.mapping`. */
  mapping?: Uint8Array
  /** `FileOptions.writable`: some path may be written in the target. */
  writable: boolean
  /** The class of an absolute, normalised path that is mapped already. */
  classify: (path: string) => PathClass
  /** What an absolute path is mapped to; itself when nothing applies. */
  map: (path: string) => string
}

/** What the rules are made of. */
type FileConfig = Omit<Config['feature']['fs'], 'readonly_file_buffer'>

const classes = Object.fromEntries(Object.entries(pathClasses).map(([name, label]) => [label, name as PathClass]))

/**
 * The rules of `feature.fs` (config.md 5.2): the user's not_found, read_write, read_only and local, what a container mounts, the default ones, then
 * the mode; the first that matches decides, without regard to case. Undefined in mode `local`: no file is remote. Throws a
 * PatternError for a pattern that cannot be used, which the verification of the configuration has found before.
 */
export function fileRules(config: FileConfig, context: PathContext): FileRules | undefined {
  if (config.mode === 'local') return undefined
  const list = (patterns: readonly string[] | undefined, name: PathClass): LabelledPattern[] =>
    (patterns ?? []).map((pattern) => ({pattern, label: pathClasses[name], ignoreCase: true}))
  const everything = {
    write: list([''], 'modeReadWrite'),
    read: list([''], 'modeReadOnly'),
    localwithoverrides: [],
  }
  const rules = compilePatterns([
    ...list(config.not_found, 'notFound'),
    ...list(config.read_write, 'readWrite'),
    ...list(config.read_only, 'readOnly'),
    ...list(config.local, 'local'),
    ...list(mountPaths(context), 'local'),
    ...list(notFoundPaths(context), 'notFound'),
    // Written locally: each of them lies in a directory that is local by default.
    ...list(remotePaths, 'readOnly'),
    ...list(localPaths(context), 'local'),
    ...everything[config.mode],
  ])
  const match = patternMatcher(rules)
  return {
    rules,
    writable: config.mode === 'write' || (config.read_write ?? []).length > 0,
    classify: (path) => classes[match(path)] ?? 'local',
    ...mapping(config.mapping),
  }
}

/**
 * The first key, in the order of the file, that matches without regard to case replaces its leftmost match, found with
 * regard to case: a path that matches in another case only stays as it is (config.md 5.2).
 */
function mapping(entries: Readonly<Record<string, string>> = {}): Pick<FileRules, 'mapping' | 'map'> {
  const pairs = Object.entries(entries)
  if (pairs.length === 0) return {map: (path) => path}
  const automaton = compilePatterns(pairs.map(([pattern], index) => ({pattern, label: index + 1, ignoreCase: true})))
  const first = patternMatcher(automaton)
  const replacers = pairs.map(([pattern, replacement]) => patternReplacer(pattern, replacement))
  return {mapping: automaton, map: (path) => replacers[first(path) - 1]?.(path) ?? path}
}
