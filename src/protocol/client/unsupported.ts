import {gates, type GateName} from '../versions.ts'

/** A request that was not sent because the agent's version does not know it. */
export class UnsupportedRequestError extends Error {
  override readonly name = 'UnsupportedRequestError'
  readonly gate: GateName
  /** The version agreed with the agent. */
  readonly version: string

  constructor(gate: GateName, version: string) {
    super(`The agent speaks protocol ${version}, but ${gate} needs ${gates[gate]}.`)
    this.gate = gate
    this.version = version
  }
}
