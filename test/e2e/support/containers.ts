import {execFileSync} from 'node:child_process'
import {existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync} from 'node:fs'
import path from 'node:path'
import {asNobody, nobodyMay} from '../../integration/nobody.ts'
import {onPath} from './programs.ts'

const folder = path.join(import.meta.dirname, '../programs')

/** An image of the tests: `/app/server`, `/bin/act` (both static), a file, nothing else. */
export const IMAGE = 'localhost/mirrord-app:1'

/** A runtime with an image that was made of local files. */
export interface Containers {
  runtime: 'podman' | 'docker'
  /** Words that run what follows as the user whose containers these are; none for root. */
  below: readonly string[]
  /** What a job needs in its environment to use it. */
  env: Record<string, string>
  /** File of a seccomp profile: Podman's default without what Docker's denies (native/trap/README.md, "Without pidfd_getfd"). */
  profile: string
  /** Everything that there is, running or not: `name status`. */
  all(): string[]
  /** Runs the runtime itself. */
  run(...args: string[]): string
  removeAll(): void
  dispose(): void
}

/**
 * The Docker at MIRRORD_E2E_DOCKER_HOST, which must have no other containers; else Podman with a storage of its own, where it is
 * installed and this machine can run a container; else why not.
 */
export function openContainers(): Containers | {missing: string} {
  const dockerHost = process.env.MIRRORD_E2E_DOCKER_HOST
  if (dockerHost) return open('docker', prepare(), {DOCKER_HOST: dockerHost})
  return openPodman([])
}

/** Podman without root, as nobody; else why not. */
export function openRootless(): Containers | {missing: string} {
  if (!nobodyMay('read', path.join(import.meta.dirname, '../../../bin/run.js')))
    return {missing: 'nobody may not read this repository'}
  return openPodman(asNobody)
}

/** @param below words that run what follows as another user */
function openPodman(below: readonly string[]): Containers | {missing: string} {
  if (!onPath('podman')) return {missing: 'podman is not installed'}
  const base = prepare()
  const env = {
    HOME: base,
    XDG_RUNTIME_DIR: path.join(base, 'xdg'),
    CONTAINERS_CONF: path.join(base, 'containers.conf'),
    CONTAINERS_STORAGE_CONF: path.join(base, 'storage.conf'),
  }
  mkdirSync(env.XDG_RUNTIME_DIR, {mode: 0o700})
  const storage = ['[storage]', 'driver = "vfs"', `graphroot = "${base}/storage"`, `runroot = "${base}/run"`]
  writeFileSync(env.CONTAINERS_STORAGE_CONF, storage.join('\n'))
  const failures: string[] = []
  for (const engine of ['crun', 'runc'].filter((name) => onPath(name) ?? existsSync(`/usr/sbin/${name}`))) {
    // What differs from the defaults is what a machine may lack: the right to raise limits, systemd, a cgroup layout that crun knows.
    const limits = 'default_ulimits = ["nofile=1024:4096", "nproc=4096:4096"]'
    const settings = [`runtime = "${engine}"`, 'cgroup_manager = "cgroupfs"', 'events_logger = "none"']
    writeFileSync(env.CONTAINERS_CONF, ['[containers]', limits, '[engine]', ...settings].join('\n'))
    try {
      if (below.length > 0) chownAll(base)
      return open('podman', base, env, below)
    } catch (error) {
      failures.push(`${engine}: ${(error as {stderr?: string}).stderr ?? String(error)}`)
    }
  }
  rmSync(base, {recursive: true, force: true})
  return {missing: `podman cannot run a container here: ${failures.join('; ')}`}
}

function prepare(): string {
  const base = mkdtempSync('/tmp/me2e-containers-')
  makeImage(base)
  return base
}

/** Gives a folder to nobody. */
function chownAll(folder: string): void {
  execFileSync('chown', ['-R', '65534:65534', folder])
}

function open(
  runtime: Containers['runtime'],
  base: string,
  env: Record<string, string>,
  below: readonly string[] = [],
): Containers {
  const run = (...args: string[]) => {
    const [file = runtime, ...words] = [...below, runtime, ...args]
    const options = {
      env: {...process.env, ...env},
      cwd: base,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'pipe'],
    } as const
    return execFileSync(file, words, {...options, stdio: [...options.stdio]})
  }
  const image = ['ENTRYPOINT ["/app/server"]', 'CMD ["8080", "container"]', 'WORKDIR /app']
  const changes = [...image, 'ENV FROM_IMAGE=image FROM_POD=image'].flatMap((change) => ['-c', change])
  run('import', ...changes, path.join(base, 'image.tar'), IMAGE)
  run('run', '--rm', '--network=host', '--entrypoint=/bin/act', IMAGE, 'exit', '0')
  const removeAll = () => {
    const ids = run('ps', '--all', '--quiet').split('\n').filter(Boolean)
    if (ids.length > 0) run('rm', '--force', ...ids)
  }
  return {
    runtime,
    below,
    env,
    run,
    removeAll,
    profile: profileLikeDockers(base),
    all: () => run('ps', '--all', '--format', '{{.Names}} {{.Status}}').split('\n').filter(Boolean),
    dispose: () => {
      removeAll()
      run('rmi', '--force', IMAGE)
      endPause(env.XDG_RUNTIME_DIR)
      rmSync(base, {recursive: true, force: true})
    },
  }
}

/** Rootless Podman keeps a process that holds its namespaces for the next command. */
function endPause(runtimeDirectory: string | undefined): void {
  const file = path.join(runtimeDirectory ?? '', 'libpod/tmp/pause.pid')
  if (runtimeDirectory !== undefined && existsSync(file)) process.kill(Number(readFileSync(file, 'utf8')), 'SIGKILL')
}

function profileLikeDockers(base: string): string {
  interface Profile {
    syscalls: {names: string[]}[]
  }
  const file = path.join(base, 'profile.json')
  const profile = JSON.parse(readFileSync('/usr/share/containers/seccomp.json', 'utf8')) as Profile
  const denied = ['pidfd_getfd', 'kcmp', 'process_madvise', 'clone3', 'io_uring_setup']
  for (const rule of profile.syscalls) rule.names = rule.names.filter((name) => !denied.includes(name))
  writeFileSync(file, JSON.stringify(profile))
  return file
}

function makeImage(base: string): void {
  const root = path.join(base, 'root')
  for (const name of ['app', 'bin', 'etc', 'tmp', 'data']) mkdirSync(path.join(root, name), {recursive: true})
  for (const [source, file] of [
    ['server.c', 'app/server'],
    ['act.c', 'bin/act'],
  ] as const)
    execFileSync('gcc', ['-std=gnu11', '-O1', '-static', '-o', path.join(root, file), path.join(folder, source)])
  writeFileSync(path.join(root, 'app/note'), 'of the image\n')
  writeFileSync(path.join(root, 'etc/passwd'), 'root:x:0:0::/:\nuser:x:1000:1000::/app:\n')
  execFileSync('tar', ['-C', root, '-cf', path.join(base, 'image.tar'), '.'])
}
