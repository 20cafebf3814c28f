import {runClient, type Client} from './client.ts'

/** By which a container of ours is found again, whatever became of who started it. */
export const labelOf = (session: string): string => `mirrord.session=${session}`

/**
 * Removes the containers with a label, whatever state they are in; none is fine. Returns what went wrong, undefined for nothing.
 * Never throws.
 */
export async function removeContainers(client: Client, label: string): Promise<string | undefined> {
  try {
    const found = await runClient(client, ['ps', '--all', '--quiet', '--no-trunc', '--filter', `label=${label}`])
    if (found.status !== 0) return found.stderr.trim() || `status ${found.status}`
    for (const id of found.stdout.split('\n').filter(Boolean)) {
      const {status, stderr} = await runClient(client, ['rm', '--force', id])
      // One that was started with --rm goes by itself at the same time.
      if (status !== 0 && !/no such|not found|already in progress|no container/i.test(stderr)) return stderr.trim()
    }
    return undefined
  } catch (error) {
    return (error as Error).message
  }
}

/** Id and name of the running container with a label; undefined when there is none, or the runtime does not say. */
export async function findContainer(client: Client, label: string): Promise<{id: string; name: string} | undefined> {
  const format = '{{.ID}} {{.Names}}'
  const {status, stdout} = await runClient(client, ['ps', '--filter', `label=${label}`, '--format', format])
  const [, id, name] = (status === 0 && /^(\S+) (\S+)/.exec(stdout)) || []
  return id === undefined || name === undefined ? undefined : {id, name}
}
