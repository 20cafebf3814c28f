import {readFile} from 'node:fs/promises'
import path from 'node:path'
import type {Environment} from '../config/index.ts'
import {MirrordError} from '../errors/mirrord-error.ts'

/** A kubeconfig's text. */
export interface KubeconfigText {
  /** Its path, or the name of the variable that holds it. */
  file: string
  /** What paths in it are relative to. */
  directory: string
  text: string
}

/** The kubeconfigs that were found. */
interface Files {
  found: KubeconfigText[]
  /** Where none was, for a message. */
  looked: string[]
  source: string
}

/** Holds a whole kubeconfig in base64: CI systems keep secrets as variables. It is never written to disk. */
const ENCODED = 'MIRRORD_KUBECONFIG_B64'

/** Whether a kubeconfig's name is that of the variable that holds it. */
export const isEncoded = (file: string): boolean => file === ENCODED

/**
 * Reads the kubeconfigs, by precedence: `explicit` (the configuration's), MIRRORD_KUBECONFIG_B64, KUBECONFIG, ~/.kube/config.
 * `looked` says why there is none. Throws KUBECONFIG_MISSING or KUBECONFIG_MALFORMED (exit kubeconfig).
 */
export async function readKubeconfigs(explicit: string | undefined, env: Environment): Promise<Files> {
  const home = env.HOME
  const encoded = env[ENCODED]
  if (explicit === undefined && encoded) return decode(encoded)
  const named = explicit === undefined ? env.KUBECONFIG : expand(explicit, env)
  const names = named
    ? named.split(path.delimiter).filter((name) => name !== '')
    : home
      ? [path.join(home, '.kube', 'config')]
      : []
  const result: Files = {found: [], looked: [], source: ''}
  for (const file of names) {
    try {
      result.found.push({file, directory: path.resolve(path.dirname(file)), text: await readFile(file, 'utf8')})
    } catch (error) {
      const {code} = error as NodeJS.ErrnoException
      const origin = explicit !== undefined ? 'kubeconfig of the configuration' : named ? 'KUBECONFIG' : 'default'
      result.looked.push(`${file} (${origin}): ${whyUnread(file, code)}`)
      // kubectl passes over missing files of a list; a file that was named on purpose must be there.
      if (explicit !== undefined || !absent(code)) throw missing(result.looked)
    }
  }
  if (!home && !named) result.looked.push('~/.kube/config: HOME is not set')
  result.source = result.found.map(({file}) => file).join(path.delimiter)
  return result
}

/** Some users have the home /dev/null: what is below it is absent too. */
const absent = (code: string | undefined) => code === 'ENOENT' || code === 'ENOTDIR'

function whyUnread(file: string, code: string | undefined): string {
  // `expand` leaves the tilde of who has no home.
  if (/^~(\/|$)/.test(file)) return 'HOME is not set'
  if (absent(code)) return 'no such file'
  return code === 'EACCES' ? 'not readable for this user' : (code ?? 'unreadable')
}

/** `~` and variables, as upstream expands them in the configuration's value (agent.md 1.11). */
function expand(text: string, env: Environment): string {
  return text
    .split(path.delimiter)
    .map((part) => (part === '~' || part.startsWith('~/') ? `${env.HOME || '~'}${part.slice(1)}` : part))
    .join(path.delimiter)
    .replace(/\$(?:\{(\w+)\}|(\w+))/g, (whole, braced?: string, bare?: string) => env[braced ?? bare ?? ''] ?? whole)
}

function decode(encoded: string): Files {
  const compact = encoded.replace(/\s+/g, '')
  // Node's decoder passes over what is no base64; half a secret would then be a strange kubeconfig.
  if (!/^[A-Za-z0-9+/_-]+=*$/.test(compact)) throw malformed(ENCODED, new Error('it is no base64'))
  const text = Buffer.from(compact, 'base64').toString('utf8')
  return {found: [{file: ENCODED, directory: process.cwd(), text}], looked: [], source: ENCODED}
}

/** The error KUBECONFIG_MISSING, with the places where one was looked for. */
export function missing(looked: readonly string[]): MirrordError {
  return new MirrordError({
    code: 'KUBECONFIG_MISSING',
    exit: 'kubeconfig',
    what: 'There is no kubeconfig.',
    why: 'None was found at the places below.',
    next: ['Set KUBECONFIG to a kubeconfig file, or name it as "kubeconfig" in the configuration.'],
    detail: looked.join('\n'),
  })
}

/** The error KUBECONFIG_MALFORMED. The YAML reader's message quotes the file, which holds credentials: only its reason and line are told. */
export function malformed(file: string, error: unknown): MirrordError {
  const {reason, mark, message} = error as {reason?: string; mark?: {line?: number}; message: string}
  const place = mark?.line === undefined ? '' : `:${mark.line + 1}`
  const why = reason ?? (error instanceof TypeError ? 'it is empty or no kubeconfig' : message)
  return new MirrordError({
    code: 'KUBECONFIG_MALFORMED',
    exit: 'kubeconfig',
    what: `The kubeconfig ${file}${place} is malformed.`,
    why: `The reason: ${why}.`,
    next: ['Check it with: kubectl config view'],
  })
}
