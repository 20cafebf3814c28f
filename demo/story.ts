import {AssertionError, deepStrictEqual} from 'node:assert'
import {readFileSync} from 'node:fs'
import path from 'node:path'
import type {Cluster} from '../test/e2e/support/cluster.ts'
import {request} from '../test/e2e/support/http.ts'
import type {Job} from '../test/e2e/support/mirrord.ts'
import {go} from '../test/e2e/support/programs.ts'
import {until} from '../test/e2e/support/until.ts'
import {chapter, command, output, say, shown} from './narrator.ts'

const example = path.join(import.meta.dirname, '../examples/ip-visit-counter')
const namespace = 'default'

/** What the visit counter answers. */
interface Visit {
  address: string
  visits: number
  info: string
  release: string
  instance: string
  runtime: string
}

/** The demonstration on a running cluster: every step is shown and checked. `signal` ends it between two steps. */
export class Story {
  readonly #cluster: Cluster
  readonly #job: Job
  readonly #signal: AbortSignal
  #url = ''
  #visits = 0

  constructor(cluster: Cluster, job: Job, signal: AbortSignal) {
    this.#cluster = cluster
    this.#job = job
    this.#signal = signal
  }

  async tell(): Promise<void> {
    await this.#deploy()
    chapter('The service as it is deployed')
    await this.#ask('deployed', 'node')
    await this.#replace('Node', 'node', ['--', 'node', 'server.mjs'])
    if (go) await this.#replace('Go', 'go', ['go', 'run', 'ip-visit-counter.go'])
    else {
      chapter('The same with a Go program')
      say('Go is not installed on this machine, so its version of the service is left out.')
    }
  }

  async #deploy(): Promise<void> {
    chapter('Deploy ip-visit-counter, ip-info and Redis')
    command('kubectl apply -f examples/ip-visit-counter/deploy.yaml')
    const yaml = readFileSync(path.join(example, 'deploy.yaml'), 'utf8').replaceAll('${EXAMPLE}', example)
    await this.#cluster.create(namespace, yaml)
    const names = ['ip-visit-counter', 'ip-info', 'redis']
    await Promise.all(names.map((name) => this.#cluster.waitAvailable(namespace, name, this.#signal)))
    shown(`${names.join(', ')} are available`)
    this.#url = (await this.#cluster.serviceUrl(namespace, 'ip-visit-counter')).url
    say(`The Service ip-visit-counter has the address ${this.#url}`)
  }

  /** Sends one request through the Service and checks who answered, and that every part of the answer is right. */
  async #ask(instance: 'deployed' | 'local', runtime: string): Promise<void> {
    this.#signal.throwIfAborted()
    command(`curl ${this.#url}/`)
    const {body} = await request(`${this.#url}/`, {timeout: 15_000})
    output(body)
    const answer = JSON.parse(body) as Visit
    this.#visits++
    deepStrictEqual(
      {...answer, address: typeof answer.address},
      {
        address: 'string',
        visits: this.#visits,
        info: `${answer.address} is a private IPv4 address`,
        release: 'staging-42',
        instance,
        runtime,
      },
      `The ${instance} program answered otherwise than it should`,
    )
    if (instance === 'deployed') shown('answered by the deployed program')
    else {
      shown(`answered by the program on this machine, which is written in ${runtime === 'go' ? 'Go' : 'JavaScript'}`)
      shown('release: an environment variable of the pod, not of this machine')
      shown(`visits: counted on by the cluster's Redis, found under its name`)
      shown(`info: asked from the cluster's ip-info, found under its name`)
    }
  }

  async #replace(language: string, runtime: string, program: string[]): Promise<void> {
    chapter(`The same request, answered by a local ${language} program`)
    await this.#mirrord(['ci', 'start', '--target', 'deployment/ip-visit-counter', ...program])
    await this.#ask('local', runtime)
    chapter('Back to the deployed program')
    await this.#mirrord(['ci', 'stop'])
    await this.#ask('deployed', 'node')
    await this.#checkGone()
  }

  /** Runs the real CLI, showing what it prints as it comes; anything but success ends the story. */
  async #mirrord(args: string[]): Promise<void> {
    this.#signal.throwIfAborted()
    command(`mirrord ${args.join(' ')}`)
    const running = this.#job.spawn(args, {cwd: example})
    const cancel = () => running.child.kill('SIGTERM')
    this.#signal.addEventListener('abort', cancel)
    const result = await running.result
    this.#signal.removeEventListener('abort', cancel)
    output(result.output)
    this.#signal.throwIfAborted()
    if (result.code !== 0) {
      throw new AssertionError({
        message: `mirrord ${args.join(' ')} ended with ${result.signal ?? `exit code ${result.code}`}`,
      })
    }
  }

  /** After a stop neither this machine nor the cluster holds anything of the session. */
  async #checkGone(): Promise<void> {
    await until('the end of the agent', async () => (await this.#cluster.agents(namespace)).length === 0, {
      timeout: 45_000,
      interval: 200,
      signal: this.#signal,
    })
    deepStrictEqual(this.#job.processes(), [], 'Processes of the session are left')
    deepStrictEqual(this.#job.files(), [], 'Files of the session are left')
    shown('no process, no agent and no file but the logs is left of the session')
  }
}
