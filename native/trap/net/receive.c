/* receive.c - datagrams whose source is a relay are shown with their original source. */
#include "trap.h"
#include <sys/epoll.h>
#include <time.h>

static struct datagram m; /* used by one call at a time */

static void original_source(const struct call *c, socklen_t *length) {
    struct addr source, remote;
    struct sock *s = sock_find(c->cookie);
    if (!addr_from_sockaddr(&source, &m.name, *length)) return;
    if (s && s->relayed && addr_equal(&s->via, &source)) remote = s->peer;
    else if (!relay_original(&source, &remote)) {
        neighbour_add(&source);
        return;
    }
    *length = addr_to_sockaddr(&remote, c->info.domain, &m.name);
}
static ssize_t receive_from(const struct call *c) {
    const __u64 *a = c->n.data.args;
    socklen_t length = sizeof m.name;
    ssize_t e;
    datagram_flat(&m, a[1], a[2], false);
    ssize_t k = recvfrom(c->fd, m.data, m.length, (int)a[3] | MSG_DONTWAIT, (void *)&m.name, &length);
    if (k < 0) return -errno;
    original_source(c, &length);
    if ((e = datagram_copy_out(c->n.pid, &m, (size_t)k)) < 0 || (e = mem_write_sockaddr(c->n.pid, a[4], a[5], &m.name, length)) < 0) return e;
    return k;
}
static ssize_t receive_message(const struct call *c, uint64_t at, int flags) {
    pid_t tid = c->n.pid;
    ssize_t k = datagram_load(tid, at, &m, false), e;
    if (k < 0) return k;
    struct iovec v = {m.data, m.length};
    struct msghdr h = {.msg_name = &m.name, .msg_namelen = sizeof m.name, .msg_iov = &v, .msg_iovlen = 1,
                       .msg_control = m.control, .msg_controllen = m.control_length};
    k = recvmsg(c->fd, &h, (flags & ~MSG_WAITFORONE) | MSG_DONTWAIT);
    if (k < 0) return -errno;
    socklen_t length = h.msg_namelen;
    original_source(c, &length);
    if ((e = datagram_copy_out(tid, &m, (size_t)k)) < 0) return e;
    if (m.user.msg_name) {
        if ((e = mem_write(tid, (uint64_t)m.user.msg_name, &m.name, m.user.msg_namelen < length ? m.user.msg_namelen : length)) < 0) return e;
        m.user.msg_namelen = length;
    }
    if ((e = mem_write(tid, (uint64_t)m.user.msg_control, m.control, h.msg_controllen)) < 0) return e;
    m.user.msg_controllen = h.msg_controllen;
    m.user.msg_flags = h.msg_flags;
    if ((e = mem_write(tid, at, &m.user, sizeof m.user)) < 0) return e;
    return k;
}
/* recvmmsg waits for as many as were asked for. Its time is looked at after each datagram only, so that the last wait may be longer
 * (recvmmsg(2), BUGS). */
static ssize_t receive_many(struct call *c) {
    const __u64 *a = c->n.data.args;
    int flags = (int)a[3];
    unsigned wanted = (unsigned)a[2] < IOV_LIMIT ? (unsigned)a[2] : IOV_LIMIT;
    ssize_t k = 0;
    while (c->received < wanted) {
        uint64_t at = a[1] + c->received * sizeof(struct mmsghdr);
        if ((k = receive_message(c, at, flags)) < 0) break;
        unsigned length = (unsigned)k;
        if ((k = mem_write(c->n.pid, at + offsetof(struct mmsghdr, msg_len), &length, sizeof length)) < 0) break;
        c->received++;
        if (flags & MSG_WAITFORONE) c->nonblocking = true;
        if (c->until && now_ns() >= c->until) {
            c->nonblocking = true;
            break;
        }
    }
    if (k == -EAGAIN && !c->nonblocking) return k;
    if (!c->received) return k;
    if (c->until) {
        uint64_t now = now_ns(), left = c->until > now ? c->until - now : 0;
        struct timespec rest = {(time_t)(left / 1000000000ull), (long)(left % 1000000000ull)};
        if ((k = mem_write(c->n.pid, a[4], &rest, sizeof rest)) < 0) return k;
    }
    return c->received;
}
/* true: answered or gone. A receive that disappears loses nothing: the datagram is still in the program's socket. */
bool receive_attempt(struct call *c) {
    const notif *n = &c->n;
    if (!notif_valid(n)) return true;
    ssize_t k = n->data.nr == SYS_recvfrom ? receive_from(c)
        : n->data.nr == SYS_recvmsg ? receive_message(c, n->data.args[1], (int)n->data.args[2]) : receive_many(c);
    if (k == -EAGAIN && !c->nonblocking) return false;
    answer_result(n, k);
    return true;
}
void on_receive(const notif *n) {
    struct call now = {.kind = HELD_RECEIVE, .n = *n};
    int flags = (int)n->data.args[n->data.nr == SYS_recvmsg ? 2 : 3];
    struct timespec timeout;
    now.fd = fd_duplicate(n->pid, (int)n->data.args[0]);
    if (now.fd < 0) mem_refused(n->pid, now.fd, "receive");
    if (now.fd < 0 || (flags & MSG_ERRQUEUE) || !sock_info(now.fd, &now.info) || !info_is_udp(&now.info)) goto native;
    now.nonblocking = (flags & MSG_DONTWAIT) || (fcntl(now.fd, F_GETFL) & O_NONBLOCK);
    now.cookie = now.info.cookie;
    if (n->data.nr == SYS_recvmmsg && n->data.args[4]) {
        ssize_t k = mem_read(n->pid, n->data.args[4], &timeout, sizeof timeout);
        if (k < 0 || timeout.tv_sec < 0 || timeout.tv_nsec < 0 || timeout.tv_nsec > 999999999) goto native; /* EFAULT, EINVAL */
        uint64_t seconds = timeout.tv_sec < 1000000000 ? (uint64_t)timeout.tv_sec : 1000000000;
        now.until = now_ns() + seconds * 1000000000ull + (uint64_t)timeout.tv_nsec;
    }
    if (receive_attempt(&now)) {
        fd_release(now.fd);
        return;
    }
    struct call *c = call_hold(HELD_RECEIVE, n, now.fd, 0);
    c->cookie = now.cookie;
    c->info = now.info;
    c->received = now.received;
    c->until = now.until;
    uint64_t patience = sock_timeout(now.fd, SO_RCVTIMEO);
    if (patience) c->deadline = now_ns() + patience;
    call_watch(c, EPOLLIN | EPOLLET); /* read until nothing is left; an error in the error queue would stay an event for ever */
    return;
native:
    if (now.fd >= 0) fd_release(now.fd);
    answer_continue(n);
}
