import {spawn} from 'node:child_process'
import {randomInt} from 'node:crypto'
import type {ChildProcess} from 'node:child_process'
import {existsSync, readFileSync, readdirSync, readlinkSync} from 'node:fs'
import {createInterface} from 'node:readline'
import {fileURLToPath} from 'node:url'
import {networkInterfaces} from 'node:os'

import {describe, expect, test} from 'vitest'

import {startSandbox} from '../../../sandbox/sandbox.ts'
import type {Pod} from '../../../sandbox/api/types.ts'
import {Client, DEPLOYMENTS, PODS, SERVICES, cluster, fetchText, webServer} from './cluster.ts'
import type {Service} from '../../../sandbox/api/types.ts'

const root = process.getuid?.() === 0
const main = fileURLToPath(new URL('../../../sandbox/main.ts', import.meta.url))

/** Starts sandbox/main.ts and waits for its last line. */
async function start(): Promise<{child: ChildProcess; kubeconfig: string; link: string}> {
  const child = spawn(process.execPath, ['--no-warnings', main], {stdio: ['ignore', 'pipe', 'inherit']})
  let link = ''
  const kubeconfig = await new Promise<string>((resolve, reject) => {
    createInterface(child.stdout).on('line', (line) => {
      link ||= `mirsbx${/pods 10\.211\.(\d+)\./.exec(line)?.[1]}`
      if (line.endsWith('/kubeconfig')) resolve(line)
    })
    child.on('exit', (code) => reject(new Error(`exit ${code}`)))
  })
  return {child, kubeconfig, link}
}

/** A client of a sandbox in another process. */
const remote = (kubeconfig: string) => new Client(undefined as never, kubeconfig)

function namespaceOf(pid: number): string {
  return readlinkSync(`/proc/${pid}/ns/net`)
}

/** Processes in any of these network namespaces. */
function inNamespaces(names: Set<string>): string[] {
  return readdirSync('/proc').filter((entry) => {
    if (!/^\d+$/.test(entry)) return false
    try {
      return names.has(readlinkSync(`/proc/${entry}/ns/net`))
    } catch {
      return false
    }
  })
}

async function eventually(check: () => boolean, what: string): Promise<void> {
  const end = Date.now() + 10_000
  while (!check()) {
    if (Date.now() > end) throw new Error(what)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

/** A sandbox with a running pod, ended as `end` says; then nothing of it may be left. */
async function leavesNothing(end: (child: ChildProcess) => void): Promise<void> {
  const {child, kubeconfig, link} = await start()
  expect(networkInterfaces()).toHaveProperty(link)
  // Other sandboxes may run on this machine: this number is only in our pods' command lines.
  const mark = String(randomInt(1e8, 2e8))
  const client = remote(kubeconfig)
  await client.pod(
    'p',
    {
      command: ['sh', '-c', `sleep ${mark} & sleep ${mark}`],
      readinessProbe: {exec: {command: ['true']}},
    },
    {restartPolicy: 'Always'},
  )
  await client.pod('h', {command: ['sh', '-c', `sleep ${mark} & sleep ${mark}`]}, {hostPID: true})
  for (const name of ['p', 'h'])
    await client.until<Pod>(PODS, name, (pod) => pod?.status.containerStatuses?.[0]?.ready === true)
  const own = namespaceOf(process.pid)
  const names = new Set<string>()
  const look = () => {
    for (const entry of readdirSync('/proc')) {
      try {
        const text = readFileSync(`/proc/${entry}/cmdline`, 'utf8')
        if (/^\d+$/.test(entry) && text.includes(`sleep\x00${mark}`)) names.add(namespaceOf(Number(entry)))
      } catch {
        // No process, or one that has just ended.
      }
    }
    return names.size === 2
  }
  await eventually(look, 'the pods do not run')
  expect(names).not.toContain(own)
  const exited = new Promise((resolve) => child.once('exit', resolve))
  end(child)
  await exited
  await eventually(() => inNamespaces(names).length === 0, 'processes are left')
  const dir = kubeconfig.replace(/\/kubeconfig$/, '')
  await eventually(() => !existsSync(dir), 'the state directory is left')
  expect(readFileSync('/proc/mounts', 'utf8')).not.toContain(dir)
  await eventually(() => !(link in networkInterfaces()), 'an interface is left')
}

describe.skipIf(!root)('life of a sandbox (root)', () => {
  test('SIGTERM leaves nothing behind', () => leavesNothing((child) => child.kill('SIGTERM')))
  test('SIGINT leaves nothing behind', () => leavesNothing((child) => child.kill('SIGINT')))
  test('SIGKILL leaves nothing behind', () => leavesNothing((child) => child.kill('SIGKILL')))

  test('two sandboxes at once do not meet', async () => {
    const [one, two] = await Promise.all([cluster(), cluster()])
    try {
      expect(one.sandbox.addresses.pods).not.toBe(two.sandbox.addresses.pods)
      const answers = await Promise.all(
        [one, two].map(async (client, index) => {
          const {deployment, service} = webServer('web', 1, `cluster ${index}`)
          await client.create(DEPLOYMENTS, deployment)
          const {spec} = await client.create<Service>(SERVICES, service)
          await client.until(
            DEPLOYMENTS,
            'web',
            (d) => (d?.status as {availableReplicas?: number} | undefined)?.availableReplicas === 1,
          )
          return fetchText(`http://${spec.clusterIP}/`)
        }),
      )
      expect(answers.map((text) => text.slice(0, 9))).toEqual(['cluster 0', 'cluster 1'])
    } finally {
      await Promise.all([one.sandbox.stop(), two.sandbox.stop()])
    }
  })

  test('both iptables kinds work where the kernel has them', async () => {
    for (const iptables of ['iptables-nft-restore', 'iptables-legacy-restore']) {
      const client = new Client(await startSandbox({iptables}))
      try {
        const {deployment, service} = webServer('web', 1)
        await client.create(DEPLOYMENTS, deployment)
        const {spec} = await client.create<Service>(SERVICES, service)
        await client.until(
          DEPLOYMENTS,
          'web',
          (d) => (d?.status as {availableReplicas?: number} | undefined)?.availableReplicas === 1,
        )
        expect(await fetchText(`http://${spec.clusterIP}/`)).toMatch(/^hello web-/)
      } finally {
        await client.sandbox.stop()
      }
    }
  })
})
