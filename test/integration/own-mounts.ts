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
