import {execFileSync} from 'node:child_process'
import {mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync} from 'node:fs'
import {hostname} from 'node:os'
import path from 'node:path'
import {afterAll, beforeAll, describe, expect, test} from 'vitest'
import type {ServiceAddress} from './support/cluster.ts'
import {filesManifests, PodFiles, remoteFolder as remote} from './support/files.ts'
import {expectExit, Harness} from './support/harness.ts'
import type {Job} from './support/mirrord.ts'

const long = process.env.MIRRORD_LONG === '1' || !!process.env.MIRRORD_E2E_KUBECONFIG
const steps = path.join(import.meta.dirname, 'programs/steps.mjs')
const node = path.join(import.meta.dirname, '../../node_modules/.bin/node')
const megabytes = long ? 100 : 10

let harness: Harness
let address: ServiceAddress
let pod: PodFiles
let name: string
let podIp: string

/** The words of a command: `sh` of one line, Python of several. */
const sh = (line: string) => ['sh', '-c', line]
const python = (...lines: string[]) => ['python3', '-c', lines.join('\n')]

beforeAll(async () => {
  harness = await Harness.open()
  const {cluster, namespace} = harness
  await cluster.create(namespace, filesManifests('files'))
  await cluster.waitAvailable(namespace, 'files')
  const {metadata, status} = await cluster.pod(namespace, 'files')
  name = metadata!.name!
  podIp = status!.podIP!
  address = await cluster.serviceUrl(namespace, 'files')
  pod = new PodFiles(address.url)
  await pod.make(`${remote}/text`, 'remote text\n')
})
afterAll(() => {
  address?.close()
  harness.close()
})

/** A job, its configuration, and one session in which the commands run; `results` is what each printed and `exit N`. */
function session(config: object, prepare: (job: Job) => Promise<Record<string, string[]>>, ...flags: string[]) {
  const state = {results: {} as Record<string, string>, folder: ''}
  let job: Job
  beforeAll(async () => {
    job = harness.job()
    state.folder = job.folder
    const file = path.join(job.folder, 'mirrord.json')
    writeFileSync(file, JSON.stringify(config))
    const words = [node, steps, JSON.stringify(await prepare(job))]
    const started = await job.start(
      '--target',
      'deployment/files',
      '-f',
      file,
      '--foreground',
      ...flags,
      '--',
      ...words,
    )
    expectExit(started, 'success')
    const line = /^steps: (.*)$/m.exec(started.stdout)
    state.results = JSON.parse(line?.[1] ?? '{}') as Record<string, string>
  })
  afterAll(async () => {
    await harness.nothingLeft(job)
    await harness.finish(job)
  })
  return state
}

const off = {network: {incoming: 'off'}}

