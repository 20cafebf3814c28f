import {constants} from 'node:os'
import type {Address, ConnectAnswer, TrapHandlers} from './types.ts'
import {connectFlags, type Fields, outcomes, type Send} from './wire.ts'

/** A question that the session has not answered, or whose connection is not yet made. */
class Question {
  readonly hurry = new Happening()
  readonly gone = new Happening()
  onConnected?: (source: Address | undefined) => void
}

/** Something that may happen, as a signal for who asks; an AbortController is dear, and most are never looked at. */
class Happening {
  private controller: AbortController | undefined
  private happened = false

  get signal(): AbortSignal {
    if (!this.controller) {
      this.controller = new AbortController()
      if (this.happened) this.controller.abort()
    }
    return this.controller.signal
  }

  happen(): void {
    this.happened = true
    this.controller?.abort()
  }
}

/** The program's connects that are under way: asked, and not yet made or given up. */
export class ConnectQuestions {
  private readonly questions = new Map<number, Question>()
  private readonly handlers: TrapHandlers
  private readonly send: Send

  constructor(handlers: TrapHandlers, send: Send) {
    this.handlers = handlers
    this.send = send
  }

  /** Answers one connect. */
  async ask(message: Fields<'connect'>): Promise<void> {
    const {id, flags, remote} = message
    if (!remote) throw new Error('a connect without an address')
    const question = new Question()
    this.questions.set(id, question)
    const nowhere = undefined
    try {
      const answer = await this.handlers.connect({
        pid: message.pid,
        protocol: flags & connectFlags.udp ? 'udp' : 'tcp',
        unconnected: (flags & connectFlags.unconnected) !== 0,
        nonBlocking: (flags & (connectFlags.nonBlocking | connectFlags.udp)) === connectFlags.nonBlocking,
        remote,
        relayFamily: flags & connectFlags.relayIpv6 ? 6 : 4,
        get hurry() {
          return question.hurry.signal
        },
        get gone() {
          return question.gone.signal
        },
      })
      const gone = !this.questions.has(id)
      if ('relay' in answer) {
        if (gone) {
          answer.onConnected?.(undefined)
          return
        }
        question.onConnected = answer.onConnected // an unconnected question stays until its relay is gone
        void this.send('connectAnswer', {
          id,
          outcome: answer.later ? outcomes.pending : outcomes.relay,
          errno: 0,
          relay: answer.relay,
          local: answer.local,
        })
        if (answer.later) void this.later(id, question, answer.later)
        return
      }
      this.questions.delete(id)
      if (gone) return
      const outcome = 'errno' in answer ? outcomes.errno : outcomes.direct
      const errno = 'errno' in answer ? answer.errno : 0
      void this.send('connectAnswer', {id, outcome, errno, relay: nowhere, local: nowhere})
    } catch (error) {
      this.questions.delete(id)
      this.handlers.warning(`connect to ${remote.address}:${remote.port} failed: ${String(error)}`)
      const errno = constants.errno.ENETUNREACH
      void this.send('connectAnswer', {id, outcome: outcomes.errno, errno, relay: nowhere, local: nowhere})
    }
  }

  /** The second answer to a connect that is under way. Without the question, its `onConnected` has been called. */
  private async later(
    id: number,
    question: Question,
    answer: NonNullable<Extract<ConnectAnswer, {relay: Address}>['later']>,
  ): Promise<void> {
    const final = await answer
    if (this.questions.get(id) !== question) return
    if ('relay' in final) {
      question.onConnected = (source) => final.onConnected(source)
      const {relay, local} = final
      return void this.send('connectAnswer', {id, outcome: outcomes.relay, errno: 0, relay, local})
    }
    this.questions.delete(id)
    const nowhere = {relay: undefined, local: undefined}
    void this.send('connectAnswer', {id, outcome: outcomes.errno, errno: final.errno, ...nowhere})
  }

  /** The program waits for this one's answer now. */
  hurry(id: number): void {
    this.questions.get(id)?.hurry.happen()
  }

  /** The trap has connected the program's socket to its relay, or could not. */
  connected({id, errno, source}: Fields<'connected'>): void {
    const question = this.questions.get(id)
    this.questions.delete(id)
    question?.onConnected?.(errno === 0 ? source : undefined)
  }

  /** Nobody waits for this one any more. */
  gone(id: number): void {
    const question = this.questions.get(id)
    this.questions.delete(id)
    question?.gone.happen()
    question?.onConnected?.(undefined)
  }

  /** Nobody waits for any. */
  end(): void {
    for (const id of [...this.questions.keys()]) this.gone(id)
  }
}
