import * as z from 'zod'
import {field, section} from '../../meta.ts'
import {dbBranches} from './branches.ts'
import {copyTargetSection} from './copy-target.ts'
import {envSection} from './env.ts'
import {fsSection} from './fs.ts'
import {magicSection} from './magic.ts'
import {networkSection} from './network.ts'
import {previewSection} from './preview.ts'
import {splitQueues} from './queues.ts'

/** Section `feature`: which parts of the target the program gets (config.md 3.4 to 3.8). */
export const featureSection = section(
  {
    env: envSection,
    fs: fsSection,
    network: networkSection,
    hostname: field(z.boolean().default(true), {doc: "The program sees the target's host name."}),
    copy_target: copyTargetSection,
    split_queues: splitQueues,
    db_branches: dbBranches,
    preview: previewSection,
    magic: magicSection,
  },
  {doc: 'Features.'},
)
