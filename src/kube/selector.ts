import type {LabelSelector} from './objects.ts'

/**
 * A workload's selector as the `labelSelector` of a list request, with its expressions too (upstream ignores them and
 * may then pick pods that do not belong to the workload). Empty when the selector has no requirement.
 */
export function selectorText(selector: LabelSelector): string {
  const labels = Object.entries(selector.matchLabels ?? {}).map(([key, value]) => `${key}=${value}`)
  const expressions = (selector.matchExpressions ?? []).map(({key, operator, values = []}) => {
    switch (operator) {
      case 'In':
        return `${key} in (${values.join(',')})`
      case 'NotIn':
        return `${key} notin (${values.join(',')})`
      case 'Exists':
        return key
      case 'DoesNotExist':
        return `!${key}`
      default:
        throw new Error(`Unknown operator of a label selector: ${operator}`)
    }
  })
  return [...labels, ...expressions].join(',')
}
