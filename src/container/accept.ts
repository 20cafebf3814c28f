import {lastValue, isOn, usage, type RunLine} from './run-line.ts'

/** How the container is to be attached. */
export interface Attachment {
  foreground: boolean
}

/**
 * Refuses what a run line asks for and cannot have here. Returns what the user should know of the rest.
 * Errors: MirrordError CONTAINER_FLAG (exit 2).
 */
export function checkRunLine(line: RunLine, {foreground}: Attachment): string[] {
  const refuse = (flag: string, why: string, next: string): never => {
    throw usage('CONTAINER_FLAG', `${flag} cannot be used with mirrord.`, [next], why)
  }
  const warnings: string[] = []
  const network = lastValue(line, 'network', 'net')
  if (network !== undefined && network !== 'host')
    refuse(
      `--network ${network}`,
      "The container shares this machine's network: through it its program reaches the session, and the session its ports.",
      'Leave --network out.',
    )
  for (const name of ['pod', 'pod-id-file', 'rootfs'])
    if (lastValue(line, name) !== undefined)
      refuse(`--${name}`, 'mirrord starts a container of its own from an image.', `Leave --${name} out.`)
  const restart = lastValue(line, 'restart')
  if (restart !== undefined && restart !== 'no')
    refuse(
      `--restart ${restart}`,
      'A session is of one run of its program; a container that starts again would run without it.',
      'Leave --restart out.',
    )
  if (isOn(line, 'help')) refuse('--help', `It starts nothing.`, `Run ${line.word} run --help itself.`)
  if (!foreground && isOn(line, 'tty'))
    refuse('-t', 'In the background there is no terminal.', 'Leave -t out, or add --foreground before the runtime.')
  if (foreground && isOn(line, 'detach'))
    refuse(
      '-d',
      'In the foreground mirrord stays attached to the container.',
      'Leave -d out, or run it in the background: mirrord ci container without --foreground.',
    )
  const published = line.flags.filter(({name}) => name === 'publish' || name === 'publish-all')
  if (published.length > 0)
    warnings.push(
      `${published.map(({name, value}) => (name === 'publish' ? `-p ${value}` : '-P')).join(' ')} has no effect: the container shares this machine's network, so its ports are open here as they are`,
    )
  return warnings
}
