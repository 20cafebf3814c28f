import {MirrordError, type ErrorReport} from '../src/errors/mirrord-error.ts'

/** The report with which a promise is rejected. Throws when it is not, or with anything else. */
export async function refusal(promise: Promise<unknown>): Promise<ErrorReport> {
  const error = await promise.then(
    () => undefined,
    (thrown: unknown) => thrown,
  )
  if (!(error instanceof MirrordError)) throw new Error(`expected a MirrordError, not ${String(error)}`, {cause: error})
  return error.report
}
