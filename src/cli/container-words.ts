/** Refuses a run line that cannot be run here. Errors: MirrordError CONTAINER_LINE, CONTAINER_FLAG (exit 2). */
export async function checkContainerWords(words: readonly string[], how: {foreground: boolean}): Promise<void> {
  const {checkRunLine, parseRunLine} = await import('../container/index.ts')
  checkRunLine(parseRunLine(words), how)
}
