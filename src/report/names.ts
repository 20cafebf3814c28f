import {OTHER} from './format.ts'
import {Rows} from './rows.ts'
import type {SessionReport} from './schema.ts'

const MAX_NAMES = 1000
const MAX_ADDRESSES = 4096
/** Names that are shown of one address: a load balancer serves thousands. */
const MAX_NAMES_OF_ADDRESS = 8

/** The names that a program asked for, and which addresses they gave. */
export class Names {
  readonly #rows = new Rows<SessionReport['dns'][number]>(MAX_NAMES)
  readonly #ofAddress = new Map<string, string[]>()

  /** The program asked for a name. */
  asked({name, failed, addresses}: {name: string; failed: boolean; addresses: readonly string[]}): void {
    const make = (shown: string) => () => ({name: shown, queries: 0, failed: 0})
    const row = this.#rows.row(name, make(name), make(OTHER))
    row.queries++
    if (failed) row.failed++
    for (const address of addresses) this.#learn(address, name)
  }

  /** The names of a destination, `address:port`. */
  of(destination: string): string[] {
    const address = /^(?:\[(.*)\]|([^:]*)):\d+$/.exec(destination)
    return this.#ofAddress.get(address?.[1] ?? address?.[2] ?? '') ?? []
  }

  list(): SessionReport['dns'] {
    return this.#rows.list()
  }

  #learn(address: string, name: string): void {
    const known = this.#ofAddress.get(address)
    if (known) {
      if (known.length < MAX_NAMES_OF_ADDRESS && !known.includes(name)) known.push(name)
    } else if (this.#ofAddress.size < MAX_ADDRESSES) this.#ofAddress.set(address, [name])
  }
}
