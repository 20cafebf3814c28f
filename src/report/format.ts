/** Version of the report's format; a reader that meets another one must not guess. */
export const REPORT_FORMAT = 1

/** Upper bounds of the latency buckets in milliseconds; the last bucket has no bound. */
export const LATENCY_BOUNDS_MS = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000] as const

/** Stands in the row that sums what a list has no room for: as address, path, name or method. No real one is called so. */
export const OTHER = '(other)'
