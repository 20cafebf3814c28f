import {existsSync, readFileSync} from 'node:fs'
import {dirname, join, resolve} from 'node:path'

export interface Image {
  /** Put before the pod's args unless the pod has a command. */
  entrypoint?: string[]
  /** Arguments when the pod has neither command nor args. */
  cmd?: string[]
  env?: Record<string, string>
  workingDir?: string
  /** Files and directories of this machine that appear in the container, over the machine's own root. */
  files?: {source: string; destination: string; optional?: boolean}[]
}

const repository = resolve(import.meta.dirname, '..')
const NODE = '/usr/local/bin/node'

/** Image names that pods may use. There is no registry: a name that is not here cannot be pulled. */
export class Images {
  private readonly known = new Map<string, Image>()

  constructor(agentBundle = join(repository, 'lib/agent/agent.js')) {
    const node = {source: process.execPath, destination: NODE}
    this.register('localhost/host:1', {})
    this.register('localhost/node:1', {entrypoint: [NODE], files: [node]})
    this.register('localhost/mirrord-agent:sandbox', {
      cmd: ['./mirrord-agent'],
      workingDir: '/',
      files: [
        node,
        {source: join(import.meta.dirname, 'mirrord-agent.sh'), destination: '/mirrord-agent'},
        {source: agentBundle, destination: '/agent.js'},
        {source: join(dirname(agentBundle), 'mirrord-trap'), destination: '/mirrord-trap', optional: true},
      ],
    })
  }

  /** Makes an image available under a name with a tag. Replaces one of that name. */
  register(name: string, image: Image): void {
    this.known.set(name, image)
  }

  /** Registers every image of a JSON file `{name: Image}`. Throws when it cannot be read. */
  load(path: string): void {
    const table = JSON.parse(readFileSync(path, 'utf8')) as Record<string, Image>
    for (const [name, image] of Object.entries(table)) this.register(name, image)
  }

  /**
   * The image, or the reason why it cannot be had. Files of an image are looked for when it is used, so that an agent
   * bundle may be built after the sandbox was started.
   */
  pull(name: string): Image | {error: string} {
    const image = this.known.get(name) ?? this.known.get(`${name}:latest`)
    if (!image) return {error: `failed to resolve reference "${name}": ${name}: not found`}
    const files = image.files?.filter((file) => !file.optional || existsSync(file.source))
    const missing = files?.find((file) => !existsSync(file.source))
    if (missing) return {error: `failed to unpack image "${name}": ${missing.source}: no such file or directory`}
    return {...image, files}
  }
}
