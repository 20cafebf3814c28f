import {execFileSync} from 'node:child_process'
import {mkdtempSync, readdirSync, rmSync, writeFileSync} from 'node:fs'
import path from 'node:path'
import {afterAll, beforeAll, describe, expect, test} from 'vitest'
import {expectExit, Harness} from './support/harness.ts'
import type {Job, Result} from './support/mirrord.ts'
import {go, node} from './support/programs.ts'

const sources = path.join(import.meta.dirname, 'programs')
/** More than the 1,000 addresses with their names that an implementation may keep. */
const MANY = 1100

describe('names, as programs of one session find them', () => {
  let built: string
  let harness: Harness
  let job: Job
  let result: Result
  let address: string
  /** The lines that begin so, without the beginning. */
  const lines = (start: string) =>
    result.stdout
      .split('\n')
      .filter((line) => line.startsWith(start))
      .map((line) => line.slice(start.length))

  beforeAll(async () => {
    built = mkdtempSync('/tmp/me2e-names-')
    harness = await Harness.open()
    job = harness.job()
    const {namespace} = harness
    const {spec} = await harness.cluster.core.readNamespacedService({name: 'info', namespace})
    address = spec!.clusterIP!
    // Not `go`: that is a build tool, which is skipped.
    const file = (name: string) => path.join(built, name)
    execFileSync('gcc', ['-O1', '-Wall', '-Wextra', '-Werror', '-o', file('names-c'), path.join(sources, 'names.c')], {
      stdio: ['ignore', 'ignore', 'inherit'],
    })
    if (go) {
      const env = {...process.env, CGO_ENABLED: '0', GO111MODULE: 'off', GOFLAGS: ''}
      execFileSync(go, ['build', '-o', file('names-go'), path.join(sources, 'names.go')], {env})
    }
    // With the dot they are whole: the search list does not ask other nameservers for them.
    const host = `info.${namespace}.svc.cluster.local.`
    const missing = `no-such-service.${namespace}.svc.cluster.local.`
    const script = [
      `${file('names-c')} ${host} ${missing} ${MANY}`,
      `${node} ${path.join(sources, 'names.mjs')} ${host} ${missing} cluster.local.`,
      ...(go ? [`${file('names-go')} ${host} ${missing}`] : []),
    ].join(' && ')
    result = await job.start('--target', 'deployment/echo', '--foreground', '--', 'sh', '-c', script)
    expectExit(result, 'success')
  })
  afterAll(async () => {
    await harness.finish(job)
    harness.close()
    rmSync(built, {recursive: true})
  })

  test('[DNS-03] gethostbyname of C: an entry with the address, and NULL with HOST_NOT_FOUND', () => {
    expect(lines('gethostbyname')).toEqual([` family 2 length 4 ${address}`, ' of none NULL 1'])
  })

  test('a name that does not exist is EAI_NONAME for getaddrinfo', () => {
    expect(lines('missing ')).toEqual(['EAI_NONAME'])
  })

  test('[DNS-08] addresses in the place of a name are those addresses', () => {
    expect(lines('numeric flag ')).toEqual(['192.0.2.7 192.0.2.7', 'name EAI_NONAME'])
    expect(lines('literal ')).toEqual(['192.0.2.8 192.0.2.8', '2001:db8::9 2001:db8::9'])
  })

  test(`[DNS-16] ${MANY} names in a row, all found; the last is reached`, () => {
    expect(lines('many ')).toEqual([`${MANY} of ${MANY}`])
    expect(lines('connect ')).toEqual(['ok'])
  })

  test('[DNS-02] Node gets an error for names without an address, from the C library and from c-ares', () => {
    expect(lines('node lookup')).toEqual([` ${address}`, ' missing ENOTFOUND', ' empty ENOTFOUND'])
    expect(lines('node resolve4')).toEqual([` ${address}`, ' missing ENOTFOUND', ' empty ENODATA'])
  })

  /** What a reader of the resolver's files must have seen: those of the pod. */
  async function expectFilesOfThePod(language: string): Promise<void> {
    const pod = await harness.cluster.pod(harness.namespace, 'echo')
    expect(lines(`${language} /etc/hosts: `)).toContain(`${harness.podAddress} ${pod.metadata!.name}`)
    const [search] = lines(`${language} /etc/resolv.conf: search `)
    expect(search).toMatch(
      new RegExp(`^${harness.namespace}\\.svc\\.cluster\\.local svc\\.cluster\\.local cluster\\.local`),
    )
    expect(lines(`${language} /etc/resolv.conf: options `).join(' ')).toContain('ndots:5')
    expect(lines(`${language} /etc/resolv.conf: nameserver `)).toHaveLength(1)
  }

  test('[DNS-15] Node and its c-ares read the files of the pod', async () => {
    await expectFilesOfThePod('node')
    expect(lines('node servers ')).toEqual(lines('node /etc/resolv.conf: nameserver '))
  })

  test.skipIf(!go)('[DNS-15] the resolver of Go reads the files of the pod (needs go)', async () => {
    await expectFilesOfThePod('go')
    expect(lines('go found ')).toEqual([`${address} <nil>`])
    expect(lines('go missing ')).toEqual(['true'])
  })
})

