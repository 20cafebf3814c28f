import type {Annotation, Dialect} from './dialect.ts'

type Pairs = readonly (readonly [string, string | number | undefined])[]

/** `%` first: the others put it in. */
function percent(text: string, others: Readonly<Record<string, string>>, sign = '%25'): string {
  let escaped = text.replaceAll('%', sign)
  for (const [char, code] of Object.entries(others)) escaped = escaped.replaceAll(char, code)
  return escaped
}
const lineEnds = {'\r': '%0D', '\n': '%0A'}

const properties = (pairs: Pairs, escape: (text: string) => string, separator: string) =>
  pairs
    .filter(([, value]) => value !== undefined && value !== '')
    .map(([name, value]) => `${name}=${escape(String(value))}`)
    .join(separator)

/** A line and a column are shown only with the file that they belong to. */
const place = ({file, line, column}: Annotation) => (file === undefined ? {} : {file, line, column})

/** GitHub: "Workflow commands for GitHub Actions"; the escapes are those of @actions/core (command.ts). */
export const githubDialect: Dialect = {
  openGroup: (title) => `::group::${percent(title, lineEnds)}`,
  closeGroup: () => '::endgroup::',
  error: (annotation) => {
    const {file, line, column} = place(annotation)
    const escape = (text: string) => percent(text, {...lineEnds, ':': '%3A', ',': '%2C'})
    const pairs: Pairs = [
      ['title', annotation.title],
      ['file', file],
      ['line', line],
      ['col', column],
    ]
    return `::error ${properties(pairs, escape, ',')}::${percent(annotation.message, lineEnds)}`
  },
  mask: (value) => `::add-mask::${percent(value, lineEnds)}`,
}

/** Azure Pipelines: "Logging commands"; the escapes are those of azure-pipelines-task-lib (taskcommand.ts). */
export const azureDialect: Dialect = {
  openGroup: (title) => `##[group]${oneLine(title)}`,
  closeGroup: () => '##[endgroup]',
  error: (annotation) => {
    const {file, line, column} = place(annotation)
    const escape = (text: string) => percent(text, {...lineEnds, ']': '%5D', ';': '%3B'}, '%AZP25')
    const pairs: Pairs = [
      ['type', 'error'],
      ['sourcepath', file],
      ['linenumber', line],
      ['columnnumber', column],
      ['code', annotation.title],
    ]
    return `##vso[task.logissue ${properties(pairs, escape, ';')}]${percent(annotation.message, lineEnds, '%AZP25')}`
  },
  mask: (value) => `##vso[task.setsecret]${percent(value, lineEnds, '%AZP25')}`,
}

const seconds = (now: Date) => Math.floor(now.getTime() / 1000)
const clear = '\u001B[0K'

/** GitLab: "Custom collapsible sections"; its log knows neither errors nor masks that a job could set. */
export const gitlabDialect: Dialect = {
  openGroup: (title, name, now) =>
    `${clear}section_start:${seconds(now)}:${name}[collapsed=true]\r${clear}${oneLine(title)}`,
  closeGroup: (_, name, now) => `${clear}section_end:${seconds(now)}:${name}\r${clear}`,
}

/** Travis: the marks that its own build script prints (travis-build, travis_fold). */
export const travisDialect: Dialect = {
  openGroup: (title, name) => `travis_fold:start:${name}\r${clear}${oneLine(title)}`,
  closeGroup: (_, name) => `travis_fold:end:${name}\r${clear}`,
}

/** Buildkite: "Managing log output". A group lasts until the next one, so its end opens another, expanded. */
export const buildkiteDialect: Dialect = {
  openGroup: (title) => `--- ${oneLine(title)}`,
  closeGroup: (title) => `+++ ${oneLine(title)}`,
}

/** TeamCity: "Service messages", with its escapes. */
export const teamcityDialect: Dialect = {
  openGroup: (title) => `##teamcity[blockOpened name='${bar(title)}']`,
  closeGroup: (title) => `##teamcity[blockClosed name='${bar(title)}']`,
  error: ({title, message, ...rest}) => {
    const {file, line, column} = place({title, message, ...rest})
    const where = file === undefined ? '' : ` (${[file, line, column].filter((part) => part !== undefined).join(':')})`
    return `##teamcity[message text='${bar(`${title}: ${message}${where}`)}' status='ERROR']`
  },
}

const bars: Readonly<Record<string, string>> = {
  ...{'|': '||', "'": "|'", '[': '|[', ']': '|]', '\n': '|n', '\r': '|r'},
  ...{'\u0085': '|x', '\u2028': '|l', '\u2029': '|p'},
}
function bar(text: string): string {
  return text.replaceAll(/[|'[\]\n\r\u0085\u2028\u2029]/g, (char) => bars[char]!)
}

/** For marks that know no escapes. */
function oneLine(text: string): string {
  return text.replaceAll(/[\r\n]+/g, ' ')
}
