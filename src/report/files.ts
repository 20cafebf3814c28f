/** The merged report of a job. */
export const JSON_NAME = 'mirrord-report.json'
export const MARKDOWN_NAME = 'mirrord-report.md'
export const HTML_NAME = 'mirrord-report.html'

/** The directory, beside the merged report, of what it is made of: one file a session, so that no two stops rewrite the same file. */
export const PARTS = 'sessions'
