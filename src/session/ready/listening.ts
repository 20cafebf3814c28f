import type {Listeners} from './listeners.ts'
import type {Probe} from './probe.ts'

/** The program listens; where traffic is stolen, on a port whose traffic arrives here (ruling R8). */
export function listeningProbe(listeners: Listeners, stealing: boolean): Probe {
  return {
    label: 'the program to listen',
    hints: [
      'If it never listens: --ready started, another probe (--ready-log, --ready-exec), --no-wait, or feature.network.incoming "off".',
    ],
    wait: (signal, tell) =>
      new Promise((resolve, reject) => {
        const settle = () => {
          unsubscribe()
          signal.removeEventListener('abort', aborted)
        }
        const aborted = () => {
          settle()
          reject(signal.reason as Error)
        }
        const look = () => {
          const ports = stealing ? listeners.stolenPorts : listeners.ports
          if (ports.length > 0) {
            settle()
            return resolve(`it listens on ${ports.join(', ')}`)
          }
          const others = listeners.ports
          tell(
            others.length > 0
              ? `it listens on ${others.join(', ')} only, whose traffic is not taken`
              : `it does not listen on any port${stealing ? ' whose traffic could be stolen' : ''}`,
          )
        }
        const unsubscribe = listeners.subscribe(look)
        signal.addEventListener('abort', aborted)
        if (signal.aborted) aborted()
        else look()
      }),
  }
}
