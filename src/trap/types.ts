import type {fileOperations} from './wire.ts'

/** An IP address and a port. `address` is IPv4 dotted or IPv6 text, never v4-mapped; port 0 means "any". */
export interface Address {
  address: string
  port: number
}

/** What the trap runs and how. Nothing of it reaches a command line: it travels over a private socket. */
export interface TrapOptions {
  /** The built `mirrord-trap`. */
  trapPath: string
  /** The trap and the program run in a container; absent: here. */
  container?: ContainerLaunch
  /**
   * Absolute path of the executable. A script without `#!` is run by /bin/sh, as execvp(3) does. In a container also a name,
   * which the trap looks for on its PATH, or a path relative to its working directory.
   */
  program: string
  /** argv of the program, argv[0] included. */
  argv: readonly string[]
  /** Empty: where the trap is (in a container the runtime has decided). */
  cwd: string
  /** The whole environment of the program (the trap itself is started with it, and hands it on unchanged). In a container: unused. */
  env: Record<string, string>
  /** `NAME=VALUE` to set in, `NAME` to take from, the environment that the trap was started with. */
  environment?: readonly string[]
  /** Descriptors of this process that become 0, 1 and 2 of the program. */
  stdio: {stdin: number | 'ignore'; stdout: number; stderr: number}
  /** true: the program leads its own session (background). false: it stays in the terminal's process group. */
  newSession: boolean
  /** false: the tree is only supervised (started, ended as a whole); no system call is intercepted and nothing asked. */
  intercept: boolean
  /** true: `bind` may move to another local port and `listen` waits for `handlers.listen`. */
  incoming: boolean
  /** Which protocols `connect` asks for. Port 53 is always asked for, so that names resolve when both are off. */
  outgoing: {tcp: boolean; udp: boolean}
  /** Files of the target that the program sees at `path` (absolute, exact): reads come from `source`. */
  overlays: readonly {path: string; source: string}[]
  /** Destinations that are connected as asked, without a question. `cidr` is an address or a network. */
  local: readonly {cidr: string; port?: number}[]
  /** Remote files; absent: every path but the overlays is local. */
  files?: FileOptions
  /** Automaton (compilePatterns of src/patterns) of unix socket paths that are connected in the target; a leading zero byte is shown as `@`. */
  unixStreams?: Uint8Array
  /** Names (of the executable or of argv[0]) of programs that run as without the trap; what they start is judged anew. */
  skip?: readonly string[]
  /** What uname(2) shows as the host's name, so gethostname(3) too; 64 bytes at most. Absent: this machine's. */
  hostname?: string
  /** Longest time in ms that a connect of a non-blocking socket is held before `hurry` fires. Default 1000. */
  nonBlockingHold?: number
  /** How long in ms this side may take before the trap ends a call with an errno of its own. */
  limits?: Partial<TrapLimits>
}

/** A container whose first process is `mirrord-trap --connect SOCKET`. */
export interface ContainerLaunch {
  /** Absolute path of the runtime's client, and its words. */
  file: string
  args: readonly string[]
  /** The client's own. */
  env: Record<string, string>
  cwd: string
  /** Where to listen for the trap: a new path in a directory that is mounted in the container. */
  socket: string
  /** How long the container may take to run; default 120,000 ms. */
  startMs?: number
  /** Removes the container, if there is one. Must not reject. */
  remove(): Promise<void>
}

/** ms that a question may be under way before the trap ends the call that waits for it, and tells the handler (`gone`). */
export interface TrapLimits {
  /** connect of TCP and unix sockets: ETIMEDOUT. Default 90,000; unix sockets that do not block: 10,000 at most. */
  connect: number
  /** listen: ETIMEDOUT. Default 60,000. */
  listen: number
  /** About files, without `busy`: EIO. Default 60,000. */
  file: number
  /** Where datagrams go (sendto, and connect of UDP): ENETUNREACH. Default 10,000. */
  datagram: number
}

