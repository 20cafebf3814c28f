/** Writes one line to the session's log; never secrets, never payloads. */
export type Log = (text: string) => void
