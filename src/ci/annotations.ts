import path from 'node:path'
import type {ErrorReport} from '../errors/mirrord-error.ts'
import type {Annotation} from './dialect.ts'

/**
 * What a CI system is told of an error: one annotation for each place that is at fault, else one for the whole. Supporting
 * lines stay in the log. A file outside `workspace` (an absolute path) is named in the message only: the system could not show it.
 */
export function annotationsOf(report: ErrorReport, workspace: string | undefined): Annotation[] {
  const title = `mirrord: ${report.code}`
  const next = report.next.length > 0 ? `\n${report.next.join('\n')}` : ''
  if (!report.places?.length) {
    return [{title, message: `${report.what}${report.why === undefined ? '' : ` ${report.why}`}${next}`}]
  }
  return report.places.map(({file, line, column, message}) => {
    const inside = workspace === undefined ? undefined : below(workspace, file)
    return {title, message: `${report.what} ${message}${next}`, ...(inside && {file: inside, line, column})}
  })
}

/** The path below a folder, with `/`; undefined for one that is not below it. */
function below(folder: string, file: string): string | undefined {
  const relative = path.relative(folder, file)
  if (relative === '' || relative.startsWith('..') || path.isAbsolute(relative)) return undefined
  return relative.split(path.sep).join('/')
}