/** What the trap needs to decide about paths by itself. */
export interface FileOptions {
  /**
   * Private directory of the local copies: the remote path /a/b is DIRECTORY/a/b. A path below it means the remote one again
   * (that is how relative paths and /proc/PID/fd lead back).
   */
  directory: string
  /**
   * Automaton (compilePatterns of src/patterns) over absolute, normalised paths. The label of its first pattern that matches is
   * a `pathClasses` value; none is `local`.
   */
  rules: Uint8Array
  /** Automaton of paths that may have to be mapped: any label asks `map`. Absent: no mapping. */
  mapping?: Uint8Array
  /** Some path may be read-write: the calls that change files are trapped too. */
  writable: boolean
}

/**
 * Labels of `FileOptions.rules`. Their precedence is the order of the patterns, not of the numbers. `modeReadWrite`
 * and `modeReadOnly`: remote only because of the mode, no pattern says so (rules 9 and 10); the trap then holds for local what
 * lies at or below the working directory of the process, and its executable, as the list of default local paths does.
 */
export const pathClasses = {
  notFound: 1,
  readWrite: 2,
  readOnly: 3,
  local: 4,
  modeReadWrite: 5,
  modeReadOnly: 6,
} as const

/**
 * A question about a remote path. Paths are absolute and normalised ("." and ".." and double slashes taken out), links in
 * them are the target's to follow. `flags` and `mode` are those of the system call (open flags of this machine).
 *
 * - `lookup`: metadata and a placeholder: `source` is a local file of the same type, size and times (a link for a link when
 *   `noFollow`), `text` a link's target.
 * - `open`: `source` is opened by the trap with the program's flags: the complete copy; a directory holds every name that
 *   the program shall see. With a writing flag the remote file is opened too, and `object` names the copy: `objectOf` its inode number.
 * - `statfs`: `numbers` are type, block size, blocks, free, available, files, free files, id[0], id[1], name length, fragment
 *   size, flags.
 * - `map`: `text` is what `path` is mapped to (itself when nothing applies).
 * - `mkdir`, `rmdir`, `unlink`, `rename` (other), `chmod`, `chown` (numbers: uid, gid; -1 keeps), `utimens` (numbers: atime s,
 *   ns, mtime s, ns; ns UTIME_NOW and UTIME_OMIT of utimensat(2)), `truncate` (numbers: length), `link` (other is the new name),
 *   `symlink` (other is the target's text). chmod, chown and utimens with an `object` are of the open copy.
 * - `sync`: everything written to the copy `object` has reached the target. `close`: the same, and one descriptor goes.
 * - `watch`: changes of the remote file or directory show in its copy `source` from now on (inotify).
 */
export interface FileRequest {
  operation: FileOperation
  pid: number
  path: string
  other: string
  flags: number
  mode: number
  object: number
  numbers: readonly number[]
  /** Aborts when the caller is gone (killed): nobody uses the answer. */
  gone: AbortSignal
  /** Says that the work goes on (a large copy, for example). Without it the caller gets EIO after 60 s; call it as often as you like. */
  busy: () => void
}

/** What a `FileRequest` asks for. */
export type FileOperation = keyof typeof fileOperations

/** The answer to a `FileRequest`: an errno, or what the operation gives. */
export interface FileAnswer {
  errno?: number
  /** How long in ms the trap may give this answer (errno included) again without asking; 0 or absent: once. */
  validMs?: number
  source?: string
  text?: string
  /** Inode number of the copy. */
  object?: number
  /** st_mode with the type, of the remote file. */
  mode?: number
  uid?: number
  gid?: number
  links?: number
  blocks?: number
  rdev?: number
  numbers?: readonly number[]
}

