import {request as http} from 'node:http'
import {request as https} from 'node:https'
import {connect} from 'node:net'

import type {Container, Probe} from '../api/types.ts'

export interface ProbeTarget {
  ip: string
  container: Container
  /** Runs a command in the container; resolves to its exit code. Rejects at the time limit (ms). */
  exec(command: string[], timeout: number): Promise<{code: number; output: string}>
}

/** The number of a port given by number or by name. */
function portNumber(container: Container, port: number | string): number {
  if (typeof port === 'number') return port
  const named = container.ports?.find((p) => p.name === port)?.containerPort
  return named ?? Number(port)
}

function httpProbe(
  probe: NonNullable<Probe['httpGet']>,
  target: ProbeTarget,
  timeout: number,
): Promise<string | undefined> {
  const port = portNumber(target.container, probe.port)
  const scheme = (probe.scheme ?? 'HTTP').toLowerCase()
  const path = probe.path?.startsWith('/') ? probe.path : `/${probe.path ?? ''}`
  const url = `${scheme}://${probe.host ?? target.ip}:${port}${path}`
  return new Promise((resolve) => {
    const headers = {
      'user-agent': 'kube-probe/1.32',
      accept: '*/*',
      ...Object.fromEntries((probe.httpHeaders ?? []).map((h) => [h.name, h.value])),
    }
    const send = scheme === 'https' ? https : http
    const call = send(url, {headers, timeout, agent: false, rejectUnauthorized: false}, (response) => {
      response.resume()
      const code = response.statusCode ?? 0
      resolve(code >= 200 && code < 400 ? undefined : `HTTP probe failed with statuscode: ${code}`)
    })
    call.on('timeout', () =>
      call.destroy(new Error('context deadline exceeded (Client.Timeout exceeded while awaiting headers)')),
    )
    call.on('error', (error) => resolve(`Get "${url}": ${error.message}`))
    call.end()
  })
}

function tcpProbe(
  probe: NonNullable<Probe['tcpSocket']>,
  target: ProbeTarget,
  timeout: number,
): Promise<string | undefined> {
  const port = portNumber(target.container, probe.port)
  const host = probe.host ?? target.ip
  return new Promise((resolve) => {
    const socket = connect({host, port, timeout})
    const end = (problem?: string) => {
      socket.destroy()
      resolve(problem && `dial tcp ${host}:${port}: ${problem}`)
    }
    socket.on('connect', () => end())
    socket.on('timeout', () => end('i/o timeout'))
    socket.on('error', (error) => end(error.message))
  })
}

async function once(probe: Probe, target: ProbeTarget): Promise<string | undefined> {
  const timeout = (probe.timeoutSeconds ?? 1) * 1000
  if (probe.httpGet) return httpProbe(probe.httpGet, target, timeout)
  if (probe.tcpSocket) return tcpProbe(probe.tcpSocket, target, timeout)
  if (!probe.exec) return undefined
  try {
    const {code, output} = await target.exec(probe.exec.command, timeout)
    return code === 0 ? undefined : output.trim() || `command exited with ${code}`
  } catch (error) {
    return (error as Error).message
  }
}

/** How long (ms) and how often (ms) an eager probe looks before it keeps to its period. */
const EAGER = {time: 5000, pause: 100}

/**
 * Runs a probe until the returned function is called. `changed` hears the verdict whenever it changes (thresholds
 * applied), `failed` every single failure. An `eager` probe looks more often in its first seconds, without counting what
 * fails then: a program that needs 50 ms to listen is not to wait for a whole period.
 */
export function startProbe(
  probe: Probe,
  target: ProbeTarget,
  changed: (ok: boolean) => void,
  failed: (message: string) => void,
  eager: boolean,
): () => void {
  const eagerUntil = eager
    ? Date.now() + (probe.initialDelaySeconds ?? 0) * 1000 + Math.min(EAGER.time, (probe.periodSeconds ?? 10) * 1000)
    : 0
  let stopped = false
  let timer: NodeJS.Timeout | undefined
  let verdict: boolean | undefined
  let streak = 0
  let last: boolean | undefined
  const tick = async () => {
    const problem = await once(probe, target)
    if (stopped) return
    const ok = problem === undefined
    if (!ok && Date.now() < eagerUntil) {
      timer = setTimeout(() => void tick(), EAGER.pause)
      return
    }
    streak = ok === last ? streak + 1 : 1
    last = ok
    if (!ok) failed(problem)
    const enough = ok ? (probe.successThreshold ?? 1) : (probe.failureThreshold ?? 3)
    if (streak >= enough && verdict !== ok) {
      verdict = ok
      changed(ok)
    }
    timer = setTimeout(() => void tick(), (probe.periodSeconds ?? 10) * 1000)
  }
  timer = setTimeout(() => void tick(), (probe.initialDelaySeconds ?? 0) * 1000)
  return () => {
    stopped = true
    clearTimeout(timer)
  }
}
