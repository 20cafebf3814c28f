import path from 'node:path'

/**
 * The files of an output directory. The first is always the newest; with `ci.log_max` a full one is renamed to NAME.1, in
 * the place of an older NAME.1, and a new NAME is made: whoever follows it reads to the end of what it has open first.
 */
export const outputFileNames = ['stdout', 'stderr', 'mirrord.log'] as const
export type OutputFileName = (typeof outputFileNames)[number]

/** Those of them that the program writes. */
export const outputStreams = ['stdout', 'stderr'] as const
export type OutputStream = (typeof outputStreams)[number]

/** The name, or path, that a full file of the output directory gets. */
export const rotatedName = (name: string): string => `${name}.1`

/** One file of an output directory. */
export const outputFile = (directory: string, name: OutputFileName): string => path.join(directory, name)
