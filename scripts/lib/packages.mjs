// The Debian packages that the build, the sandbox, the demo and the tests use, installed only where their programs are missing.
// Whoever calls names the sets: `base` for everybody, `test` for the tests, `long` for the languages of the whole matrix.
import {existsSync, realpathSync, rmSync, writeFileSync} from 'node:fs'
import {basename} from 'node:path'
import {findProgram, programEnv, run, ScriptError} from './run.mjs'

/** Package → the programs, files or other signs that show that it is there; all must. */
const base = {
  gcc: ['gcc'],
  'libc6-dev': ['/usr/include/stdio.h', '/usr/include/linux/seccomp.h'],
  make: ['make'],
  iproute2: ['ip'],
  iptables: ['iptables', 'iptables-legacy', 'iptables-nft'],
  conntrack: ['conntrack'],
  'util-linux': ['unshare', 'nsenter', 'setpriv'],
  mount: ['mount', 'umount'],
  procps: ['ps', 'sysctl'],
  curl: ['curl'],
  python3: ['python3', completePython],
  'redis-server': ['redis-server'],
}
const test = {
  'musl-tools': ['musl-gcc'],
  // Containers of `ci container`; of the two runtimes each knows cgroup layouts that the other does not.
  podman: ['podman'],
  // What `podman run --init` puts first; podman only recommends it.
  catatonit: ['catatonit'],
  runc: ['/usr/sbin/runc'],
}
const long = {
  'golang-go': ['go'],
  rustc: ['rustc'],
  ruby: ['ruby'],
  'php-cli': ['php'],
  perl: ['perl'],
  'default-jdk-headless': ['javac', 'java'],
  // What the tests of other projects are fetched and unpacked with (test/e2e/support/projects.ts).
  maven: ['mvn'],
  unzip: ['unzip'],
  // The report's page is tested in it.
  chromium: ['chromium'],
  'python3-venv': ['python3', pythonMakesEnvironments],
  'gcc-aarch64-linux-gnu': ['aarch64-linux-gnu-gcc'],
  'libc6-dev-arm64-cross': ['/usr/aarch64-linux-gnu/include/stdio.h'],
}

const sets = {base, test, long}

/** Debian's own Python may be the minimal one, which lacks modules that the tests use. */
function completePython() {
  return pythonHas('asyncio')
}

/** Debian keeps what a new virtual environment gets its pip from in a package of its own. */
function pythonMakesEnvironments() {
  return pythonHas('ensurepip')
}

function pythonHas(module) {
  const python = realpathSync(findProgram('python3'))
  return !python.startsWith('/usr/bin/') || existsSync(`/usr/lib/${basename(python)}/${module}`)
}

function present(item) {
  if (typeof item === 'function') return item()
  return item.startsWith('/') ? existsSync(item) : findProgram(item) !== undefined
}

export const missingPackages = (names = ['base']) =>
  names
    .flatMap((name) => Object.entries(sets[name]))
    .filter(([, items]) => !items.every((item) => present(item)))
    .map(([name]) => name)

/** How to run a program as root here: directly, by sudo without a password, or not at all. */
async function asRoot() {
  if (process.getuid?.() === 0) return []
  if (!findProgram('sudo')) return undefined
  return run('sudo', ['-n', 'true']).then(
    () => ['sudo', '-n'],
    () => undefined,
  )
}

/** Installs what is missing; returns the names of the packages it installed. */
export async function installPackages(names) {
  const missing = missingPackages(names)
  if (missing.length === 0) return []
  const list = missing.join(' ')
  if (process.platform !== 'linux' || !findProgram('apt-get')) {
    throw new ScriptError(
      `This machine lacks programs of the Debian packages ${list}, and is no Debian or Ubuntu on which they could be installed for you. Install their equivalents and run the command again.`,
      81,
    )
  }
  const prefix = await asRoot()
  if (!prefix) {
    throw new ScriptError(
      `The Debian packages ${list} are missing, and there is neither root nor sudo without a password to install them. Run "apt-get install ${list}" as root, then the command again.`,
      81,
    )
  }
  const env = programEnv({DEBIAN_FRONTEND: 'noninteractive', LC_ALL: 'C'})
  const root = (file, ...args) => {
    const [first, ...rest] = [
      ...prefix,
      ...(prefix.length > 0 ? ['DEBIAN_FRONTEND=noninteractive'] : []),
      file,
      ...args,
    ]
    return run(first, rest, {env, failure: `Installing ${list}: ${file}`, exitCode: 81})
  }
  const release = await denyServices(root)
  try {
    await root('apt-get', 'update', '-qq')
    await root('apt-get', 'install', '-y', '-qq', '--no-install-recommends', ...missing)
  } finally {
    await release()
  }
  // A Redis that was installed for a demo must not come up with the machine's next start either.
  if (missing.includes('redis-server') && existsSync('/run/systemd/system')) {
    await root('systemctl', 'disable', '--quiet', 'redis-server')
  }
  const still = missingPackages(names)
  if (still.length > 0) throw new ScriptError(`Still missing after their installation: ${still.join(' ')}.`, 81)
  return missing
}

/** Keeps apt from starting daemons (Redis) while it installs. A policy of the machine's own stays as it is. */
async function denyServices(root) {
  const file = '/usr/sbin/policy-rc.d'
  if (existsSync(file)) return async () => {}
  const script = '#!/bin/sh\nexit 101\n'
  if (process.getuid?.() === 0) {
    writeFileSync(file, script, {mode: 0o755})
    return async () => rmSync(file, {force: true})
  }
  await root('sh', '-c', `printf '%s' '${script}' >${file} && chmod 755 ${file}`)
  return () => root('rm', '-f', file)
}
