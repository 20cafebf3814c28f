import {ConnectionError, type ClientSession} from '../protocol/index.ts'
import {MirrordError} from '../errors/mirrord-error.ts'

/** More than any resolver file; a larger one is not what we take it for. */
const MAX_FILE = 1024 * 1024
/** More agents than this are not lost within a start by chance. */
const ATTEMPTS = 5

/** What is asked here; when an agent is lost in the middle, another one may answer. */
export type RemoteAgent = Pick<ClientSession, 'fileRequest' | 'closeFile' | 'getEnv'>

/** Reads a small text file of the target; undefined when the target has no such file. Errors: MirrordError REMOTE_FILE. */
export async function readRemoteFile(agent: RemoteAgent, path: string): Promise<string | undefined> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await readOnce(agent, path)
    } catch (error) {
      // Its descriptor went with the agent that had the file open.
      if (!(error instanceof ConnectionError) || attempt === ATTEMPTS) throw error
    }
  }
}

async function readOnce(agent: RemoteAgent, path: string): Promise<string | undefined> {
  const openOptions = {read: true, write: false, append: false, truncate: false, create: false, createNew: false}
  const opened = await agent.fileRequest({type: 'Open', value: {path, openOptions}})
  if (opened.type === 'Err') {
    const {value} = opened
    if (value.type === 'RemoteIO' && (value.value.rawOsError === 2 || value.value.kind.type === 'NotFound'))
      return undefined
    throw unreadable(path, value.type)
  }
  const {fd} = opened.value
  try {
    const chunks: Uint8Array[] = []
    for (let size = 0; size < MAX_FILE;) {
      const read = await agent.fileRequest({type: 'Read', value: {remoteFd: fd, bufferSize: 64 * 1024}})
      if (read.type === 'Err') throw unreadable(path, read.value.type)
      if (read.value.bytes.length === 0) break
      chunks.push(read.value.bytes)
      size += read.value.bytes.length
    }
    return Buffer.concat(chunks).toString('utf8')
  } finally {
    agent.closeFile({type: 'Close', value: {fd}})
  }
}

/** The variables of the target that the patterns select. Errors: MirrordError REMOTE_ENVIRONMENT. */
export async function readRemoteEnvironment(
  agent: RemoteAgent,
  rules: {include?: readonly string[]; exclude?: readonly string[]},
): Promise<ReadonlyMap<string, string>> {
  const reply = await agent.getEnv({filter: rules.exclude, select: rules.include ?? ['*']})
  if (reply.type === 'Ok') return reply.value
  throw new MirrordError({
    code: 'REMOTE_ENVIRONMENT',
    exit: 'agentLost',
    what: "The target's environment could not be read.",
    why: `The agent answered ${reply.value.type}.`,
    next: ["Set feature.env to false to start without it, or read the agent's log."],
  })
}

function unreadable(path: string, reason: string): MirrordError {
  return new MirrordError({
    code: 'REMOTE_FILE',
    exit: 'agentLost',
    what: `${path} of the target could not be read.`,
    why: `The agent answered ${reason}; it may lack SYS_PTRACE, or SELinux or AppArmor may forbid it.`,
    next: ['Set agent.privileged to true in the configuration.'],
  })
}
