import {MirrordError} from '../errors/mirrord-error.ts'
import {lastValue, type RunLine} from './run-line.ts'
import {runClient, type Client} from './client.ts'

/** What an image says of its containers. */
export interface ImageConfig {
  entrypoint: string[]
  command: string[]
  environment: Record<string, string>
  user: string
  workdir: string
  /** As Go names it, for example `amd64`. */
  architecture: string
}

interface Inspected {
  Architecture?: string
  Config?: {
    Entrypoint?: string[] | null
    Cmd?: string[] | null
    Env?: string[] | null
    User?: string
    WorkingDir?: string
  }
}

/** Go's names of the architectures that Node names otherwise. */
const architectures: Readonly<Record<string, string>> = {x64: 'amd64', arm64: 'arm64'}

/**
 * Reads the configuration of a run line's image, which is pulled where `run` would pull it.
 * Errors: MirrordError CONTAINER_IMAGE (exit 72), CONTAINER_CLIENT (exit 81).
 */
export async function readImage(client: Client, line: RunLine, signal: AbortSignal): Promise<ImageConfig> {
  const pull = lastValue(line, 'pull') ?? 'missing'
  let inspected = pull === 'always' || pull === 'newer' ? undefined : await inspect(client, line.image, signal)
  if (!inspected && pull !== 'never' && pull !== 'false') {
    const flags = ['platform', 'arch', 'os', 'variant', 'authfile', 'tls-verify'].flatMap((name) => {
      const value = lastValue(line, name)
      return value === undefined ? [] : [`--${name}=${value}`]
    })
    const {status, stderr} = await runClient(client, ['pull', ...flags, line.image], signal)
    if (status !== 0) throw noImage(line, `${line.word} pull ended with status ${status}.`, stderr)
    inspected = await inspect(client, line.image, signal)
  }
  if (!inspected)
    throw noImage(line, `It is not on this machine${pull === 'never' ? ', and --pull never was given' : ''}.`)
  const {Config: config = {}, Architecture: architecture = ''} = inspected
  const own = architectures[process.arch] ?? process.arch
  if (architecture !== '' && architecture !== own)
    throw noImage(line, `It is for ${architecture}, and system calls are intercepted on ${own} only: this machine's.`)
  return {
    entrypoint: config.Entrypoint ?? [],
    command: config.Cmd ?? [],
    environment: Object.fromEntries(
      (config.Env ?? []).map((entry) => {
        const at = entry.indexOf('=')
        return [entry.slice(0, at), entry.slice(at + 1)]
      }),
    ),
    user: config.User ?? '',
    workdir: config.WorkingDir ?? '',
    architecture,
  }
}

async function inspect(client: Client, image: string, signal: AbortSignal): Promise<Inspected | undefined> {
  const {status, stdout} = await runClient(client, ['image', 'inspect', image], signal)
  if (status !== 0) return undefined // not here; a runtime that does not answer says so when it pulls
  const [first] = JSON.parse(stdout) as Inspected[]
  return first
}

/** The words of the program in the container: entrypoint, then command (Docker's rules). Errors: MirrordError CONTAINER_IMAGE (72). */
export function programOf(line: RunLine, image: ImageConfig): string[] {
  const given = lastValue(line, 'entrypoint')
  const own = given === undefined ? image.entrypoint : entrypoint(line, given)
  // A given entrypoint takes the image's command with it.
  const command = line.command.length > 0 || given !== undefined ? line.command : image.command
  const words = [...own, ...command]
  if (words.length === 0 || words[0] === '') throw noImage(line, 'It has no command, and none was given.')
  return words
}

/** Podman also takes a JSON array. */
function entrypoint({runtime}: RunLine, text: string): string[] {
  if (text === '') return []
  if (runtime === 'podman' && text.startsWith('[')) {
    try {
      const words = JSON.parse(text) as unknown
      if (Array.isArray(words) && words.every((word) => typeof word === 'string')) return words
    } catch {
      return [text]
    }
  }
  return [text]
}

function noImage({image, word}: RunLine, why: string, detail?: string): MirrordError {
  return new MirrordError({
    code: 'CONTAINER_IMAGE',
    exit: 'programNotFound',
    what: `The image ${image} cannot be run.`,
    why,
    next: [`See what ${word} says: ${word} image inspect ${image}`],
    detail: detail?.trim() || undefined,
  })
}
