import type {LaunchObserver} from '../session/launch.ts'

/** One line of upstream's JSON progress; editors read these names. */
type Message =
  | {type: 'NewTask'; name: string; parent: string | null}
  | {type: 'FinishedTask'; name: string; success: boolean; message: string | null}
  | {type: 'Warning' | 'Info'; message: string}

/** Writes a message as a line of its own. */
function write(stream: NodeJS.WritableStream, message: Message): void {
  stream.write(`${JSON.stringify(message)}\n`)
}

/** A start's progress as JSON lines: a task for the command, and one below it for each phase. */
export function jsonObserver(
  stream: NodeJS.WritableStream,
  {title, foreground}: {title: string; foreground: boolean},
): LaunchObserver & {close(succeeded: boolean): void} {
  let task: string | undefined
  let over = false
  const begin = (name: string) => {
    task = name
    write(stream, {type: 'NewTask', name, parent: title})
  }
  const finish = (success: boolean, message: string | null) => {
    if (task !== undefined) write(stream, {type: 'FinishedTask', name: task, success, message})
    task = undefined
  }
  const ready = () => {
    if (!over) write(stream, {type: 'FinishedTask', name: title, success: true, message: 'Ready!'})
    over = true
  }
  write(stream, {type: 'NewTask', name: title, parent: null})
  return {
    phase({phase, text}) {
      if (task === undefined) begin(text)
      finish(true, text)
      // From here on the caller's stderr is the program's.
      if (foreground && phase === 'program') ready()
    },
    waiting(text) {
      if (over) return
      if (task === undefined) begin(text)
      else write(stream, {type: 'Info', message: text})
    },
    warning: (message) => write(stream, {type: 'Warning', message}),
    ready() {},
    close(succeeded) {
      finish(succeeded, null)
      // What failed is told with the task's end by `writeFailure`.
      if (succeeded) ready()
    },
  }
}

/** The end of a command that failed, after what it warns of. */
export function writeFailure(
  stream: NodeJS.WritableStream,
  title: string,
  text: string,
  warnings: readonly string[] = [],
): void {
  for (const message of warnings) write(stream, {type: 'Warning', message})
  write(stream, {type: 'FinishedTask', name: title, success: false, message: text})
}
