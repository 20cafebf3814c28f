// What must be known of the flags of `docker run`, `podman run` and `nerdctl run` to find the image behind them. From `docker run
// --help` 28.2, `podman run --help` 4.3 and the command reference of nerdctl 2; a test compares those that are installed.

/** Flags without a value. */
export const switches: ReadonlySet<string> = new Set(
  words(`detach disable-content-trust env-host help http-proxy init interactive no-healthcheck no-hosts
    oom-kill-disable passwd privileged publish-all quiet read-only read-only-tmpfs replace rm rmi rootfs sig-proxy
    tls-verify tty unsetenv-all use-api-socket`),
)

/** Flags whose value may be the next word. */
export const options: ReadonlySet<string> = new Set(
  words(`add-host annotation arch attach authfile blkio-weight blkio-weight-device cap-add cap-drop cgroup-conf
    cgroup-parent cgroupns cgroups chrootdirs cidfile conmon-pidfile cpu-count cpu-percent cpu-period cpu-quota
    cpu-rt-period cpu-rt-runtime cpu-shares cpus cpuset-cpus cpuset-mems detach-keys device device-cgroup-rule
    device-read-bps device-read-iops device-write-bps device-write-iops dns dns-opt dns-option dns-search domainname
    entrypoint env env-file env-merge expose gidmap gpus group-add health-cmd health-interval health-on-failure
    health-retries health-start-interval health-start-period health-timeout hostname hostuser image-volume init-binary
    init-path io-maxbandwidth io-maxiops ip ip6 ipc isolation kernel-memory label label-file link link-local-ip
    log-driver log-opt mac-address memory memory-reservation memory-swap memory-swappiness mount name net net-alias
    network network-alias oom-score-adj os passwd-entry personality pid pidfile pids-limit platform pod pod-id-file
    preserve-fds publish pull rdt-class requires restart runtime sdnotify seccomp-policy secret security-opt shm-size
    stop-signal stop-timeout storage-opt subgidname subuidname sysctl systemd timeout tmpfs tz uidmap ulimit umask
    unsetenv user userns uts variant volume volume-driver volumes-from workdir`),
)

/** One letter each. */
export const letters: ReadonlyMap<string, string> = new Map(
  Object.entries({
    a: 'attach',
    c: 'cpu-shares',
    d: 'detach',
    e: 'env',
    h: 'hostname',
    i: 'interactive',
    l: 'label',
    m: 'memory',
    p: 'publish',
    P: 'publish-all',
    q: 'quiet',
    t: 'tty',
    u: 'user',
    v: 'volume',
    w: 'workdir',
  }),
)

function words(text: string): string[] {
  return text.split(/\s+/)
}
