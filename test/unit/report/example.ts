import {LATENCY_BOUNDS_MS, type JobReport, type SessionReport} from '../../../src/report/schema.ts'

/** A histogram with `counts` requests from bucket `from` on. */
export function latency(from: number, ...counts: number[]): number[] {
  return Array.from({length: LATENCY_BOUNDS_MS.length + 1}, (_, bucket) => counts[bucket - from] ?? 0)
}

/** What the requests of a histogram took, as if each had needed its bucket's bound. */
function timed(counts: number[]): {latency: number[]; totalMs: number; maxMs: number} {
  const bounds: readonly number[] = [...LATENCY_BOUNDS_MS, 12_000]
  return {
    latency: counts,
    totalMs: counts.reduce((sum, value, bucket) => sum + value * bounds[bucket]!, 0),
    maxMs: Math.max(0, ...bounds.filter((_, bucket) => counts[bucket]! > 0)),
  }
}

/** A session that served requests until it was stopped. */
export function exampleSession(changes: Partial<SessionReport> = {}, id = '1f0c94d2'): SessionReport {
  return {
    format: 1,
    version: '0.1.0',
    session: {
      id,
      name: 'ip-visit-counter',
      job: '5e1fc0de',
      program: 'ip-visit-counter',
      target: 'deployment/ip-visit-counter',
      namespace: 'shop',
      pod: 'ip-visit-counter-7d9c6b5f4-x2x9q',
      container: 'app',
      agent: {pod: 'mirrord-agent-1f0c94d2-8kq2m', image: 'ghcr.io/metalbear-co/mirrord:3.250.0'},
      outputDirectory: '/tmp/mirrord/ip-visit-counter-1795423512-k3x9a0b',
      startedAt: '2026-11-23T08:45:12.000Z',
      readyAt: '2026-11-23T08:45:16.260Z',
      endedAt: '2026-11-23T08:48:21.000Z',
    },
    run: {provider: 'GitHub Actions', url: 'https://github.com/example/shop/actions/runs/12345'},
    phases: [
      {name: 'target', startMs: 40, durationMs: 310, text: 'Target deployment/ip-visit-counter is one pod'},
      {name: 'agent', startMs: 350, durationMs: 2450, text: 'Agent mirrord-agent-1f0c94d2-8kq2m is connected'},
      {name: 'environment', startMs: 2800, durationMs: 160, text: 'Environment of the target: 31 variables'},
      {name: 'program', startMs: 2960, durationMs: 45, text: 'Program ip-visit-counter runs as process 4711'},
      {name: 'ready', startMs: 3005, durationMs: 1255, text: 'Program ip-visit-counter listens on port 8080'},
    ],
    incoming: {
      mode: 'steal',
      ports: [
        {port: 8080, connections: 214, bytesIn: 182_400, bytesOut: 1_940_000, stolen: 1204, passed: 37},
        {port: 9090, connections: 12, bytesIn: 4100, bytesOut: 61_000, stolen: 12, passed: 0},
      ],
      routes: [
        {
          method: 'GET',
          path: '/count',
          port: 8080,
          statuses: {200: 902, 503: 4},
          ...timed(latency(1, 610, 240, 40, 16)),
        },
        {
          method: 'POST',
          path: '/visits/:id',
          port: 8080,
          statuses: {201: 286, 409: 9},
          ...timed(latency(3, 180, 100, 15)),
        },
        {method: 'GET', path: '/healthz', port: 8080, statuses: {200: 3}, ...timed(latency(0, 3))},
        ...['/visits', '/visits/:id/history', '/countries', '/countries/:id', '/sessions/:id', '/favicon.ico'].map(
          (path, index) => ({
            method: index === 4 ? 'DELETE' : 'GET',
            path,
            port: 8080,
            statuses: {[[200, 200, 200, 200, 204, 404][index]!]: 61 - 9 * index},
            ...timed(latency(1 + (index % 4), 30 - index * 3, 20 - index * 2, 6)),
          }),
        ),
        {
          method: 'GET',
          path: '/metrics',
          port: 9090,
          statuses: {200: 11, none: 1},
          ...timed(latency(2, 11, 0, 0, 0, 0, 1)),
        },
      ],
    },
    outgoing: [
      {
        protocol: 'tcp',
        address: '10.96.12.7:6379',
        names: ['redis.shop.svc.cluster.local', 'redis'],
        connections: 8,
        failed: 0,
        bytesIn: 482_000,
        bytesOut: 96_500,
      },
      {
        protocol: 'tcp',
        address: '10.96.40.18:5432',
        names: ['postgres.shop.svc.cluster.local'],
        connections: 16,
        failed: 2,
        bytesIn: 2_310_000,
        bytesOut: 210_000,
      },
      {
        protocol: 'tcp',
        address: '203.0.113.20:443',
        names: ['api.payments.example'],
        connections: 41,
        failed: 0,
        bytesIn: 388_000,
        bytesOut: 77_000,
      },
      {
        protocol: 'udp',
        address: '10.96.3.3:8125',
        names: ['statsd.monitoring'],
        connections: 1,
        failed: 0,
        bytesIn: 0,
        bytesOut: 18_200,
      },
    ],
    dns: [
      {name: 'redis', queries: 8, failed: 0},
      {name: 'postgres.shop.svc.cluster.local', queries: 18, failed: 0},
      {name: 'api.payments.example', queries: 41, failed: 0},
      {name: 'feature-flags.internal', queries: 6, failed: 6},
    ],
    files: {
      fetched: [
        {path: '/etc/shop/config.yaml', bytes: 2210},
        {path: '/var/run/secrets/kubernetes.io/serviceaccount/ca.crt', bytes: 1099},
      ],
      written: [{path: '/var/cache/shop/visits.db', bytes: 65_536}],
    },
    warnings: ['container "app" was chosen; the pod also has istio-proxy'],
    exit: {signal: 'SIGTERM'},
    ...changes,
  }
}

