import {execFileSync, spawnSync} from 'node:child_process'
import {existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync} from 'node:fs'
import path from 'node:path'
import {onPath} from './programs.ts'

const folder = path.join(import.meta.dirname, '../programs')

/** An image of the tests: `/app/server`, `/bin/act` (both static), a file, nothing else. */
export const IMAGE = 'localhost/mirrord-app:1'

/** Podman with a storage of its own, and an image that was made of local files. */
export interface Containers {
  /** What a job needs in its environment to use it. */
  env: Record<string, string>
  /** Everything in the storage, running or not: `name status`. */
  all(): string[]
  /** File of a seccomp profile: Podman's default without what Docker's denies (native/trap/README.md, "Without pidfd_getfd"). */
  dockerProfile: string
  /** Runs Podman itself. */
  podman(...args: string[]): string
  dispose(): void
}

/**
 * Podman, where it is installed and this machine can run a container; else why not. What differs from its defaults is what this
 * machine lacks: the right to raise limits, a cgroup layout that crun knows.
 */
export function openContainers(): Containers | {missing: string} {
  if (!onPath('podman')) return {missing: 'podman is not installed'}
  const base = mkdtempSync('/tmp/me2e-podman-')
  const env: Record<string, string> = {
    CONTAINERS_CONF: path.join(base, 'containers.conf'),
    CONTAINERS_STORAGE_CONF: path.join(base, 'storage.conf'),
  }
  const podman = (...args: string[]) =>
    execFileSync('podman', args, {env: {...process.env, ...env}, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe']})
  const dispose = () => {
    spawnSync('podman', ['rm', '--all', '--force'], {env: {...process.env, ...env}})
    spawnSync('podman', ['unshare', 'true'], {env: {...process.env, ...env}})
    spawnSync('umount', [path.join(base, 'storage/overlay')])
    rmSync(base, {recursive: true, force: true})
  }
  writeFileSync(
    env.CONTAINERS_STORAGE_CONF!,
    `[storage]\ndriver = "vfs"\ngraphroot = "${base}/storage"\nrunroot = "${base}/run"\n`,
  )
  makeImage(base)
  const failures: string[] = []
  for (const runtime of ['crun', 'runc'].filter((name) => onPath(name) ?? existsSync(`/usr/sbin/${name}`))) {
    writeFileSync(
      env.CONTAINERS_CONF!,
      `[containers]\ndefault_ulimits = ["nofile=1024:4096", "nproc=4096:4096"]\n[engine]\nruntime = "${runtime}"\ncgroup_manager = "cgroupfs"\nevents_logger = "none"\n`,
    )
    try {
      podman(
        'import',
        '--quiet',
        '-c',
        'ENTRYPOINT ["/app/server"]',
        '-c',
        'CMD ["8080", "container"]',
        '-c',
        'WORKDIR /app',
        '-c',
        'ENV FROM_IMAGE=image FROM_POD=image',
        path.join(base, 'image.tar'),
        IMAGE,
      )
      podman('run', '--rm', '--network=host', '--entrypoint=/bin/act', IMAGE, 'exit', '0')
      return {
        env,
        podman,
        dispose,
        dockerProfile: dockerProfile(base),
        all: () => podman('ps', '--all', '--format', '{{.Names}} {{.Status}}').split('\n').filter(Boolean),
      }
    } catch (error) {
      failures.push(`${runtime}: ${(error as {stderr?: string}).stderr ?? String(error)}`)
    }
  }
  dispose()
  return {missing: `podman cannot run a container here: ${failures.join('; ')}`}
}

function dockerProfile(base: string): string {
  interface Profile {
    syscalls: {names: string[]}[]
  }
  const profile = JSON.parse(readFileSync('/usr/share/containers/seccomp.json', 'utf8')) as Profile
  const denied = ['pidfd_getfd', 'kcmp', 'process_madvise', 'clone3', 'io_uring_setup']
  for (const rule of profile.syscalls) rule.names = rule.names.filter((name) => !denied.includes(name))
  const file = path.join(base, 'docker.json')
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
