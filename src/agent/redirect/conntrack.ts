import type {RunCommand} from '../command.ts'
import type {Log} from '../log.ts'
import type {Family} from './rules.ts'

/**
 * Deletes entries of the kernel's connection tracking, in the namespace that `run` runs in. That none matches is no failure;
 * failures are logged only.
 * @param filters each a selection in the words of conntrack(8); an entry goes when one of them matches
 * @param purpose for the log
 */
export async function deleteEntries(
  families: readonly Family[],
  filters: readonly (readonly string[])[],
  purpose: string,
  run: RunCommand,
  log: Log,
): Promise<void> {
  const attempt = async (family: Family, filter: readonly string[]) => {
    const warn = (reason: string) => log('warn', `${purpose}: conntrack: ${reason}`)
    try {
      const args = ['-D', '-f', family === 4 ? 'ipv4' : 'ipv6', '-p', 'tcp', ...filter]
      const {code, stderr} = await run('conntrack', args)
      if (code !== 0 && !/flow entries have been deleted/.test(stderr)) warn(`exit ${code}: ${stderr.trim()}`)
    } catch (error) {
      warn((error as Error).message)
    }
  }
  await Promise.all(families.flatMap((family) => filters.map((filter) => attempt(family, filter))))
}

const forgetting = 'forgetting ended connections'

/**
 * To be called when the redirects to these local ports are gone. Without rules the kernel tracks no connections, but keeps
 * what it knew of the ended ones for up to two minutes. A caller whose port is used again in that time is untracked; when
 * a redirect then comes back while its answer is under way, the kernel takes that answer for a new connection, finds its
 * addresses in use by the old one, and sends it from another port: the caller would wait for ever.
 */
export function forgetRedirected(ports: readonly number[], families: readonly Family[], run: RunCommand, log: Log) {
  const filters = ports.map((port) => ['--reply-port-src', String(port)])
  return deleteEntries(families, filters, forgetting, run, log)
}

/** The same for redirects to ports that nobody knows any more. An entry in these states serves nobody else either. */
export function forgetEnded(families: readonly Family[], run: RunCommand, log: Log) {
  const filters = ['CLOSE', 'TIME_WAIT'].map((state) => ['--state', state])
  return deleteEntries(families, filters, forgetting, run, log)
}
