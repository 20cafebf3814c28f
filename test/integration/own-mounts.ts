import {writeFileSync} from 'node:fs'
import path from 'node:path'

const root = process.getuid?.() === 0

/**
 * Words that run what follows in a mount namespace of its own, as root of it. In a chroot the root is no mount point, of which
 * unshare(1) could set the propagation; whoever made the chroot has to have made its mounts private.
 */
export const withOwnMounts: readonly [string, ...string[]] = [
  'unshare',
  ...(root ? [] : ['--user', '--map-root-user']),
  ...['--mount', '--propagation', 'unchanged'],
  ...['sh', '-c', 'mount --make-rprivate / 2>/dev/null; exec "$@"', 'sh'],
]

/**
 * Words that run what follows where no user has a passwd entry; exit 98 or 99 where that cannot be had. Makes two files in `folder`.
 * The entry of root may come from systemd too (nss-systemd(8)).
 */
export function withoutPasswd(folder: string): string[] {
  const [empty, files] = ['passwd', 'nsswitch.conf'].map((name) => path.join(folder, name)) as [string, string]
  writeFileSync(empty, '')
  writeFileSync(files, 'passwd: files\n')
  const script = `mount --bind "$1" /etc/passwd && mount --bind "$2" /etc/nsswitch.conf || exit 98
    getent passwd "$(id -u)" && exit 99; shift 2; exec "$@"`
  return [...withOwnMounts, 'sh', '-c', script, 'sh', empty, files]
}
