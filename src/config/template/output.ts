import {Lines, type Position} from '../syntax.ts'
import {TemplateError} from './value.ts'

/** A rendered text that knows where in the template each part of it comes from. */
export class Output {
  readonly #limit: number
  readonly #parts: string[] = []
  readonly #origins: {from: number; source: number; literal: boolean}[] = []
  #length = 0

  constructor(limit: number) {
    this.#limit = limit
  }

  /** Adds a text that stands at `source` of the template as it is (`literal`), or the value of an expression there. */
  add(text: string, source: number, literal: boolean): void {
    if (text === '') return
    if (this.#length + text.length > this.#limit) {
      throw new TemplateError(`the rendered file is larger than ${Math.floor(this.#limit / 1024)} KiB`, source)
    }
    this.#origins.push({from: this.#length, source, literal})
    this.#parts.push(text)
    this.#length += text.length
  }

  get text(): string {
    return this.#parts.join('')
  }

  /** Turns places in the rendered text into those of the template; inside of a value only the line is told. */
  places(source: Lines): (position: Position) => Position {
    const rendered = new Lines(this.text)
    return (position) => {
      const offset = rendered.offsetAt(position)
      const origin = this.#origins.findLast(({from}) => from <= offset)
      if (!origin) return {line: 1}
      if (origin.literal) return source.positionAt(origin.source + offset - origin.from)
      return {line: source.positionAt(origin.source).line}
    }
  }
}
