/** Rows by key, at most `limit` of them: what comes later is counted in one further row. */
export class Rows<Row> {
  readonly #limit: number
  readonly #rows = new Map<string, Row>()
  #other: Row | undefined

  constructor(limit: number) {
    this.#limit = limit
  }

  /** The row of a key, made when it is new and there is room. @param other makes the row of the rest */
  row(key: string, make: () => Row, other: () => Row): Row {
    const known = this.#rows.get(key)
    if (known) return known
    if (this.#rows.size >= this.#limit) return (this.#other ??= other())
    const row = make()
    this.#rows.set(key, row)
    return row
  }

  /** In the order of their first use, the rest last. */
  list(): Row[] {
    return this.#other === undefined ? [...this.#rows.values()] : [...this.#rows.values(), this.#other]
  }
}
