import type {SignalSource} from '../session/launch.ts'

const cancelling = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT'] as const
/** Would stop this process before the program has stopped; the session stops it when it has. */
const stopping = ['SIGTTIN', 'SIGTTOU'] as const

/** The signals of this process, for whoever has to pass them on or cancel what it does. */
export const processSignals: SignalSource = {
  subscribe(listener, passed) {
    for (const signal of passed ?? cancelling) process.on(signal, listener)
    // Those stay: with the program's end known, one more ^C must not take the place of its status.
    for (const signal of passed ? [...passed, ...stopping] : []) process.on(signal, ignore)
    return () => {
      for (const signal of passed ?? cancelling) process.off(signal, listener)
    }
  },
}

function ignore(): void {}
