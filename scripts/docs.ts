import {readFileSync, writeFileSync} from 'node:fs'
import path from 'node:path'
import * as z from 'zod'
import {exitCodes, type ExitCodeName} from '../src/errors/exit-codes.ts'
import {configurationPage, keysTable, quirksTable, withGenerated} from './lib/config-docs.ts'
import {configSchema} from './lib/config-schema.ts'
import {obstaclesPage} from './lib/obstacle-docs.ts'
import {jobReportSchema, sessionReportSchema} from '../src/report/schema.ts'

/** The exit-code reference, from the one table. */
export function exitCodesPage(): string {
  const rows = (Object.keys(exitCodes) as ExitCodeName[]).map((name) => {
    const row = exitCodes[name]
    const later = 'later' in row ? ` Comes with: ${row.later}.` : ''
    return `| ${row.code} | ${name} | ${row.meaning}${later} |`
  })
  return [
    '# Exit codes',
    '',
    'Generated from `src/errors/exit-codes.ts` by `npm run docs`. The tens digit says whose turn it is: 3x the configuration,',
    "4x access to the cluster, 5x the agent, 6x licence, operator and API key, 7x the program, 8x this machine, 9x install and update, 128 + n for a command that signal n cancelled. With `--foreground` the program's own status is passed on once it has started (128 + n for signal n). Every code that can arise has a test that provokes its real cause (`npm run behaviours`).",
    '',
    '| code | name | meaning |',
    '| --- | --- | --- |',
    ...rows,
    '',
  ].join('\n')
}

/** JSON Schema of both report files, from the schema by which they are read. */
export function reportSchema(): string {
  const schema = z.toJSONSchema(z.union([sessionReportSchema, jobReportSchema]))
  return `${JSON.stringify({title: 'Reports of mirrord for CI', ...schema}, undefined, 2)}\n`
}

const root = path.join(import.meta.dirname, '..')

/** Every generated page by its path in the repository. */
export const pages: Readonly<Record<string, () => string>> = {
  'docs/exit-codes.md': exitCodesPage,
  'docs/obstacles.md': obstaclesPage,
  'docs/report.schema.json': reportSchema,
  'docs/configuration.md': configurationPage,
  'docs/compatibility.md': () =>
    withGenerated(readFileSync(path.join(root, 'docs/compatibility.md'), 'utf8'), {
      keys: keysTable,
      quirks: quirksTable,
    }),
  'schema/mirrord-schema.json': configSchema,
}

if (process.argv[1] === import.meta.filename) {
  for (const [file, page] of Object.entries(pages)) {
    const target = path.join(root, file)
    let old: string | undefined
    try {
      old = readFileSync(target, 'utf8')
    } catch {
      // first time
    }
    const text = page()
    if (old !== text) writeFileSync(target, text)
    console.log(`${file}: ${old === text ? 'unchanged' : 'written'}`)
  }
}
