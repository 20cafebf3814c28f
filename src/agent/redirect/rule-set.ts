import type {Log} from '../log.ts'
import {RedirectError, type NatTable} from './backend.ts'
import {
  addPortScript,
  isMarked,
  leftoverNames,
  markAddress,
  passScript,
  removalCommands,
  removePortScript,
  script,
  setupScript,
  type ChainNames,
  type Family,
  type OwnChains,
  type PortRule,
} from './rules.ts'

/** What the rules of one agent have in common. */
export interface RuleIdentity {
  chains: ChainNames
  /** Tells this agent's chains from those of another agent of the container; 24 bits. */
  mark: number
  /** The agent's own group: how the kernel tells its traffic apart. */
  gid: number
  podIps: Readonly<Record<Family, readonly string[]>>
}

interface FamilyState {
  table: NatTable
  chains: OwnChains
  installed: boolean
  withOutput: boolean
  ports: PortRule[]
  /** Ports whose new connections pass by their redirect. */
  passing: Set<number>
}

/**
 * The redirect rules of this agent in all families: chains appear with the first port and go with the last.
 * Not re-entrant; the redirector calls one method at a time.
 */
export class RuleSet {
  readonly #families: FamilyState[]
  readonly #identity: RuleIdentity
  readonly #announce: (active: boolean) => void
  readonly #log: Log

