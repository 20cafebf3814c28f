import {quote} from '../exec.ts'

export interface Bind {
  /** Path on this machine, or in the node's own root when `host` is set. */
  source: string
  host?: boolean
  destination: string
  readOnly?: boolean
}

export interface ScriptOptions {
  /** The container's directory on the node's tmpfs. */
  dir: string
  /** The node's own root, for hostPath. */
  nodeRoot: string
  /** Mount points besides `/` that the container sees read-only. */
  extra: string[]
  binds: Bind[]
  /** Files below /etc that the kubelet writes, by name. */
  etc: Record<string, string>
  env: Record<string, string>
  command: string[]
  workingDir: string
  uid?: number
  gid?: number
  groups: number[]
  /** Capabilities that the program cannot get, without `CAP_`. */
  without: string[]
}

/**
 * The shell script that turns a process in fresh namespaces into a container: overlay over this machine's root, proc, dev,
 * volumes, then chroot and exec, so the program keeps the process id (1 in its own PID namespace).
 * Talks on descriptor 3: `pid N` when everything is mounted; `missing` when the program does not exist. Waits for one line
 * on standard input in between. Output goes through fifos `out` and `err`: programs may open /dev/stdout again, which a
 * socket would refuse.
 */
export function containerScript(o: ScriptOptions): string {
  const root = `${o.dir}/root`
  const etc = Object.entries(o.etc).map(([name, text]) => `printf %s ${quote(text)} >"$D/upper/etc/${name}"`)
  const extra = o.extra
    .filter((point) => point !== '/tmp')
    .map(
      (point) =>
        `[ ! -d "$R"${quote(point)} ] || { mount --bind "$N"${quote(point)} "$R"${quote(point)} && mount -o remount,bind,ro "$R"${quote(point)}; } || true`,
    )
  const binds = o.binds.map(
    (bind) =>
      `put ${quote(bind.source)} ${quote(bind.destination)} ${bind.host ? 'host' : 'own'} ${bind.readOnly ? 'ro' : 'rw'}`,
  )
  const words = [...Object.entries(o.env).map(([key, value]) => `${key}=${value}`), ...o.command].map(quote).join(' ')
  const lookup = `chroot "$R" /usr/bin/env -i ${quote(`PATH=${o.env.PATH}`)} sh -c 'cd "$1" && command -v "$2"' sh ${quote(o.workingDir)} ${quote(o.command[0]!)}`
  const identity = [
    ...(o.uid === undefined ? [] : [`--reuid=${o.uid}`]),
    ...(o.gid === undefined ? [] : [`--regid=${o.gid}`]),
    o.groups.length ? `--groups=${o.groups.join(',')}` : '--clear-groups',
    ...(o.without.length ? [`--bounding-set=${o.without.map((name) => `-${name.toLowerCase()}`).join(',')}`] : []),
  ].join(' ')
  return `set -e
D=${quote(o.dir)} R=${quote(root)} N=${quote(o.nodeRoot)}
read -r pid _ </proc/self/stat
mkdir -p "$D/upper/etc" "$D/work" "$D/dev-upper" "$D/dev-work" "$R"
chmod 755 "$D/upper" "$D/upper/etc"
${etc.join('\n')}
mount -t overlay overlay -o "lowerdir=/,upperdir=$D/upper,workdir=$D/work" "$R"
mount -t proc proc "$R/proc"
mount -t sysfs sysfs "$R/sys" 2>/dev/null || mount --rbind /sys "$R/sys"
mount -t overlay overlay -o "lowerdir=/dev,upperdir=$D/dev-upper,workdir=$D/dev-work" "$R/dev"
mount --bind /dev/pts "$R/dev/pts" 2>/dev/null || true
mkdir -p "$R/dev/shm"
mount -t tmpfs -o mode=1777 tmpfs "$R/dev/shm"
mount -t tmpfs -o mode=1777 tmpfs "$R/tmp"
mount -t tmpfs -o mode=0755 tmpfs "$R/run"
${extra.join('\n')}
# Destinations are resolved inside the new root: a link such as /var/run -> /run must not lead out of it.
put() {
  to=$(chroot "$R" realpath -m -- "$2")
  from=$1 flag=--bind
  if [ "$3" = host ]; then
    from="$N$(chroot "$N" realpath -m -- "$1")" flag=--rbind
    [ -e "$from" ] || mkdir -p "$from"
  fi
  if [ -d "$from" ]; then chroot "$R" mkdir -p "$to"
  else chroot "$R" mkdir -p "$(dirname "$to")"; [ -e "$R$to" ] || chroot "$R" touch "$to"; fi
  mount $flag "$from" "$R$to"
  [ "$4" = rw ] || mount -o remount,bind,ro "$R$to"
}
${binds.join('\n')}
[ -d "$R"${quote(o.workingDir)} ] || chroot "$R" mkdir -p ${quote(o.workingDir)}
if ! ${lookup} >/dev/null 2>&1; then echo missing >&3; exit 128; fi
mkfifo "$D/out" "$D/err"
exec 1<>"$D/out" 2<>"$D/err"
echo "pid $pid" >&3
read -r go || exit 0
exec 0</dev/null 3>&-
exec chroot "$R" /usr/bin/setpriv ${identity} -- /usr/bin/env -i -C ${quote(o.workingDir)} ${words}
`
}
