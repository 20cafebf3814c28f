import type {ContainerState, Pod} from '../../../src/kube/objects.ts'
import type {Cluster, ForwardChannel} from '../../../src/kube/index.ts'
import {clusterFor, fakeApi, type Answer, type FakeApi} from './fake-api.ts'
import {forwardsOn} from './fake-forward.ts'

/** The pod of the agent's Job, in one state. */
export const pod = (change: Partial<Pod['status']> = {}, state?: ContainerState): Pod => ({
  metadata: {name: 'mirrord-agent-x-abc', namespace: 'ci'},
  spec: {nodeName: 'node-1', containers: [{name: 'mirrord-agent', image: 'i:1'}]},
  status: {
    phase: 'Pending',
    ...(state ? {containerStatuses: [{name: 'mirrord-agent', image: 'i:1', state}]} : {}),
    ...change,
  },
})

export const added = (object: Pod) => ({type: 'ADDED', object})

/** What a cluster answers to a start. */
export interface World {
  /** Pod watch: the states that the pod goes through; the stream then stays open. */
  pods?: {type: string; object: Pod}[]
  /** FailedCreate events of the Job. */
  refusals?: string[]
  events?: {type: string; reason: string; message: string}[]
  /** An answer instead: the log cannot be read. */
  log?: string | Exclude<Answer, string>
  /** Number of forwards that fail before one is answered; Infinity for none ever. */
  deaf?: number
  refuseForward?: number
  create?: Answer
}

/** A cluster in which an agent is started. */
export async function agentWorld({
  pods = [],
  refusals = [],
  events = [],
  log = '',
  deaf = 0,
  refuseForward,
  create,
}: World): Promise<{api: FakeApi; cluster: Cluster}> {
  let forwards = 0
  const api = await fakeApi(({method, url = ''}, response) => {
    const {pathname, searchParams} = new URL(url, 'http://x')
    const stream = (lines: unknown[]) => {
      response.writeHead(200)
      response.flushHeaders()
      for (const line of lines) response.write(`${JSON.stringify(line)}\n`)
      return 'handled' as const
    }
    if (method === 'POST') return create ?? {status: 201, body: {metadata: {uid: 'u-1'}}}
    if (method === 'DELETE') return {body: {}}
    if (pathname.endsWith('/log')) {
      if (typeof log !== 'string') return log
      response.writeHead(200).end(log)
      return 'handled'
    }
    if (pathname.endsWith('/pods')) return stream(pods)
    if (searchParams.has('watch'))
      return stream(refusals.map((message) => ({type: 'ADDED', object: {reason: 'FailedCreate', message}})))
    return {body: {items: events}}
  })
  forwardsOn(
    api,
    ({fail, send}) => {
      if (++forwards <= deaf) {
        fail('nothing listens there')
        return undefined
      }
      return (data) => send(data)
    },
    {refuse: () => refuseForward},
  )
  return {api, cluster: await clusterFor(api.url)}
}

/** A handshake: the agent gives back what it is sent. */
export const echo = (channel: ForwardChannel) =>
  new Promise<string>((resolve, reject) => {
    channel.onData = (chunk) => resolve(new TextDecoder().decode(chunk))
    channel.onClose = (error) => reject(error ?? new Error('closed'))
    channel.write([new TextEncoder().encode('hello')])
  })