/** A unix stream or seqpacket socket of the tree connects to a path of the target. */
export interface UnixConnectRequest {
  pid: number
  /** Message boundaries count: the relay's stream carries each message as `u32 length, bytes`, little-endian, both ways. */
  seqpacket: boolean
  /** As in sun_path, without trailing zero bytes; an abstract name begins with one. */
  path: Uint8Array
  gone: AbortSignal
}

/** The answer to a `UnixConnectRequest`. `relay`: path of a listening unix stream socket that only this connection uses. */
export type UnixConnectAnswer = {relay: string} | {errno: number} | {direct: true}

/** The program (or one of its descendants) connects, or sends a first datagram to port 53. */
export interface ConnectRequest {
  pid: number
  protocol: 'tcp' | 'udp'
  /**
   * true: an unconnected UDP socket sends to `remote`. The relay serves every socket of the tree that sends there, one
   * flow for each source address, and must answer from the relay address. Asked once for each remote address.
   */
  unconnected: boolean
  remote: Address
  /** A TCP socket in non-blocking mode: the answer to `hurry` may come with `later`. */
  nonBlocking: boolean
  /** The family the relay address must have: 6 only for sockets that cannot reach IPv4 (IPV6_V6ONLY, bound to IPv6). */
  relayFamily: 4 | 6
  /**
   * Aborts when the program cannot be held longer (non-blocking socket, SO_SNDTIMEO, a signal waits): answer with the
   * relay at once, with `later` where possible, and reset (RST) the relayed connection if the remote end cannot be
   * reached after all.
   */
  hurry: AbortSignal
  /**
   * Aborts when the call is gone (process killed): nobody will connect to the relay. With `unconnected`: when the trap has
   * forgotten the relay (it remembers the 1,024 used last), so that it can be closed.
   */
  gone: AbortSignal
}

/** The answer to a `ConnectRequest`. */
export type ConnectAnswer =
  | {
      /** The remote end accepted; the program's socket is now connected to this loopback address. */
      relay: Address
      /** Address of the connection in the cluster, shown by getsockname(2). Absent: the loopback address shows. */
      local?: Address
      /**
       * Called once with the source address of the program's socket, so that the connection which the relay accepts
       * is matched and authenticated; undefined when the connect failed. May come before or after that accept.
       * Not called for `unconnected` requests.
       */
      onConnected?: (source: Address | undefined) => void
      /**
       * Only with `nonBlocking`: the connect stays under way (EINPROGRESS) until this resolves, with the same relay or an
       * errno. Where the trap cannot do that, the socket is connected at once and the `onConnected` beside is called;
       * else only that of the later answer. Must not reject.
       */
      later?: Promise<
        {relay: Address; local?: Address; onConnected(source: Address | undefined): void} | {errno: number}
      >
    }
  /** connect(2) fails with this Linux errno (ECONNREFUSED, ETIMEDOUT, ...). */
  | {errno: number}
  /** Connect as the program asked, locally. */
  | {direct: true}

/** A socket of the tree that listens. */
export interface Listener {
  /** Unique in this trap, never reused. */
  id: number
  pid: number
  /** As the program asked in bind(2). Port 0: it asked for any port (then `actual.port` is what it knows). */
  asked: Address
  /** Where the socket really listens. */
  actual: Address
}

/** The session's side of every question and event. All are called on the event loop, in the order of the trap's messages. */
export interface TrapHandlers {
  /** Rejecting makes connect fail with ENETUNREACH and raises a warning. */
  connect(request: ConnectRequest): Promise<ConnectAnswer>
  /**
   * The program's listen(2) is held until this resolves when `incoming` is on, else it has already returned. An errno
   * makes it fail (the socket then does not listen). Rejecting makes it fail with EACCES and raises a warning.
   */
  listen(listener: Listener): Promise<{errno?: number}>
  /** Closed by its last holder, or its processes ended; within about 300 ms. Not called for a listen that failed. */
  listenerClosed(id: number): void
  /** Only with `TrapOptions.files`. Rejecting makes the call fail with EIO and raises a warning. */
  file?(request: FileRequest): Promise<FileAnswer>
  /**
   * The last descriptor of a copy that was open for writing is closed, or its processes ended: it is complete. `opens`: how
   * many answers with this object that concerns; when the session has given more, one is under way and another call follows.
   */
  fileClosed?(object: number, opens: number): void
  /** Only with `TrapOptions.unixStreams`. Rejecting makes connect fail with ECONNREFUSED and raises a warning. */
  connectUnix?(request: UnixConnectRequest): Promise<UnixConnectAnswer>
  /** Job control: the program itself was stopped by a signal, or goes on. */
  stopped?(): void
  continued?(): void
  /** Something that the user should know: a process that cannot be intercepted, for example. */
  warning(text: string): void
}

