import * as z from 'zod'
import {fancyRegexMap} from '../../regexes.ts'
import {field, later, section} from '../../meta.ts'
import {list, patterns, text, textMap} from '../../scalars.ts'

/** Section `feature.env`: variables of the target (config.md 3.5, 5.1). */
export const envSection = section(
  {
    include: field(patterns().optional(), {
      doc: "Names of the target's variables to take, with * and ?; all by default.",
      env: 'MIRRORD_OVERRIDE_ENV_VARS_INCLUDE',
      flags: {'override-env-vars-include': true},
      examples: ['DB_*', ['SHOP_*', 'LOG_LEVEL']],
    }),
    exclude: field(patterns().optional(), {
      doc: "Names of the target's variables to leave out, with * and ?.",
      env: 'MIRRORD_OVERRIDE_ENV_VARS_EXCLUDE',
      flags: {'override-env-vars-exclude': true},
      examples: ['AWS_*', ['HTTP_PROXY', 'NO_PROXY']],
    }),
    override: field(textMap().optional(), {doc: 'Variables set for the program, whatever the target has.'}),
    unset: field(list().optional(), {doc: 'Exact names of variables that the program does not get.'}),
    load_from_process: later(z.boolean().default(false), {
      doc: 'Fetch the variables of the target inside the program instead of before it starts.',
      env: 'MIRRORD_ENV_LOAD_FROM_PROCESS',
      feature: 'semantics',
      what: 'loading the environment inside the program',
    }),
    env_file: later(text().optional(), {
      doc: 'File of NAME=VALUE lines, over the variables of the target and below override.',
      env: 'MIRRORD_OVERRIDE_ENV_VARS_FILE',
      flags: {'env-file': true},
      feature: 'semantics',
      what: 'environment files',
    }),
    mapping: later(fancyRegexMap().optional(), {
      doc: 'Patterns of names and the value that a variable of the target or of env_file with such a name gets; the first that matches.',
      feature: 'semantics',
      what: 'mapping of values',
      neutral: [{}],
    }),
  },
  {
    doc: "Environment of the target. `false`: none of the target's variables.",
    short: 'true, false',
    forms: z.boolean(),
    expand: (value) => (value === true ? {} : value === false ? {exclude: '*'} : undefined),
  },
)
