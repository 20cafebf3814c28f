import {expect, inject} from 'vitest'
import {exitCodes, type ExitCodeName} from '../../../src/errors/exit-codes.ts'
import {Cluster, type ServiceAddress} from './cluster.ts'
import {request, type Answer} from './http.ts'
import {Job, type Result} from './mirrord.ts'
import {processes, type Process} from './processes.ts'
import {processInPod, rules} from './rules.ts'
import {until} from './until.ts'

/** What every program of the tests answers to `GET /`. */
export interface Who {
  who: string
  fromPod: string
  peer: string
  bytes: number
}

/** One test file's view of the run: the cluster, the deployed `echo`, and the checks that nothing is left. */
export class Harness {
  readonly #environment = inject('environments')[Number(process.env.VITEST_POOL_ID) - 1]!
  readonly kubeconfig = this.#environment.kubeconfig
  readonly namespace = this.#environment.namespace
  readonly kind = inject('clusterKind')
  readonly cluster = new Cluster(this.#environment.adminKubeconfig)
  readonly #agentImage = this.#environment.agentImage
  #service!: ServiceAddress
  #podAddress!: string
  /** A process in the network namespace of each target's pod, with the rules there; none where pods run on another machine. */
  #pods: {inPod: number; rulesBefore: string[]}[] = []

  static async open(): Promise<Harness> {
    const harness = new Harness()
    harness.#service = await harness.cluster.serviceUrl(harness.namespace, 'echo')
    for (const name of ['echo', 'info']) {
      const pod = await harness.cluster.pod(harness.namespace, name)
      const address = pod.status!.podIP!
      if (name === 'echo') harness.#podAddress = address
      const inPod = processInPod(address)
      if (inPod !== undefined) harness.#pods.push({inPod, rulesBefore: rules(inPod)})
      else if (harness.kind !== 'remote')
        throw new Error(`No process of this machine is in the network namespace of ${address}`)
    }
    return harness
  }

  close(): void {
    this.#service.close()
  }

  /** After each test: removes the job and, so that one failure does not become many, whatever a failed test left. */
  async finish(job: Job): Promise<void> {
    if (job.processes().length > 0) await job.stop('--grace', '0')
    job.dispose()
    if ((await this.cluster.agents(this.namespace)).length > 0) await this.cluster.deleteAgents(this.namespace)
    await this.deployedAgain()
  }

  /** False where a Service is reached by a port-forward, which hides our address from the server. */
  get direct(): boolean {
    return this.#service.direct
  }

  get podAddress(): string {
    return this.#podAddress
  }

  /** A new CI job with access to the cluster. */
  job(env: Record<string, string> = {}): Job {
    return new Job({kubeconfig: this.kubeconfig, agentImage: this.#agentImage, env})
  }

  /** Calls the Service of `echo`, as another workload of the cluster would. */
  call(path = '/', options?: {body?: string; timeout?: number}): Promise<Answer> {
    return request(`${this.#service.url}${path}`, options)
  }

  async who(options?: {body?: string}): Promise<Who & {from: string}> {
    const {body, from} = await this.call('/', options)
    return {...(JSON.parse(body) as Who), from}
  }

  /** Asks the program behind the Service to look up a host and to fetch from it. */
  async ask(host: string): Promise<{who: string; addresses?: string[]; answer?: string; error?: string}> {
    const {body} = await this.call(`/ask/${host}`, {timeout: 15_000})
    return JSON.parse(body) as {who: string}
  }

  /** Waits until the deployed program answers again. */
  async deployedAgain(timeout = 20_000): Promise<void> {
    await until('an answer of the deployed program', async () => (await this.who()).who === 'deployed', {timeout})
  }

  /** The agents' processes on this machine that serve the target pod, the guard first. */
  agentProcesses(): Process[] {
    const ours = processes().filter(({environment}) =>
      environment.some(
        (entry) => entry.startsWith('MIRRORD_AGENT_POD_IPS=') && entry.slice(22).split(',').includes(this.#podAddress),
      ),
    )
    const pids = new Set(ours.map(({pid}) => pid))
    return ours.sort((a, b) => Number(pids.has(a.parent)) - Number(pids.has(b.parent)))
  }

  /** Fails unless the job left nothing: no process, no agent, no rule in a pod, no file but the programs' logs. */
  async nothingLeft(job: Job): Promise<void> {
    await until('the end of every process of the job', () => job.processes().length === 0, {timeout: 10_000}).catch(
      () => undefined,
    )
    expect(job.processes().map(({pid, command}) => `${pid} ${command}`)).toEqual([])
    expect(job.files()).toEqual([])
    // The controllers need their time to collect a finished job and its pod.
    await until('the end of every agent', async () => (await this.cluster.agents(this.namespace)).length === 0, {
      timeout: 45_000,
      interval: 200,
    }).catch(() => undefined)
    expect(await this.cluster.agents(this.namespace)).toEqual([])
    for (const {inPod, rulesBefore} of this.#pods) expect(rules(inPod)).toEqual(rulesBefore)
  }
}

/** Fails with the command's output unless it ended with the named row of the exit-code table. */
export function expectExit(result: Result, name: ExitCodeName): void {
  const ended = result.signal ? `signal ${result.signal}` : `exit ${result.code}`
  // The message holds the whole output: a diff would show a few lines of it.
  expect(ended, `${ended}, not ${name}\n${result.output}`).toBe(`exit ${exitCodes[name].code}`)
}

/** Fails unless the command failed with this exit and named what failed, why, what to do, and its stable code. */
export function expectFailure(result: Result, name: ExitCodeName, code: string, ...words: (string | RegExp)[]): void {
  expectExit(result, name)
  expect(result.stderr).toMatch(/^Error: \S.*/m)
  expect(result.stderr).toMatch(/^ {2}Next: \S.*/m)
  expect(result.stderr).toContain(`Code: ${code} (exit ${exitCodes[name].code})`)
  for (const word of words) expect(result.stderr).toMatch(word)
}