/** A running trap with its program. */
export interface Trap {
  /** Process id of mirrord-trap (the outer process); with a container, of the runtime's client. */
  readonly pid: number
  /** In a container: its number there. */
  readonly programPid: number
  /** What the kernel gives: waits that only SIGKILL ends (5.19), wake-ups on the same processor (6.6), pidfd_getfd(2). */
  readonly features: {killable: boolean; syncWakeUp: boolean; pidfdGetfd: boolean}
  /**
   * Must be awaited before dialling the program's listener from `source`: accept(2), getpeername(2) and getsockname(2)
   * of that connection then show `peer` and `local`. A connection from an unregistered source is shown as it is.
   */
  registerPeer(source: Address, peer: Address, local: Address): Promise<void>
  /** The connection from `source` has ended. Sockets that the program already holds keep their addresses. */
  forgetPeer(source: Address): void
  /** Answers about remote files given so far are no longer true. */
  filesChanged(): void
  /** Sends a signal to the program's own process, unless it has ended. */
  signalProgram(signal: NodeJS.Signals): void
  /** Sends a signal to every process of the tree. */
  signalTree(signal: NodeJS.Signals): void
  /** SIGKILL to everything until nothing is left; `ended` resolves then. */
  killTree(): void
  /** The program itself ended (its descendants may live on). Rejects never; without `code` and `signal`: the trap was lost. */
  readonly exited: Promise<ProgramExit>
  /** The whole tree is gone, and a container with it. `clean` is false when the trap was lost or spoke nonsense; `reason` says which. */
  readonly ended: Promise<{clean: boolean; reason?: string}>
}

/** How the program ended: one of both, or neither when the trap was lost first. */
export interface ProgramExit {
  code?: number
  /** Its name; `SIG` and the number for one without a name (real-time signals). */
  signal?: NodeJS.Signals
}

/** What `mirrord-trap --probe` found by trying. */
export interface TrapProbe {
  /** Everything that this version needs works. */
  available: boolean
  /** Stable; present when not available. */
  reason?: UnavailableReason
  /** errno of the call that failed. */
  errno?: number
  seccompUserNotification: boolean
  /** false (Docker's default profile): the tree's sockets are made by the trap; what is lost is in native/trap/README.md. */
  pidfdGetfd: boolean
  memoryAccess: boolean
  injectDescriptor: boolean
  waitKillable: boolean
  syncWakeUp: boolean
  kernel: string
  arch: string
}

/**
 * Why system calls cannot be intercepted here.
 * `other-listener`: a supervisor already listens (EBUSY) · `kernel-too-old`: no user notification (EINVAL, ENOSYS), also
 * gVisor · `seccomp-denied`: seccomp(2) refused (EPERM, EACCES) · `memory-denied`: neither process_vm_readv(2) nor
 * /proc/PID/mem of a child (Yama 2 and 3, a profile) · `inject-missing`: no SECCOMP_ADDFD_FLAG_SEND (kernel before 5.14) · `not-executable`: the trap binary cannot be run.
 */
export type UnavailableReason =
  'other-listener' | 'kernel-too-old' | 'seccomp-denied' | 'memory-denied' | 'inject-missing' | 'not-executable'