describe('by default files are read from the target, and the host name is its', () => {
  const ran = session({feature: off}, async (job) => {
    const static1 = compile(
      '#include <stdio.h>\nint main(int argc, char **argv) { printf("tool %d %s\\n", argc, argv[1]); return 7; }',
    )
    await pod.make(`${remote}/bin/tool`, static1, {mode: '755'})
    await pod.make(`${remote}/bin/script`, '#!/bin/sh\necho "script $0 $1"\n', {mode: '755'})
    for (const file of ['a', 'b', 'c/d']) await pod.make(`${remote}/list/${file}`, '')
    await pod.make('/app/mirrord-x.json', 'remote json\n')
    await pod.make('/app/mirrord-x.py', 'remote python\n')
    await pod.make('/var/log/mirrord-x', 'remote log\n')
    writeFileSync(path.join(job.folder, 'show'), `#!/bin/bash\nbash -c 'cat ${remote}/text'\n`, {mode: 0o755})
    writeFileSync(path.join(job.folder, 'x'), 'local x\n')
    mkdirSync(path.join(job.folder, 'home/.kube'))
    writeFileSync(path.join(job.folder, 'home/.kube/config'), 'secret\n')
    const promises = `
      import fs from 'node:fs/promises'
      const file = await fs.open('${remote}/text')
      const {bytesRead, buffer} = await file.read(Buffer.alloc(64), 0, 64, 0)
      await file.close()
      console.log(buffer.toString('utf8', 0, bytesRead).trim(), file.fd)`
    const child = `require('child_process').exec('cat ${remote}/text', (e, out) => process.stdout.write(e ? e.message : out))`
    return {
      bash: ['bash', './show'],
      exec: [node, '-e', child],
      promises: [node, '--input-type=module', '-e', promises],
      write: python(
        'try:',
        `  open("${remote}/text", "w")`,
        'except FileNotFoundError: print("not found")',
        `print(open("${remote}/text").read(), end="")`,
      ),
      lists: python(
        'import os',
        'for name in ["/etc/passwd", "./x", "/app/mirrord-x.py", "/app/mirrord-x.json", os.path.expanduser("~/.kube/config"), "/var/log/mirrord-x"]:',
        '  try: print(open(name).readline().strip())',
        '  except FileNotFoundError: print("not found")',
      ),
      hosts: ['cat', '/etc/hosts'],
      directory: sh(`ls ${remote}/list ${remote}/list/c`),
      tool: [`${remote}/bin/tool`, 'word'],
      script: [`${remote}/bin/script`, 'word'],
      name: python('import socket', 'print(socket.gethostname(), socket.gethostbyname(socket.gethostname()))'),
      nameFile: ['cat', '/etc/hostname'],
      uname: ['uname', '-n'],
    }
  })

  test('[FS-01] a script runs a shell that runs cat', () => {
    expect(ran.results.bash).toBe('remote text\nexit 0')
  })
  test('[FS-02] a command that Node runs', () => {
    expect(ran.results.exec).toBe('remote text\nexit 0')
  })
  test('[FS-06] fs.promises of Node: open, read, close', () => {
    expect(ran.results.promises).toBe('remote text -1\nexit 0')
  })
  test('[FS-25] opening for writing is local, and the target keeps its file', async () => {
    expect(ran.results.write).toBe('not found\nremote text\nexit 0')
    expect((await pod.see(`${remote}/text`))?.text).toBe('remote text\n')
  })
  test('[FS-29] the default lists', () => {
    const [passwd] = readFileSync('/etc/passwd', 'utf8').split('\n', 1)
    const found = [passwd, 'local x', 'not found', 'remote json', 'not found', 'remote log']
    expect(ran.results.lists).toBe(`${found.join('\n')}\nexit 0`)
    expect(ran.results.hosts).toContain(name)
  })
  test('directories are listed', () => {
    expect(ran.results.directory).toBe(`${remote}/list:\na\nb\nc\n\n${remote}/list/c:\nd\nexit 0`)
  })
  test('a binary and a script that only the target has are executed', () => {
    expect(ran.results.tool).toBe('tool 2 word\nexit 7')
    expect(ran.results.script).toBe(`script ${remote}/bin/script word\nexit 0`)
  })
  test('[DNS-12] the host name is that of the target, and has its address', () => {
    expect(ran.results.name).toBe(`${name} ${podIp}\nexit 0`)
    expect(ran.results.nameFile).toBe(`${name}\nexit 0`)
    expect(ran.results.uname).toBe(`${name}\nexit 0`)
  })
})

