import {isEqual, TemplateError, typeOf, type Value} from './value.ts'

const operations: Readonly<Record<string, [sign: string, apply: (a: number, b: number) => number]>> = {
  Add: ['+', (a, b) => a + b],
  Sub: ['-', (a, b) => a - b],
  Mul: ['*', (a, b) => a * b],
  Div: ['/', (a, b) => a / b],
  FloorDiv: ['//', (a, b) => Math.floor(a / b)],
  Mod: ['%', (a, b) => a % b],
  Pow: ['**', (a, b) => a ** b],
}

/** Calculates with two numbers; the operation is named as in the tree. Throws a TemplateError. */
export function arithmetic(name: string, left: Value, right: Value): number {
  const [sign, apply] = operations[name] ?? []
  if (!sign || !apply) throw new TemplateError('this expression is not available')
  for (const value of [left, right]) {
    if (typeof value === 'number') continue
    const join = sign === '+' ? '; texts are joined by ~' : ''
    throw new TemplateError(`"${sign}" needs numbers; found ${typeOf(value)}${join}`)
  }
  const result = apply(left as number, right as number)
  if (!Number.isFinite(result)) throw new TemplateError(`the result of "${sign}" is not finite`)
  return result
}

/** Compares two values. Throws a TemplateError for an order between anything but two numbers or two texts. */
export function compare(sign: string, left: Value, right: Value): boolean {
  if (sign === '==' || sign === '===') return isEqual(left, right)
  if (sign === '!=' || sign === '!==') return !isEqual(left, right)
  if (typeof left !== typeof right || (typeof left !== 'number' && typeof left !== 'string')) {
    throw new TemplateError(`"${sign}" compares two numbers or two texts; found ${typeOf(left)} and ${typeOf(right)}`)
  }
  if (sign === '<') return left < right!
  if (sign === '>') return left > right!
  return sign === '<=' ? left <= right! : left >= right!
}
