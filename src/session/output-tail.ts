import {tailOf} from '../util/tail.ts'
import {outputFile, outputStreams, rotatedName, type OutputFileName} from './output-files.ts'

/** Lines of each output stream that a report shows. */
const TAIL_LINES = 50

/** The last lines of an output file, through its last rotation; empty when there are none. */
export function fileTail(directory: string, name: OutputFileName, lines: number): string {
  const file = outputFile(directory, name)
  return tailOf(file, lines, rotatedName(file))
}

/** The last lines of the program's two output streams, labelled; undefined when there are none. */
export function outputTail(directory: string | undefined): string | undefined {
  if (!directory) return undefined
  const parts = outputStreams.flatMap((stream) => {
    const text = fileTail(directory, stream, TAIL_LINES)
    return text ? [`--- ${stream} (${outputFile(directory, stream)})`, text] : []
  })
  return parts.length > 0 ? parts.join('\n') : undefined
}
