import {deferred, within} from '../util/time.ts'
import type {LiveFigures, SessionDirectory, SessionRecord} from './state.ts'

/** A session that does not say within this time how it is, is shown as its record says. */
const ANSWER_MS = 1000

/** What a session says of itself; undefined when nobody answers. */
export async function askSession({
  socket,
}: SessionDirectory): Promise<{record: SessionRecord; live?: LiveFigures} | undefined> {
  const {connectControl} = await import('./control.ts') // a stop with nothing to stop does without
  const answered = deferred<{record: SessionRecord; live?: LiveFigures} | undefined>()
  try {
    const control = await connectControl(socket, {
      reply: (reply) => {
        if (reply.type === 'status') answered.resolve(reply)
      },
      closed: () => answered.resolve(undefined),
    })
    control.send({type: 'status'})
    const answer = await within(ANSWER_MS, answered.promise)
    control.close()
    return answer
  } catch {
    return undefined // being born, or ended a moment ago
  }
}
