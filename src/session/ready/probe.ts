/** One condition of readiness. */
export interface Probe {
  /** What is waited for, for the user: "port 8080", "GET http://localhost:8080/health". */
  readonly label: string
  /** What helps when it never succeeds; one line each. */
  readonly hints: readonly string[]
  /**
   * Resolves with what was seen when the condition holds. `tell` gets the reason of each attempt that failed. Rejects when
   * `signal` aborts, with nothing left of it then.
   */
  wait(signal: AbortSignal, tell: (failure: string) => void): Promise<string>
}
