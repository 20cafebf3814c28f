import {randomInt} from 'node:crypto'
import type {Environment} from '../meta.ts'
import {Arguments, type Given} from './arguments.ts'
import {now} from './dates.ts'
import {TemplateError, type Value} from './value.ts'

interface Callable {
  names: readonly string[]
  call: (given: Arguments, env: Environment) => Value
}

/** Calls one of Tera's functions. Throws a TemplateError. */
export function callFunction(name: string, given: Given, env: Environment): Value {
  const {names, call} = functions[name]!
  return call(new Arguments(`${name}()`, names, given), env)
}

export const isFunction = (name: string): boolean => Object.hasOwn(functions, name)
export const functionNames = (): string[] => Object.keys(functions)

const longestRange = 10_000

const functions: Readonly<Record<string, Callable>> = {
  get_env: {
    names: ['name', 'default'],
    call: (given, env) => {
      const name = given.text('name')
      const value = env[name] ?? given.optional('default')
      if (value !== undefined) return value
      const shown = /^\w{1,64}$/.test(name) ? name : 'of this name'
      throw new TemplateError(
        `the environment variable ${shown} is not set; say what holds then: get_env(name='${/^\w{1,64}$/.test(name) ? name : '…'}', default='…')`,
      )
    },
  },
  now: {names: ['timestamp', 'utc'], call: (given) => now(given.flag('utc'), given.flag('timestamp'))},
  range: {
    names: ['end', 'start', 'step_by'],
    call: (given) => {
      const [start, end, step] = [given.number('start', 0), given.number('end'), given.number('step_by', 1)]
      if (![start, end, step].every((number) => Number.isSafeInteger(number)) || step < 1 || end < start) {
        throw new TemplateError('range() needs whole numbers, a start up to the end, and a step_by of at least 1')
      }
      const length = Math.ceil((end - start) / step)
      if (length > longestRange) throw new TemplateError(`range() has at most ${longestRange} entries`)
      return Array.from({length}, (_, index) => start + index * step)
    },
  },
  get_random: {
    names: ['end', 'start'],
    call: (given) => {
      const [start, end] = [given.number('start', 0), given.number('end')]
      // The limit of the generator is 2^48 apart.
      if (!Number.isSafeInteger(start) || !Number.isSafeInteger(end) || end <= start || end - start >= 2 ** 48) {
        throw new TemplateError('get_random() needs whole numbers, and a start below the end')
      }
      return randomInt(start, end)
    },
  },
}
