import type {SignalSource} from '../session/launch.ts'

const forwarded = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT'] as const

/** The signals of this process, for whoever has to pass them on or cancel what it does. */
export const processSignals: SignalSource = {
  subscribe(listener) {
    for (const signal of forwarded) process.on(signal, listener)
    return () => {
      for (const signal of forwarded) process.off(signal, listener)
    }
  },
}
