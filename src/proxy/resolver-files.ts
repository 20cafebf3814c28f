/** The addresses of the `nameserver` lines of a resolv.conf(5), in order. */
export function nameservers(resolvConf: string): string[] {
  return resolvConf
    .split('\n')
    .map((line) => /^\s*nameserver\s+(\S+)/.exec(line)?.[1])
    .filter((address) => address !== undefined)
}

/** The same resolv.conf with one nameserver instead of its own; search list and options stay the pod's. */
export function withNameserver(resolvConf: string, address: string): string {
  const others = resolvConf.split('\n').filter((line) => !/^\s*nameserver\b/.test(line))
  return [`nameserver ${address}`, ...others.filter((line) => line.trim() !== '')].join('\n') + '\n'
}

/**
 * The local nsswitch.conf with hosts answered by files and DNS only: other services (systemd-resolved, mDNS) know nothing
 * of the cluster and would be asked first. Every other database stays local, because its modules must exist here.
 */
export function withDnsHosts(nsswitch: string | undefined): string {
  const others = (nsswitch ?? '').split('\n').filter((line) => line.trim() !== '' && !/^\s*hosts\s*:/.test(line))
  return [...others, 'hosts: files dns'].join('\n') + '\n'
}
