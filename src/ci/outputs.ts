import {randomUUID} from 'node:crypto'

/**
 * A step's outputs as GitHub's output file takes them, to be appended in one write. A delimiter that no value can hold
 * keeps a value with line ends from setting another output.
 */
export function formatOutputs(outputs: Readonly<Record<string, string>>): string {
  return Object.entries(outputs)
    .map(([name, value]) => {
      const delimiter = `mirrord_${randomUUID()}`
      return `${name}<<${delimiter}\n${value}\n${delimiter}\n`
    })
    .join('')
}