/** A session whose program crashed during the run. */
export function crashedSession(id = '9ab3e77c'): SessionReport {
  const example = exampleSession()
  return exampleSession(
    {
      session: {
        ...example.session,
        id,
        name: 'checkout',
        program: 'node',
        target: 'deployment/checkout',
        pod: 'checkout-66c8f9b7d-lm4tz',
        agent: {pod: 'mirrord-agent-9ab3e77c-zz5np', image: 'ghcr.io/metalbear-co/mirrord:3.250.0'},
        outputDirectory: '/tmp/mirrord/node-1795423514-p0q1r2s',
        startedAt: '2026-11-23T08:45:14.000Z',
        readyAt: '2026-11-23T08:45:19.500Z',
        endedAt: '2026-11-23T08:46:58.000Z',
      },
      incoming: {
        mode: 'steal',
        ports: [{port: 3000, connections: 58, bytesIn: 44_000, bytesOut: 310_000, stolen: 171, passed: 0}],
        routes: [
          {
            method: 'POST',
            path: '/checkout',
            port: 3000,
            statuses: {200: 160, 500: 10, none: 1},
            ...timed(latency(5, 90, 60, 20, 1)),
          },
        ],
      },
      outgoing: [
        {
          protocol: 'tcp',
          address: '10.96.40.18:5432',
          names: ['postgres.shop.svc.cluster.local'],
          connections: 4,
          failed: 0,
          bytesIn: 91_000,
          bytesOut: 30_000,
        },
      ],
      dns: [{name: 'postgres.shop.svc.cluster.local', queries: 4, failed: 0}],
      files: {fetched: [], written: []},
      warnings: [],
      exit: {code: 1},
      failure: {
        code: 'PROGRAM_CRASHED',
        exit: 74,
        what: 'The program "node" ended during the run, before it was stopped.',
        why: 'It exited with status 1.',
        next: ['What was tested after that moment did not meet the local program: fix the crash and run again.'],
      },
    },
    id,
  )
}

/** A job of one good and one failed session. */
export function exampleJob(sessions: SessionReport[] = [exampleSession(), crashedSession()]): JobReport {
  return {
    format: 1,
    version: '0.1.0',
    job: '5e1fc0de',
    run: {provider: 'GitHub Actions', url: 'https://github.com/example/shop/actions/runs/12345'},
    createdAt: '2026-11-23T08:48:22.000Z',
    sessions,
  }
}

/** Text of an attacker: every place where a report shows something from outside must survive it. */
export const hostile = `"><img src=x onerror=alert(1)></script><script>alert(1)</script>' | \`*_[x](javascript:alert(1)) $x$ @you https://evil.example \u202e\u0007`

/** The example with the hostile text wherever text comes from outside. */
export function hostileSession(): SessionReport {
  const session = crashedSession()
  const text = hostile
  return {
    ...session,
    session: {
      ...session.session,
      name: text,
      program: text,
      target: text,
      namespace: text,
      pod: text,
      container: text,
      agent: {pod: text, image: text},
      outputDirectory: text,
    },
    run: {provider: text, url: `javascript:alert("${text}")`},
    phases: session.phases.map((phase) => ({...phase, name: text, text})),
    incoming: {
      ...session.incoming,
      routes: session.incoming.routes.map((route) => ({...route, method: text, path: text, statuses: {[text]: 1}})),
    },
    outgoing: [{protocol: 'unix', address: text, names: [text], connections: 1, failed: 1, bytesIn: 1, bytesOut: 1}],
    dns: [{name: text, queries: 1, failed: 1}],
    files: {fetched: [{path: text, bytes: 1}], written: [{path: text, bytes: 1}]},
    warnings: [text],
    exit: {signal: text},
    failure: {code: text, exit: 74, what: text, why: text, next: [text]},
  }
}

/** A session with `count` routes, and as many destinations, names and files as fit to it. */
export function heavySession(count: number): SessionReport {
  const many = <T>(length: number, make: (index: number) => T) => Array.from({length}, (_, index) => make(index))
  return exampleSession({
    incoming: {
      mode: 'steal',
      ports: exampleSession().incoming.ports,
      routes: many(count, (index) => ({
        method: index % 3 ? 'GET' : 'POST',
        path: `/api/v2/customers/:id/orders/section-${index}/items`,
        port: 8080,
        statuses: {200: 17 * index, 404: index % 5, 500: index % 2},
        ...timed(latency(3, index, 2, 1)),
      })),
    },
    outgoing: many(count / 10, (index) => ({
      protocol: 'tcp',
      address: `10.96.${index >> 8}.${index & 255}:443`,
      names: [`service-${index}.shop.svc.cluster.local`],
      connections: index + 1,
      failed: index % 7,
      bytesIn: 1000 * index,
      bytesOut: 700 * index,
    })),
    dns: many(count / 10, (index) => ({
      name: `service-${index}.shop.svc.cluster.local`,
      queries: index + 1,
      failed: 0,
    })),
    files: {
      fetched: many(count / 4, (index) => ({path: `/srv/data/part-${index}.bin`, bytes: 512 * index})),
      written: [],
    },
  })
}
