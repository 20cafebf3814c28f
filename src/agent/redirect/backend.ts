import type {RunCommand} from '../command.ts'
import {script, type Family} from './rules.ts'

/** Which kernel interface the rules go through. */
export type Backend = 'nft' | 'legacy'

/** A command against the packet filter that failed: `text` says which and how. */
export class RedirectError extends Error {}

/** Chains that only a service mesh's init container makes (agent.md 5.5). */
const meshJumps = ['-j PROXY_INIT_OUTPUT', '-j ISTIO_OUTPUT', '-j KUMA_MESH_OUTBOUND']

/** Access to one family's `nat` table through one backend. */
export class NatTable {
  readonly family: Family
  readonly backend: Backend
  readonly #run: RunCommand

  constructor(family: Family, backend: Backend, run: RunCommand) {
    this.family = family
    this.backend = backend
    this.#run = run
  }

  /** All rules and chains, in the form of `-S`. @throws RedirectError when the listing itself fails */
  async list(): Promise<string> {
    const result = await this.#run(this.#program(), ['-w', '-t', 'nat', '-S'])
    if (result.code !== 0) throw this.#failure('listing the nat table', result.code, result.stderr)
    return result.stdout
  }

  /** Applies an `iptables-restore` script as one transaction. @throws RedirectError; then nothing was changed */
  async restore(input: string): Promise<void> {
    const result = await this.#run(`${this.#program()}-restore`, ['--noflush', '--wait'], input)
    if (result.code !== 0) throw this.#failure('changing the nat table', result.code, result.stderr)
  }

  /** True when rules can be written: puts an inert rule in and out again in one transaction. */
  async writable(): Promise<boolean> {
    const rule = '-p 255 -j RETURN'
    return this.restore(script([`-A INPUT ${rule}`, `-D INPUT ${rule}`])).then(
      () => true,
      () => false,
    )
  }

  #program(): string {
    return `/usr/sbin/ip${this.family === 6 ? '6' : ''}tables-${this.backend}`
  }

  #failure(what: string, code: number | null, stderr: string): RedirectError {
    const how = stderr.trim().split('\n').slice(-3).join(' ') || `exit code ${code}`
    return new RedirectError(`${what} failed (IPv${this.family}, ${this.backend}): ${how}`)
  }
}

/** Outcome of choosing a backend for a family. */
export interface ChosenTable {
  table: NatTable
  listing: string
  /** The namespace carries rules of a service mesh. */
  mesh: boolean
}

/**
 * Chooses the backend of a family as agent.md 5.7 does: the forced one; else the one that shows mesh rules, legacy
 * first; else legacy when it can be written to; else nft.
 * @throws RedirectError when the chosen backend cannot be listed
 */
export async function chooseTable(family: Family, forced: boolean | undefined, run: RunCommand): Promise<ChosenTable> {
  const table = (backend: Backend) => new NatTable(family, backend, run)
  const inspect = async (chosen: NatTable): Promise<ChosenTable> => {
    const listing = await chosen.list()
    return {table: chosen, listing, mesh: meshJumps.some((jump) => listing.includes(jump))}
  }
  if (forced !== undefined) return inspect(table(forced ? 'nft' : 'legacy'))

  const [legacy, nft] = await Promise.allSettled([inspect(table('legacy')), inspect(table('nft'))])
  for (const result of [legacy, nft]) if (result.status === 'fulfilled' && result.value.mesh) return result.value
  if (legacy.status === 'fulfilled' && (await legacy.value.table.writable())) return legacy.value
  if (nft.status === 'fulfilled') return nft.value
  throw nft.reason
}
