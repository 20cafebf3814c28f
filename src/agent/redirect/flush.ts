import type {RunCommand} from '../command.ts'
import type {Log} from '../log.ts'
import type {Family} from './rules.ts'

/**
 * Ends the connections to a port that were established before its redirect, so that their peers connect anew
 * (agent.md 5.6). Failures are logged only: the redirect works for new connections all the same.
 * @param conntrack also delete connection tracking entries. Only those that still lead to the port itself: an entry that
 *   was redirected a moment ago answers from the listener's port and must stay.
 */
export async function flushEstablished(
  port: number,
  families: readonly Family[],
  conntrack: boolean,
  run: RunCommand,
  log: Log,
): Promise<void> {
  const attempt = async (program: string, args: readonly string[], harmless: (stderr: string) => boolean) => {
    try {
      const {code, stderr} = await run(program, args)
      // ss reports a refused kill on stderr and still exits with 0.
      if (code !== 0 || stderr.trim() !== '')
        if (!harmless(stderr))
          log('warn', `flushing connections to port ${port}: ${program} exit ${code}: ${stderr.trim()}`)
    } catch (error) {
      log('warn', `flushing connections to port ${port}: ${program}: ${(error as Error).message}`)
    }
  }
  const text = String(port)
  const deletions = (conntrack ? families : []).map((family) => {
    const entries = ['--orig-port-dst', text, '--reply-port-src', text, '--state', 'ESTABLISHED']
    const args = ['-D', '-f', family === 4 ? 'ipv4' : 'ipv6', '-p', 'tcp', ...entries]
    return attempt('conntrack', args, (stderr) => /flow entries have been deleted/.test(stderr))
  })
  // Subscribing waits for this: side by side it costs one process start instead of three.
  await Promise.all([...deletions, attempt('ss', ['-K', '-H', '-n', '-t', 'sport', '=', `:${text}`], () => false)])
}
