/* window.c - where UDP sockets live: socket(AF_INET|AF_INET6, SOCK_DGRAM) is answered with a socket of ours, placed at a
 * number in [WINDOW_LOW, WINDOW_HIGH). From then on the filter tells UDP from all others by the number alone, so
 * sendmsg and recvmsg of TCP and unix sockets never trap. Correctness never depends on it: a foreign descriptor
 * inside costs one needless trap; a UDP socket outside (dup) keeps what connect() and sendto() arranged. */
#include "trap.h"

static bool in_our_network(pid_t tid) { /* a process that made its own network namespace must get its sockets there */
    static ino_t ours;
    char path[40];
    struct stat st;
    if (!ours && stat("/proc/self/ns/net", &st) == 0) ours = st.st_ino;
    snprintf(path, sizeof path, "/proc/%d/ns/net", tid);
    return stat(path, &st) == 0 && st.st_ino == ours;
}
void on_socket(const notif *n) {
    int type = (int)n->data.args[1], protocol = (int)n->data.args[2];
    if ((protocol != 0 && protocol != IPPROTO_UDP) || !in_our_network(n->pid)) {
        answer_continue(n);
        return;
    }
    int fd = socket((int)n->data.args[0], type | SOCK_CLOEXEC, protocol);
    if (fd < 0) {
        answer_continue(n); /* the kernel gives the program's own errno */
        return;
    }
    int at = fd_free(n->pid, WINDOW_LOW, WINDOW_HIGH);
    int r = at < 0 ? -EBADF : inject(n, fd, type & SOCK_CLOEXEC, at);
    if (r == -EBADF) r = inject(n, fd, type & SOCK_CLOEXEC, -1); /* full, or above its RLIMIT_NOFILE */
    if (r < 0 && r != -ENOENT) answer_error(n, -r);
    close(fd);
}
