import http from 'node:http'

/** Durations in milliseconds. */
export type Samples = number[]

/** The value below which this part of the sorted samples lies. */
export function percentile(sorted: Samples, part: number): number {
  if (sorted.length === 0) throw new Error('no samples')
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))]!
}

/** One GET; resolves to its duration. Errors and answers other than 200 fail the benchmark. */
function get(url: string, agent: http.Agent | false): Promise<number> {
  return new Promise((resolve, reject) => {
    const began = performance.now()
    http
      .get(url, {agent, timeout: 10_000}, (response) => {
        response.resume()
        response.on('end', () =>
          response.statusCode === 200
            ? resolve(performance.now() - began)
            : reject(new Error(`${response.statusCode}`)),
        )
        response.on('error', reject)
      })
      .on('timeout', function (this: http.ClientRequest) {
        this.destroy(new Error(`no answer of ${url} within 10 s`))
      })
      .on('error', reject)
  })
}

async function inTurns(
  urls: readonly string[],
  ms: number,
  sample: (index: number, ms: number) => void,
  send: (index: number) => Promise<number>,
): Promise<void> {
  for (const end = performance.now() + ms; performance.now() < end;) {
    for (let index = 0; index < urls.length; index++) sample(index, await send(index))
  }
}

/** Requests to each URL in turn, each over a connection of its own that is kept. */
export async function latency(
  urls: readonly string[],
  ms: number,
  sample: (index: number, ms: number) => void,
): Promise<void> {
  const agents = urls.map(() => new http.Agent({keepAlive: true, maxSockets: 1}))
  await inTurns(urls, ms, sample, (index) => get(urls[index]!, agents[index]!))
  for (const agent of agents) agent.destroy()
}

/** Requests to each URL in turn, each on a new connection. */
export function freshConnections(
  urls: readonly string[],
  ms: number,
  sample: (index: number, ms: number) => void,
): Promise<void> {
  return inTurns(urls, ms, sample, (index) => get(urls[index]!, false))
}

/** Requests a second over this many kept connections, counted from when all of them are up. */
export async function throughput(url: string, connections: number, ms: number): Promise<number> {
  const agent = new http.Agent({keepAlive: true, maxSockets: connections})
  const each = (send: () => Promise<unknown>) => Promise.all(Array.from({length: connections}, send))
  await each(() => get(url, agent))
  let count = 0
  const end = performance.now() + ms
  await each(async () => {
    while (performance.now() < end) {
      await get(url, agent)
      count++
    }
  })
  agent.destroy()
  return count / (ms / 1000)
}
