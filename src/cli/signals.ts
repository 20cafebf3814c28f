import type {SignalSource} from '../session/launch.ts'

const cancelling = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT'] as const
/** Would stop this process before the program has stopped; the session stops it when it has. */
const stopping = ['SIGTTIN', 'SIGTTOU'] as const

/** The signals of this process, for whoever has to pass them on or cancel what it does. */
export const processSignals: SignalSource = {
  subscribe(listener, passed) {
    const ignore = () => {}
    for (const signal of passed ?? cancelling) process.on(signal, listener)
    if (passed) for (const signal of stopping) process.on(signal, ignore)
    return () => {
      for (const signal of passed ?? cancelling) process.off(signal, listener)
      for (const signal of stopping) process.off(signal, ignore)
    }
  },
}
