/* receive.c - datagrams whose source is a relay are shown with their original source. */
#include "trap.h"
#include <sys/epoll.h>

#define NATIVE (-ENOTSUP)

static void original_source(uint64_t cookie, int domain, struct sockaddr_storage *name, socklen_t *length) {
    struct addr source, remote;
    struct sock *s = sock_find(cookie);
    if (!addr_from_sockaddr(&source, name, *length)) return;
    if (s && s->relayed && addr_equal(&s->via, &source)) remote = s->peer;
    else if (!relay_original(&source, &remote)) return;
    struct sockaddr_storage shown;
    socklen_t n = addr_to_sockaddr(&remote, domain, &shown);
    if (!n) return;
    *name = shown;
    *length = n;
}
static ssize_t receive_from(const struct call *c) {
    const __u64 *a = c->n.data.args;
    struct sockaddr_storage name;
    socklen_t length = sizeof name;
    size_t cap = a[2] > 65536 ? 65536 : a[2];
    uint8_t *data = malloc(cap + 1);
    if (!data) abort();
    ssize_t k = recvfrom(c->fd, data, cap, (int)a[3] | MSG_DONTWAIT, (void *)&name, &length);
    if (k < 0) k = -errno;
    else {
        original_source(c->cookie, c->info.domain, &name, &length);
        ssize_t e = mem_write(c->n.pid, a[1], data, (size_t)k < cap ? (size_t)k : cap);
        if (e >= 0) e = mem_write_sockaddr(c->n.pid, a[4], a[5], &name, length);
        if (e < 0) k = e;
    }
    free(data);
    return k;
}
static ssize_t one_message(const struct call *c, uint64_t at, int flags) {
    struct datagram m;
    pid_t tid = c->n.pid;
    ssize_t k = datagram_load(tid, at, &m, false);
    if (k == -E2BIG) return NATIVE;
    if (k < 0) return k;
    struct iovec v = {m.data, m.length};
    struct msghdr h = {.msg_name = &m.name, .msg_namelen = sizeof m.name, .msg_iov = &v, .msg_iovlen = 1,
                       .msg_control = m.control, .msg_controllen = m.user.msg_controllen};
    k = recvmsg(c->fd, &h, (flags & ~MSG_WAITFORONE) | MSG_DONTWAIT);
    if (k < 0) k = -errno;
    if (k >= 0) {
        size_t left = (size_t)k < m.length ? (size_t)k : m.length, done = 0;
        ssize_t e = 0;
        socklen_t length = h.msg_namelen;
        original_source(c->cookie, c->info.domain, &m.name, &length);
        for (size_t i = 0; i < m.user.msg_iovlen && left && e >= 0; i++) {
            size_t part = m.iov[i].iov_len < left ? m.iov[i].iov_len : left;
            e = mem_write(tid, (uint64_t)m.iov[i].iov_base, m.data + done, part);
            done += part;
            left -= part;
        }
        if (m.user.msg_name) {
            if (e >= 0) e = mem_write(tid, (uint64_t)m.user.msg_name, &m.name, m.user.msg_namelen < length ? m.user.msg_namelen : length);
            m.user.msg_namelen = length;
        }
        if (e >= 0) e = mem_write(tid, (uint64_t)m.user.msg_control, m.control, h.msg_controllen);
        m.user.msg_controllen = h.msg_controllen;
        m.user.msg_flags = h.msg_flags;
        if (e >= 0) e = mem_write(tid, at, &m.user, sizeof m.user);
        if (e < 0) k = e;
    }
    datagram_free(&m);
    return k;
}
/* recvmmsg gives what is there, at least one; its timeout bounds only the wait between datagrams (recvmmsg(2), BUGS). */
static ssize_t many(const struct call *c) {
    const __u64 *a = c->n.data.args;
    ssize_t k = 0;
    unsigned i;
    for (i = 0; i < (unsigned)a[2] && i < 1024; i++) {
        uint64_t at = a[1] + i * sizeof(struct mmsghdr);
        if ((k = one_message(c, at, (int)a[3])) < 0) break;
        unsigned length = (unsigned)k;
        if ((k = mem_write(c->n.pid, at + offsetof(struct mmsghdr, msg_len), &length, sizeof length)) < 0) break;
    }
    return i ? (ssize_t)i : k;
}
/* true: answered or gone. A receive that disappears loses nothing: the datagram is still in the program's socket. */
bool receive_attempt(struct call *c) {
    const notif *n = &c->n;
    struct sock *s = sock_find(c->cookie);
    if (!notif_valid(n)) return true;
    if (!s || !s->datagram_relayed) { /* something came, and nothing of it can be from a relay */
        answer_continue(n);
        return true;
    }
    ssize_t k = n->data.nr == SYS_recvfrom ? receive_from(c)
        : n->data.nr == SYS_recvmsg ? one_message(c, n->data.args[1], (int)n->data.args[2]) : many(c);
    if (k == -EAGAIN && !c->nonblocking) return false;
    if (k == NATIVE) answer_continue(n);
    else answer_result(n, k);
    return true;
}
void on_receive(const notif *n) {
    struct info i;
    int fd = fd_duplicate(n->pid, (int)n->data.args[0]);
    int flags = (int)n->data.args[n->data.nr == SYS_recvmsg ? 2 : 3];
    if (fd < 0) mem_refused(n->pid, fd, "receive");
    if (fd < 0 || (flags & MSG_ERRQUEUE) || !sock_info(fd, &i) || !info_is_udp(&i)) {
        if (fd >= 0) close(fd);
        answer_continue(n);
        return;
    }
    struct sock *s = sock_find(i.cookie);
    bool nonblocking = (flags & MSG_DONTWAIT) || (fcntl(fd, F_GETFL) & O_NONBLOCK);
    if (!(s && s->datagram_relayed) && nonblocking) {
        close(fd);
        answer_continue(n);
        return;
    }
    struct call *c = call_hold(HELD_RECEIVE, n, fd, 0);
    c->cookie = i.cookie;
    c->info = i;
    c->nonblocking = nonblocking;
    uint64_t patience = sock_timeout(fd, SO_RCVTIMEO);
    if (patience) c->deadline = now_ns() + patience;
    /* A first relayed send of another thread may come while this one waits: so it waits here, not in the kernel. */
    if (s && s->datagram_relayed && receive_attempt(c)) call_end(c);
    else call_watch(c, EPOLLIN);
}