describe('in write mode files are changed in the target', () => {
  const folder = `${remote}/write`
  const ran = session({feature: {...off, fs: 'write'}}, async () => {
    for (const file of ['append', 'rename', 'unlink', 'truncate', 'chmod', 'old/x']) {
      await pod.make(`${folder}/${file}`, 'before\n')
    }
    const os = (line: string) => python('import os', line)
    return {
      create: sh(`echo created > ${folder}/create`),
      append: sh(`echo after >> ${folder}/append`),
      rename: ['mv', `${folder}/rename`, `${folder}/renamed`],
      unlink: ['rm', `${folder}/unlink`],
      mkdir: ['mkdir', `${folder}/new`],
      inside: sh(`echo inside > ${folder}/new/file && cat ${folder}/new/file`),
      rmdir: sh(`rm ${folder}/old/x && rmdir ${folder}/old`),
      truncate: os(`os.truncate("${folder}/truncate", 3)`),
      utimes: os(`os.utime("${folder}/append", (1000000000, 1000000000))`),
      chmod: ['chmod', '604', `${folder}/chmod`],
      killed: python(
        'import os, signal',
        `file = open("${folder}/killed", "w")`,
        'file.write("synced " * 10000)',
        'file.flush()',
        'os.fsync(file.fileno())',
        'os.kill(os.getpid(), signal.SIGKILL)',
      ),
    }
  })
  const text = async (file: string) => (await pod.see(`${folder}/${file}`))?.text

  test('files are made, appended to, renamed and removed', async () => {
    expect(ran.results).toMatchObject({create: 'exit 0', append: 'exit 0', rename: 'exit 0', unlink: 'exit 0'})
    expect(await text('create')).toBe('created\n')
    expect(await text('append')).toBe('before\nafter\n')
    expect([await text('rename'), await text('renamed')]).toEqual([undefined, 'before\n'])
    expect(await text('unlink')).toBeUndefined()
  })
  test('directories are made and removed', async () => {
    expect(ran.results).toMatchObject({mkdir: 'exit 0', inside: 'inside\nexit 0', rmdir: 'exit 0'})
    expect(await text('new/file')).toBe('inside\n')
    expect(await pod.see(`${folder}/old`)).toBeUndefined()
  })
  test('length and mode are set', async () => {
    expect(ran.results).toMatchObject({truncate: 'exit 0', utimes: 'exit 0', chmod: 'exit 0'})
    expect(await text('truncate')).toBe('bef')
    expect((await pod.see(`${folder}/chmod`))?.mode).toBe('604')
  })
  test('what was written before fsync is in the target although the program was killed', async () => {
    expect(ran.results.killed).toBe('exit SIGKILL')
    const seen = await pod.see(`${folder}/killed`)
    expect(seen?.size).toBe(70_000)
  })
})

describe('skipped programs, a unix socket of the target, and a large file', () => {
  let sha256: string
  const ran = session(
    {skip_processes: ['head'], feature: {network: {incoming: 'off', outgoing: {unix_streams: [`^${remote}/socket$`]}}}},
    async () => {
      const size = megabytes * 1024 * 1024
      sha256 = (await pod.make(`${remote}/large`, '', {size})).sha256
      return {
        skipped: ['head', `${remote}/text`],
        child: sh(`head ${remote}/text; cat ${remote}/text`),
        unix: python(
          'import socket',
          's = socket.socket(socket.AF_UNIX)',
          `s.connect("${remote}/socket")`,
          's.sendall(b"hello")',
          'print(s.recv(100).decode())',
        ),
        large: ['sha256sum', `${remote}/large`],
      }
    },
  )

  test('[PRC-01] a skipped program reads this machine, its parent and siblings the target', () => {
    expect(ran.results.skipped).toMatch(/No such file.*\nexit 1$/)
    expect(ran.results.child).toMatch(/^remote text\n.*No such file.*\nexit 0$/)
  })
  test('[OUT-13] a unix socket of the target answers', () => {
    expect(ran.results.unix).toBe('pod: hello\nexit 0')
  })
  test(`[FS-33] a file of ${megabytes} MiB arrives whole`, () => {
    expect(ran.results.large).toBe(`${sha256}  ${remote}/large\nexit 0`)
  })
})

describe('with --fs-mode local', () => {
  const ran = session(
    {feature: {...off, hostname: false}},
    async () => {
      await Promise.resolve()
      return {
        remote: ['cat', `${remote}/text`],
        hosts: ['cat', '/etc/hosts'],
        nameFile: ['cat', '/etc/hostname'],
        uname: ['uname', '-n'],
      }
    },
    '--fs-mode',
    'local',
  )

  test('[FS-40] nothing is read from the target', () => {
    expect(ran.results.remote).toMatch(/No such file.*\nexit 1$/)
  })
  test('[DNS-13] the host name is this machine’s where it is switched off', () => {
    expect(ran.results.uname).toBe(`${hostname()}\nexit 0`)
    expect(ran.results.nameFile).toBe(`${readFileSync('/etc/hostname', 'utf8')}exit 0`)
  })
})

/** A static program for machines that have no libraries. */
function compile(source: string): Buffer {
  const folder = mkdtempSync('/tmp/me2e-tool-')
  try {
    const file = path.join(folder, 'tool')
    execFileSync('gcc', ['-Os', '-static', '-s', '-x', 'c', '-o', file, '-'], {input: source})
    return readFileSync(file)
  } finally {
    rmSync(folder, {recursive: true, force: true})
  }
}
