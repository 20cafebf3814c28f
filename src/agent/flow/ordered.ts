/** Answers in the order of the requests, however long each takes: replies without an id are matched by position. */
export class OrderedReplies {
  #last: Promise<void> = Promise.resolve()

  /**
   * Reports the outcome of work that runs already, after all earlier ones.
   * @param deliver called once, with the error or with the result
   */
  add<T>(work: Promise<T>, deliver: (error: unknown, value?: T) => void): void {
    const outcome = work.then(
      (value) => () => deliver(undefined, value),
      (error: unknown) => () => deliver(error ?? new Error('failed')),
    )
    this.#last = this.#last.then(() => outcome).then((report) => report())
  }
}
