import {readdirSync, readFileSync} from 'node:fs'

/** One way to find the main process of a container: its pid in our PID namespace, or undefined when it does not know it. */
export interface Lookup {
  /** For the log and for the error when nobody knows the container. */
  name: string
  find(containerId: string): number | undefined
}

/** A full container id as every runtime writes it. A shorter or empty one would match the wrong processes. */
const FULL_ID = /^[0-9a-f]{64}$/

/** Whether a text is a full container id. */
export function isFullId(text: string): boolean {
  return FULL_ID.test(text)
}

/** State directories of containerd as seen from the agent's container, which mounts the node's /run and /var. */
export const containerdStateDirs: readonly string[] = [
  '/host/run/containerd',
  '/host/run/k3s/containerd',
  '/host/run/k0s/containerd',
  '/host/var/snap/microk8s/common/run/containerd',
]

/** Looks through `<proc>/PID/cgroup` for the id and takes the process that is pid 1 of its own PID namespace. */
export function cgroupLookup(proc = '/proc'): Lookup {
  return {
    name: 'process cgroups',
    find(containerId) {
      for (const entry of readdirSync(proc)) {
        if (!/^\d+$/.test(entry)) continue
        if (!readText(`${proc}/${entry}/cgroup`)?.includes(containerId)) continue
        // The container's first process has pid 1 in its namespace; others of the same cgroup came by exec.
        const pids = /^NSpid:\s*(.+)$/m
          .exec(readText(`${proc}/${entry}/status`) ?? '')?.[1]
          ?.trim()
          .split(/\s+/)
        if (pids && pids.length > 1 && pids.at(-1) === '1') return Number(entry)
      }
      return undefined
    },
  }
}

/**
 * The lowest pid whose cgroup carries the id: for pods with a shared PID namespace, where no container has a pid 1 of
 * its own, and for targets that use the host's PID namespace.
 */
export function sharedNamespaceLookup(proc = '/proc'): Lookup {
  return {
    name: 'lowest process of the cgroup',
    find(containerId) {
      const pids = readdirSync(proc)
        .filter((entry) => /^\d+$/.test(entry))
        .map(Number)
      return pids.sort((a, b) => a - b).find((pid) => readText(`${proc}/${pid}/cgroup`)?.includes(containerId))
    },
  }
}

/** Reads the pid file that containerd's runtime shim keeps for each task. */
export function containerdLookup(stateDirs: readonly string[] = containerdStateDirs, proc = '/proc'): Lookup {
  return {
    name: 'containerd task directories',
    find(containerId) {
      for (const dir of stateDirs) {
        const text = readText(`${dir}/io.containerd.runtime.v2.task/k8s.io/${containerId}/init.pid`)?.trim()
        if (text === undefined || !/^[1-9]\d*$/.test(text)) continue
        // A stale file of a finished task names a process that is gone.
        if (readText(`${proc}/${text}/status`) !== undefined) return Number(text)
      }
      return undefined
    },
  }
}

/**
 * Finds the main process of a container by the first lookup that knows it.
 * @param containerId full id, 64 hexadecimal digits
 * @throws Error with a text for the log: malformed id, or nobody knows the container
 */
export function findTarget(
  containerId: string,
  lookups: readonly Lookup[] = [cgroupLookup(), containerdLookup(), sharedNamespaceLookup()],
): {pid: number; by: string} {
  if (!isFullId(containerId)) throw new Error(`'${containerId}' is not a full container id (64 hexadecimal digits)`)
  for (const lookup of lookups) {
    const pid = lookup.find(containerId)
    if (pid !== undefined) return {pid, by: lookup.name}
  }
  const tried = lookups.map((lookup) => lookup.name).join(', ')
  throw new Error(`no process of container ${containerId} was found on this node (looked at: ${tried})`)
}

function readText(path: string): string | undefined {
  try {
    return readFileSync(path, 'latin1')
  } catch {
    // Processes end while we look; a missing file means the same.
    return undefined
  }
}
