/* accept.c - accept(2) and accept4(2) with an address: the connection is accepted here and handed over with the peer
 * that the session registered for it. Calls without an address run natively (their names come from names.c), but not where pidfd_getfd is
 * denied: this is then the one moment at which the connection is in our hands. */
#include "trap.h"
#include <poll.h>
#include <sys/epoll.h>

/* -EAGAIN: nobody is there. Between poll and accept another process may take the connection, and another thread O_NONBLOCK away. */
static int take(int listener, int flags, struct sockaddr_storage *from, socklen_t *length) {
    struct pollfd p = {listener, POLLIN, 0};
    if (poll(&p, 1, 0) != 1) return -EAGAIN;
    interrupt_begin();
    int connection = accept4(listener, (void *)from, length, (flags & SOCK_NONBLOCK) | SOCK_CLOEXEC), error = errno;
    interrupt_end();
    return connection >= 0 ? connection : error == EINTR ? -EAGAIN : -error;
}
/* true: the call is finished or gone. false: hold it. Order matters: nothing is taken for a call that is gone, and
 * memory is written before the answer, because after it the program runs. */
bool accept_attempt(struct call *c) {
    const notif *n = &c->n;
    struct sockaddr_storage ss;
    socklen_t length = sizeof ss;
    struct addr source, peer, local, listening = {0};
    int flags = n->data.nr == SYS_accept4 ? (int)n->data.args[3] : 0;
    if (!notif_valid(n)) return true;
    int connection = kept_take(c->cookie);
    if (connection >= 0) {
        int status = fcntl(connection, F_GETFL);
        getpeername(connection, (void *)&ss, &length);
        fcntl(connection, F_SETFL, flags & SOCK_NONBLOCK ? status | O_NONBLOCK : status & ~O_NONBLOCK);
    } else if ((connection = take(c->fd, flags, &ss, &length)) < 0) {
        if (connection == -EAGAIN && !c->nonblocking) return false;
        answer_error(n, -connection);
        return true;
    }
    sock_kernel_name(c->fd, &listening);
    struct info i;
    bool ours = addr_from_sockaddr(&source, &ss, length) && peer_lookup(&source, &peer, &local);
    if (without_getfd && !ours && sock_info(connection, &i)) sock_make(&i)->ordinary = true;
    if (ours) {
        if (sock_info(connection, &i)) {
            struct sock *s = sock_make(&i);
            s->accepted = true;
            s->via = source;
            s->peer = peer;
            s->local = local;
        }
        socklen_t seen = addr_to_sockaddr(&peer, c->info.domain, &ss);
        if (seen) length = seen;
    }
    int r = n->data.args[1] ? mem_write_sockaddr(n->pid, n->data.args[1], n->data.args[2], &ss, length) : 0;
    if (r == 0) r = inject(n, connection, flags & SOCK_CLOEXEC, -1);
    if (r == -EFAULT || r == -EINVAL) { /* a bad pointer: the kernel takes the connection and closes it, too */
        fd_release(connection);
        answer_error(n, -r);
        return true;
    }
    if (r < 0) { /* EMFILE: table full; ENOENT, ESRCH: killed. Never lose a connection. */
        kept_add(&c->info, connection, &listening);
        if (r != -ENOENT && r != -ESRCH) answer_error(n, -r);
        return true;
    }
    fd_release(connection);
    return true;
}
void on_accept(const notif *n) {
    struct info i;
    int fd = fd_duplicate(n->pid, (int)n->data.args[0]);
    if (fd < 0) mem_refused(n->pid, fd, "accept");
    if (fd < 0 || !sock_info(fd, &i) || !info_is_tcp(&i) || !sock_flag(fd, SOL_SOCKET, SO_ACCEPTCONN)) {
        if (fd >= 0) fd_release(fd);
        answer_continue(n);
        return;
    }
    struct call *c = call_hold(HELD_ACCEPT, n, fd, 0);
    c->cookie = i.cookie;
    c->info = i;
    c->nonblocking = fcntl(fd, F_GETFL) & O_NONBLOCK;
    uint64_t patience = sock_timeout(fd, SO_RCVTIMEO);
    if (patience) c->deadline = now_ns() + patience;
    if (accept_attempt(c)) call_end(c);
    else call_watch(c, EPOLLIN);
}
