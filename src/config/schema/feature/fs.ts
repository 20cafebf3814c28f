import * as z from 'zod'
import {field, inert, section, type Environment} from '../../meta.ts'
import {regexes, regexMap} from '../../regexes.ts'
import {entriesOf, u64} from '../../scalars.ts'

const fsModes = ['read', 'write', 'local', 'localwithoverrides'] as const
const paths = ['^/data/', ['\\.license$', '^/srv(/|$)']]

/** Section `feature.fs`: which files are the target's (config.md 3.6, 5.2). */
export const fsSection = section(
  {
    mode: field(z.enum(fsModes).default('read'), {
      doc:
        'Which side files are on that no pattern decides: "read" reads from the target and writes here, "write" does both ' +
        'there, "localwithoverrides" neither; with "local" no file is remote, whatever the patterns say.',
      env: 'MIRRORD_FILE_MODE',
      olderEnv: olderMode,
      otherEnv: ['MIRRORD_FILE_OPS', 'MIRRORD_FILE_RO_OPS'],
      // The flag spells the last mode with dashes, the variable and the file do not (config.md 1.2).
      flags: {'fs-mode': true},
      fromText: (value) => value.replaceAll('-', ''),
    }),
    read_write: field(regexes().optional(), {
      doc: 'Patterns of paths that are read and written in the target.',
      env: 'MIRRORD_FILE_READ_WRITE_PATTERN',
      fromText: entriesOf,
      examples: paths,
    }),
    read_only: field(regexes().optional(), {
      doc: 'Patterns of paths that are read from the target and written here.',
      env: 'MIRRORD_FILE_READ_ONLY_PATTERN',
      fromText: entriesOf,
      examples: paths,
      compare: {better: 'the variable is read also where feature.fs is an object in the file'},
    }),
    local: field(regexes().optional(), {
      doc: 'Patterns of paths that are local.',
      env: 'MIRRORD_FILE_LOCAL_PATTERN',
      fromText: entriesOf,
      examples: paths,
    }),
    not_found: field(regexes().optional(), {doc: 'Patterns of paths that are found on neither side.', examples: paths}),
    mapping: field(regexMap().optional(), {
      doc: 'Patterns of paths and what replaces their first match, with $1 or ${name} for its groups, before a path is judged.',
      examples: [{'^/var/lib/app/(.*)$': '/tmp/app/$1'}],
      compare: {better: 'the first pattern of the file that matches applies, not any'},
    }),
    readonly_file_buffer: inert(u64().default(128_000), {
      doc: 'Bytes that are read ahead from a file that is only read.',
      why: 'a remote file is fetched as a whole',
    }),
  },
  {
    doc: 'Files.',
    short: 'true, false, or the name of a mode',
    forms: z.union([z.boolean(), z.enum(fsModes)]),
    expand: (value) =>
      value === true
        ? {mode: 'read'}
        : value === false
          ? {mode: 'local'}
          : typeof value === 'string'
            ? {mode: value}
            : undefined,
  },
)

/** Two older variables, true or false each (config.md 3.6). */
function olderMode(env: Environment): {text: string; env: string; expected?: string} | undefined {
  const known = ['MIRRORD_FILE_OPS', 'MIRRORD_FILE_RO_OPS'].filter((name) => env[name] !== undefined)
  const wrong = known.find((name) => env[name] !== 'true' && env[name] !== 'false')
  if (wrong !== undefined) return {text: env[wrong]!, env: wrong, expected: 'true or false'}
  const name = known.find((name) => env[name] === 'true') ?? known[0]
  if (name === undefined) return undefined
  return {text: env[name] === 'false' ? 'local' : name === 'MIRRORD_FILE_OPS' ? 'write' : 'read', env: name}
}
