import {usageError} from './usage.ts'

/**
 * The words after a topic (`ci`) that begin with none of its commands, as oclif gets them: `ci help start` is
 * `ci start --help`, as in clap. Errors: MirrordError USAGE (exit 2) for what can be no command, where oclif would show the
 * topic's help with success.
 */
export function topicWords(topic: string, words: readonly string[]): string[] {
  const [first, ...rest] = words
  if (first === 'help') return [topic, ...rest, '--help']
  if (first === '') throw usageError('The name of the command is empty.', topic)
  if (first?.startsWith('-') && first !== '--help' && first !== '-h')
    throw usageError(`A command comes first, its flags after it: ${first} is no command.`, topic)
  return [topic, ...words]
}
