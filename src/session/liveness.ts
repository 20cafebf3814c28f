import {isAlive, whereabouts} from '../util/process.ts'
import type {SessionDirectory, SessionRecord} from './state.ts'

/**
 * Whether a session runs. One of another container that shares this directory cannot be looked up by number (the number may
 * belong to someone else here), but its control socket answers: a path works across namespaces (unix(7)). A session of
 * another machine counts as running: nothing here can tell.
 */
export async function isRunning(directory: SessionDirectory, record: SessionRecord): Promise<boolean> {
  switch (whereabouts(record.session)) {
    case 'here':
      return isAlive(record.session)
    case 'earlier-boot':
      return false
    case 'other-machine':
      return true
    case 'other-container':
      return serves(directory.socket)
  }
}

/** True while somebody listens on the socket: the kernel refuses one whose owner has died. */
export async function serves(socketPath: string): Promise<boolean> {
  const {connect} = await import('node:net') // a stop with nothing to stop does without
  return new Promise((resolve) => {
    const socket = connect(socketPath)
    const answer = (value: boolean) => {
      socket.destroy()
      resolve(value)
    }
    socket.once('connect', () => answer(true))
    socket.once('error', (error: NodeJS.ErrnoException) => answer(error.code === 'EAGAIN')) // its backlog is full
  })
}
