/* window.c - where sockets live of which we must hear again: socket(2) is answered with a socket of ours, placed at a number in a window that the
 * filter knows. UDP: [WINDOW_LOW, WINDOW_HIGH), so that sendmsg and recvmsg of all other sockets never trap. Where pidfd_getfd is denied, streams
 * too: [WINDOW_STREAM_LOW, WINDOW_STREAM_HIGH), so that their close traps; and made.c keeps a duplicate of both. Correctness never depends on it: a
 * foreign descriptor inside costs a needless trap; a UDP socket outside (dup) keeps what connect() and sendto() arranged; a stream outside is
 * dropped by made.c's tick instead of at its close. */
#include "trap.h"

static bool in_our_network(pid_t tid) { /* a process that made its own network namespace must get its sockets there */
    static ino_t ours;
    char path[40];
    struct stat st;
    if (!ours && stat("/proc/self/ns/net", &st) == 0) ours = st.st_ino;
    snprintf(path, sizeof path, "/proc/%d/ns/net", tid);
    return stat(path, &st) == 0 && st.st_ino == ours;
}
static bool wanted(int domain, int type, int protocol) {
    if (domain == AF_UNIX) return true; /* the filter lets through no others than we want */
    if (protocol == 0 || protocol == (type == SOCK_DGRAM ? IPPROTO_UDP : IPPROTO_TCP)) return true;
    return type == SOCK_STREAM && protocol == 262; /* MPTCP */
}
static int make(const notif *n) {
    int domain = (int)n->data.args[0], type = (int)n->data.args[1] | SOCK_CLOEXEC, protocol = (int)n->data.args[2];
    if (without_getfd) made_crowded();
    int fd = socket(domain, type, protocol);
    if (fd >= 0 || !table_full(-errno)) return fd;
    if (without_getfd) {
        made_room();
        fd = socket(domain, type, protocol);
    }
    static bool told;
    if (fd < 0 && !told) warn("process %d has more open sockets than mirrord-trap can open files: raise the hard limit of open files (ulimit -Hn)", process_of(n->pid));
    told |= fd < 0;
    return fd;
}
/* sendmsg and recvmsg of it do not trap. */
static void outside(const notif *n, int number) {
    static bool told;
    if (!told)
        warn("process %d has more UDP sockets than are served, or a limit of open files (ulimit -n) below %d: sendmsg of descriptor %d and the like go out as "
             "without mirrord, and what they receive shows a relay's address. connect, send and sendto are served", process_of(n->pid), WINDOW_HIGH, number);
    told = true;
}
void on_socket(const notif *n) {
    int type = (int)n->data.args[1];
    if (!wanted((int)n->data.args[0], type & 0xf, (int)n->data.args[2]) || !in_our_network(n->pid)) {
        answer_continue(n);
        return;
    }
    int fd = make(n);
    if (fd < 0) {
        answer_continue(n); /* the kernel gives the program's own errno */
        return;
    }
    bool stream = (type & 0xf) != SOCK_DGRAM;
    struct info i;
    if (!stream && sock_info(fd, &i)) sock_make(&i); /* local.c tells by it which sockets are the tree's */
    int at = fd_free(n->pid, stream ? WINDOW_STREAM_LOW : WINDOW_LOW, stream ? WINDOW_STREAM_HIGH : WINDOW_HIGH);
    int r = at < 0 ? -EBADF : inject(n, fd, type & SOCK_CLOEXEC, at);
    if (r == -EBADF) r = inject(n, fd, type & SOCK_CLOEXEC, -1); /* full, or above its RLIMIT_NOFILE */
    if (r < 0 && r != -ENOENT) answer_error(n, -r);
    if (!stream && config.udp && r >= 0 && (r < WINDOW_LOW || r >= WINDOW_HIGH)) outside(n, r);
    if (r >= 0 && without_getfd) made_keep(fd, n->pid, r);
    else close(fd);
}