  /** @param announce told before the first rule is made and after the last is gone: the guard must know what to clean */
  constructor(tables: readonly NatTable[], identity: RuleIdentity, announce: (active: boolean) => void, log: Log) {
    this.#families = tables.map((table) => ({
      table,
      chains: {...identity.chains, mark: markAddress(table.family, identity.mark)},
      installed: false,
      withOutput: false,
      ports: [],
      passing: new Set(),
    }))
    this.#identity = identity
    this.#announce = announce
    this.#log = log
  }

  /**
   * Redirects a port to the listener of each family. All families or none.
   * @throws RedirectError
   */
  async add(port: number, listeners: ReadonlyMap<Family, number>): Promise<void> {
    this.#announce(true)
    const results = await Promise.allSettled(
      this.#families.map((state) => this.#addTo(state, {port, listener: listeners.get(state.table.family)!})),
    )
    const failed = results.find((result) => result.status === 'rejected')
    if (!failed) return
    await this.remove(port)
    throw failed.reason
  }

  /**
   * Lets new connections to these ports pass by their redirects, while what was redirected goes on.
   * @throws RedirectError when that may not be so in all families
   */
  async pass(ports: readonly number[]): Promise<void> {
    await this.#everywhere(async (state) => {
      const known = ports.filter((port) => state.ports.some((rule) => rule.port === port) && !state.passing.has(port))
      if (known.length === 0) return
      if (!(await this.#change(state, passScript('insert', state.chains, state.withOutput, known)))) return
      for (const port of known) state.passing.add(port)
    })
  }

  /** Takes back what `pass` did for a port. @throws RedirectError when some family still lets connections pass by */
  async redirectAgain(port: number): Promise<void> {
    await this.#everywhere(async (state) => {
      if (!state.passing.has(port)) return
      const script = passScript('delete', state.chains, state.withOutput, [port])
      if (!(await this.#change(state, script)))
        throw new RedirectError('another mirrord agent has removed the redirect')
      state.passing.delete(port)
    })
  }

  /**
   * Removes a port's redirect; with the last one the chains. With the last redirect of a network namespace the kernel
   * stops translating, also for connections that were redirected before: nothing must be under way any more.
   * @throws RedirectError when something may be left
   */
  async remove(port: number): Promise<void> {
    await this.#everywhere((state) => this.#removeFrom(state, port))
    if (!this.#families.some((state) => state.installed)) this.#announce(false)
  }

  /** Removes everything that is left. @throws RedirectError when something may be left */
  async removeAll(): Promise<void> {
    await this.#everywhere((state) => this.#tearDown(state))
    this.#announce(false)
  }

  /** In all families at once; a failure in one does not keep the others from it. */
  async #everywhere(change: (state: FamilyState) => Promise<void>): Promise<void> {
    const results = await Promise.allSettled(this.#families.map((state) => change(state)))
    const failed = results.find((result) => result.status === 'rejected')
    if (failed) throw failed.reason
  }

  async #addTo(state: FamilyState, rule: PortRule): Promise<void> {
    const {chains, withOutput, ports} = state
    const added = state.installed && (await this.#change(state, addPortScript(chains, withOutput, rule, ports.length)))
    if (!added) await this.#install(state, rule)
    state.ports.push(rule)
  }

  /**
   * Applies a script to chains that are there. False when they are not this agent's any more, and nothing of it is left then:
   * another agent was told to clean up, or has taken its place.
   * @throws RedirectError
   */
  async #change(state: FamilyState, script: string): Promise<boolean> {
    try {
      await state.table.restore(script)
      return true
    } catch (error) {
      if (isMarked(await state.table.list(), state.chains.mark)) throw error
      this.#forget(state)
      return false
    }
  }

  #forget(state: FamilyState): void {
    this.#log('warn', `another agent has removed the redirect rules (IPv${state.table.family})`)
    state.installed = false
    state.ports = []
    state.passing.clear()
  }

  async #install(state: FamilyState, rule: PortRule): Promise<void> {
    const {gid, podIps} = this.#identity
    const {table, chains} = state
    try {
      await table.restore(setupScript(chains, {gid, podIps: podIps[table.family]}, [rule]))
      state.withOutput = true
    } catch (error) {
      const listing = await table.list()
      if (listing.includes(chains.inbound) || listing.includes(chains.standard))
        throw new RedirectError('another mirrord agent redirects traffic of this container', {cause: error})
      // Kernels without the owner match, and pods with several addresses of a family, cannot have the OUTPUT side.
      await table.restore(setupScript(chains, undefined, [rule]))
      state.withOutput = false
      this.#log('warn', `traffic inside the pod to redirected ports is not captured: ${(error as Error).message}`)
    }
    state.installed = true
  }

  async #removeFrom(state: FamilyState, port: number): Promise<void> {
    const rule = state.ports.find((candidate) => candidate.port === port)
    if (!rule) return
    if (state.ports.length === 1) return this.#tearDown(state)
    const passing = state.passing.has(port)
    if (!(await this.#change(state, removePortScript(state.chains, state.withOutput, rule, passing)))) return
    state.passing.delete(port)
    state.ports = state.ports.filter((candidate) => candidate !== rule)
  }

  async #tearDown(state: FamilyState): Promise<void> {
    if (!state.installed) return
    const {inbound, standard, mark} = state.chains
    await removeChains(state.table, [inbound, standard], mark)
    state.installed = false
    state.ports = []
    state.passing.clear()
  }
}

/**
 * Removes chains and every jump to them, whatever state they are in: one transaction, and when that is refused each
 * command by itself. Looks again afterwards.
 * @param mark leaves the chains of an agent with another mark alone (`markAddress`)
 * @throws RedirectError when a chain is still there
 */
export async function removeChains(table: NatTable, names: readonly string[], mark?: string): Promise<void> {
  let reason: unknown
  const look = async () => {
    const listing = await table.list()
    return mark === undefined || isMarked(listing, mark) ? removalCommands(listing, names) : []
  }
  // A second round meets what a child process of a killed worker changed in between.
  for (let round = 0; round < 2; round++) {
    const commands = await look()
    if (commands.length === 0) return
    try {
      await table.restore(script(commands))
    } catch (error) {
      reason = error
      for (const command of commands)
        await table.restore(script([command])).catch((single: unknown) => {
          reason = single
        })
    }
  }
  if ((await look()).length > 0) throw new RedirectError('redirect rules could not be removed', {cause: reason})
}

/** Removes the leftovers of earlier agents of this container. @throws RedirectError */
export async function removeLeftovers(table: NatTable, containerId: string): Promise<void> {
  await removeChains(table, leftoverNames(containerId))
}
