/** What the monitor needs from its owner. */
export interface PingOwner {
  sendPing(): void
  /** Called once when the peer is considered lost. */
  lost(): void
  /** While this side does not read, silence says nothing about the peer. */
  isPaused(): boolean
}

/**
 * Notices a peer that has gone silent (spec protocol.md 4.2): at each interval, if a pong is outstanding and nothing at
 * all arrived during the interval before, the peer is lost; otherwise another ping is sent.
 */
export class PingMonitor {
  readonly #owner: PingOwner
  readonly #timer: NodeJS.Timeout
  #verdict: NodeJS.Immediate | undefined
  #outstanding = 0
  #heard = true

  constructor(intervalMs: number, owner: PingOwner) {
    this.#owner = owner
    this.#timer = setInterval(() => this.#tick(), intervalMs)
  }

  /** To be called for every received message. */
  heard(): void {
    this.#heard = true
  }

  /** To be called for each pong; false when none was expected, which is a protocol violation. */
  pong(): boolean {
    if (this.#outstanding === 0) return false
    this.#outstanding--
    return true
  }

  stop(): void {
    clearInterval(this.#timer)
    clearImmediate(this.#verdict)
  }

  #tick(): void {
    if (this.#outstanding > 0 && !this.#heard && !this.#owner.isPaused()) {
      // A busy or suspended process fires its timers before it reads what has arrived meanwhile: look once more after.
      this.#verdict = setImmediate(() => (this.#heard ? this.#send() : this.#lose()))
    } else this.#send()
  }

  #send(): void {
    this.#heard = false
    this.#outstanding++
    this.#owner.sendPing()
  }

  #lose(): void {
    this.stop()
    this.#owner.lost()
  }
}
