// Runs as a process of its own: publishes one session's remains as `ci stop` does. argv: folder, session id, failure or "".
import {publishReports} from '../../../src/report/publish.ts'
import {exampleSession} from '../../unit/report/example.ts'

const [folder = '', id = '', failure = ''] = process.argv.slice(2)
const example = exampleSession()
const report = {...example, session: {...example.session, id, name: id}}
const published = publishReports(
  [
    {
      id,
      name: id,
      job: report.session.job,
      program: report.session.program,
      createdAt: report.session.startedAt,
      text: JSON.stringify(report),
      failure: failure ? {code: failure, exit: 'programCrashed', what: 'It crashed.', next: []} : undefined,
    },
  ],
  {folder, own: false, job: report.session.job, version: '0.1.0', summaryFile: `${folder}/summary.md`},
)
if (published.warnings.length > 0 || !published.html) throw new Error(published.warnings.join('\n'))