describe('a program below ci start', () => {
  let harness: Harness
  let job: Job
  beforeAll(async () => {
    harness = await Harness.open()
    job = harness.job()
  })
  afterAll(async () => {
    await harness.finish(job)
    harness.close()
  })

  const preloaded = execFileSync('sh', ['-c', 'PATH=$PATH:/sbin ldconfig -p || true'], {encoding: 'utf8'})
    .split('\n')
    .find((line) => /libm\.so\.6 \(libc6,(x86-64|AArch64)/.test(line))
    ?.replace(/^.* => /, '')
  test.skipIf(!preloaded)(
    '[PRC-13, ENV-14] has no library of ours in it, LD_PRELOAD as the job set it, and nothing new in TMPDIR',
    async () => {
      const script = 'ls -A "$TMPDIR" | wc -l; env | grep ^LD_; cat /proc/self/maps'
      const result = await job.run(
        ['ci', 'start', '--target', 'deployment/echo', '--foreground', '--', 'sh', '-c', script],
        {env: {LD_PRELOAD: preloaded!}},
      )
      expectExit(result, 'success')
      const [entries, variable, ...maps] = result.stdout.trimEnd().split('\n')
      expect(entries!.trim()).toBe('0')
      expect(variable).toBe(`LD_PRELOAD=${preloaded}`)
      // What is mapped from a file, an anonymous or deleted one too (proc_pid_maps(5)): the program and the system's libraries.
      const mapped = new Set(maps.map((line) => line.split(/ +/, 6)[5]).filter((file) => file && !file.startsWith('[')))
      expect([...mapped].filter((file) => file!.includes('/libm.so') || file!.includes('/libm-'))).toHaveLength(1)
      for (const file of mapped) expect(file).toMatch(/^\/(usr\/)?(bin|lib\w*)\//)
      expect(readdirSync(job.env.TMPDIR!)).toEqual([])
    },
  )

  test('[FS-40] has only files of this machine in mode local, but the host name and the names of the pod', async () => {
    const config = path.join(job.folder, 'mirrord.json')
    writeFileSync(config, JSON.stringify({target: 'deployment/echo', feature: {fs: {mode: 'local'}}}))
    const script =
      'uname -n; echo made > "$TMPDIR/made"; cat "$TMPDIR/made"; rm "$TMPDIR/made"; ls -1 /etc; grep -c echo- /etc/hosts'
    const result = await job.start('-f', config, '--foreground', '--', 'sh', '-c', script)
    expectExit(result, 'success')
    const pod = await harness.cluster.pod(harness.namespace, 'echo')
    const [host, made, ...rest] = result.stdout.trimEnd().split('\n')
    expect([host, made, rest.pop()]).toEqual([pod.metadata!.name, 'made', '1'])
    expect(rest.sort()).toEqual(
      readdirSync('/etc')
        .filter((name) => !name.startsWith('.'))
        .sort(),
    )
  })
})
