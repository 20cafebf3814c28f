/* connect.c - connect(2) on the program's own socket, to the session's relay.
 *
 * The program's socket is never replaced (that would lose epoll registrations): a duplicate of it is connected, so
 * epoll, O_NONBLOCK, timeouts and dup'ed descriptors keep working. The call is held until the session knows how the
 * remote end answered; see README for sockets that may not wait. */
#include "trap.h"
#include <netinet/tcp.h>
#include <sys/epoll.h>

uint64_t next_id(void) {
    static uint64_t id;
    return ++id;
}

static bool tcp_is_idle(int fd) { /* connected, connecting or listening already: the kernel knows the right errno */
    struct tcp_info info;
    socklen_t n = sizeof info;
    memset(&info, 0, sizeof info);
    return getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &n) != 0 || info.tcpi_state == TCP_CLOSE;
}
/* Cannot reach an IPv4 relay: V6ONLY, or already bound to a real IPv6 address. */
bool sock_needs_ipv6(int fd, const struct info *i) {
    struct addr name;
    if (i->domain != AF_INET6) return false;
    if (sock_flag(fd, IPPROTO_IPV6, IPV6_V6ONLY)) return true;
    return sock_kernel_name(fd, &name) && name.family == 6 && !addr_unspecified(&name);
}
static bool udp_relayed; /* some UDP socket is connected to a relay */

/* A UDP socket goes from a relay to a local address: its connection to the relay has given it a loopback source. */
static void leave_relay(int fd, const struct info *i) {
    struct sockaddr none = {.sa_family = AF_UNSPEC};
    struct sock *s = info_is_udp(i) ? sock_find(i->cookie) : NULL;
    struct addr via;
    if (!s || !s->relayed) return;
    if (sock_kernel_peer(fd, &via) && addr_equal(&via, &s->via)) connect(fd, &none, sizeof none);
    s->relayed = false;
}
static void remember(const struct call *c, const struct addr *via, const struct addr *local) {
    struct sock *s = sock_make(&c->info);
    s->relayed = true;
    s->accepted = false;
    s->via = *via;
    s->peer = c->remote;
    s->local = *local;
    udp_relayed |= s->datagram;
}
static void report(const struct call *c, int error) {
    struct addr source = {0};
    if (!error) sock_kernel_name(c->fd, &source);
    put_begin(MSG_CONNECTED);
    put_u64(c->id);
    put_u32((uint32_t)error);
    put_addr(&source);
    put_end();
}
static void finish(struct call *c, int error) {
    if (c->id && !c->pending) report(c, error == EINPROGRESS ? 0 : error);
    bool crossing = !killable && !error && c->attached && signal_pending(c->n.pid) != PENDING_NONE;
    bool taken = c->attached && (error ? answer_error(&c->n, error) : answer_value(&c->n, 0));
    if (error && error != EINPROGRESS) made_failed(c->info.inode);
    else if (!c->pending) made_connected(c->info.inode);
    if (killable || (taken && !crossing) || (error && error != EINPROGRESS)) {
        call_end(c);
        return;
    }
    /* Interruptible waits: a signal came between the two. The restarted connect gets this result, not EISCONN. The kernel takes our answer also
     * when the signal has already woken the caller, which then does not see it (seccomp_do_user_notification() in kernel/seccomp.c): so where one was on
     * its way, the caller's next connect may be the restarted one. Otherwise it is a second one, which natively fails. */
    c->taken = taken;
    call_watch(c, 0);
    fd_release(c->fd);
    c->fd = -1;
    c->kind = HELD_CONNECT;
    c->done = true;
    c->error = error;
    c->attached = false;
    c->detached_at = now_ns();
}
/* Connects the duplicate. A blocking socket would make us wait if the relay's backlog were full: the call is then
 * interrupted, goes on in the kernel, and is looked at again when the socket is writable. */
static void to_relay(struct call *c, const struct addr *via, const struct addr *local) {
    struct sockaddr_storage ss;
    socklen_t n = addr_to_sockaddr(via, c->info.domain, &ss);
    c->relay = *via;
    if (!n) {
        finish(c, EAFNOSUPPORT);
        return;
    }
    if (info_is_tcp(&c->info)) {
        int off = 0; /* the handshake would wait for the first data, the session for the handshake (tcp(7)) */
        if (sock_flag(c->fd, IPPROTO_TCP, TCP_FASTOPEN_CONNECT)) setsockopt(c->fd, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, &off, sizeof off);
    }
    if (c->outcome == OUTCOME_PENDING && c->nonblocking && info_is_tcp(&c->info) && pending_connect(c, (void *)&ss, n)) {
        remember(c, via, local);
        c->pending = true;
        finish(c, EINPROGRESS);
        return;
    }
    interrupt_begin(); /* also of a non-blocking one: another thread may just make it a blocking one */
    int error = connect(c->fd, (void *)&ss, n) ? errno : 0;
    interrupt_end();
    if (error == EINTR || (error == EINPROGRESS && !c->nonblocking)) {
        remember(c, via, local);
        c->kind = HELD_RELAY;
        call_watch(c, EPOLLOUT);
        return;
    }
    if (!error || error == EINPROGRESS) remember(c, via, local);
    else if (error != ECONNREFUSED)
        warn("a socket of process %d cannot reach the relay (%s): is it bound to a device or an address?", process_of(c->n.pid), strerror(error));
    finish(c, error);
}
void connect_progress(struct call *c) { /* asking again gives the outcome and leaves the socket as after one long call */
    struct sockaddr_storage ss;
    socklen_t n = addr_to_sockaddr(&c->relay, c->info.domain, &ss);
    interrupt_begin();
    int error = connect(c->fd, (void *)&ss, n) ? errno : 0;
    interrupt_end();
    if (error == EINTR || error == EALREADY) return;
    finish(c, error == EISCONN ? 0 : error);
}
void connect_gone(struct call *c) {
    put_begin(MSG_CONNECT_GONE);
    put_u64(c->id);
    put_end();
}
/* Neither the session nor the relay came to an end of it. */
void connect_expired(struct call *c) {
    struct sockaddr none = {.sa_family = AF_UNSPEC};
    bool tcp = info_is_tcp(&c->info);
    warn("connect of process %d: no answer in %u s", process_of(c->n.pid), (tcp ? config.limit_ms.connect : config.limit_ms.datagram) / 1000);
    if (c->kind == HELD_RELAY) {
        connect(c->fd, &none, sizeof none); /* its handshake would go on */
        finish(c, ETIMEDOUT);
        return;
    }
    connect_gone(c);
    made_failed(c->info.inode);
    answer_error(&c->n, tcp ? ETIMEDOUT : ENETUNREACH); /* natively UDP asks nobody, so no program expects that it takes time */
    call_end(c);
}
/* The answer is in c. While the caller is away in a signal handler it waits here. */
void connect_answered(struct call *c) {
    c->answered = true;
    if (call_away(c)) return; /* its restart takes the answer; if none comes, the tick tells the session */
    if (c->outcome == OUTCOME_DIRECT) {
        leave_relay(c->fd, &c->info);
        made_direct(c->n.pid, (int)c->n.data.args[0]);
        answer_continue(&c->n);
        call_end(c);
    } else if (c->outcome == OUTCOME_ERRNO) {
        made_failed(c->info.inode);
        answer_error(&c->n, c->error);
        call_end(c);
    } else to_relay(c, &c->relay, &c->local);
}
void connect_reattach(struct call *c, const notif *n) {
    c->n = *n;
    c->attached = true;
    if (c->kind == HELD_RELAY) connect_progress(c);
    else if (c->answered) connect_answered(c);
}

bool stream_stays(int fd, const struct addr *to) {
    struct sock *own = listener_for(to);
    if (to->port == 0 || config_is_local(to) || !tcp_is_idle(fd)) return true;
    return own ? own->actual.port == to->port : to->port != 53 && !config.tcp;
}
static void ask(struct call *c, bool ipv6) {
    bool udp = info_is_udp(&c->info);
    c->id = next_id();
    put_begin(MSG_CONNECT);
    put_u64(c->id);
    put_u32((uint32_t)process_of(c->n.pid));
    put_u8((uint8_t)((udp ? CONNECT_UDP : 0) | (c->nonblocking ? CONNECT_NONBLOCKING : 0) | (ipv6 ? CONNECT_RELAY_IPV6 : 0)));
    put_addr(&c->remote);
    put_end();
}
/* The caller of a connect that is done comes again: it gets the result. */
static bool give_result(struct call *earlier, const notif *n, const struct addr *to) {
    if (!earlier || !earlier->done) return false;
    bool own = !earlier->taken || (earlier->n.pid == n->pid && addr_equal(&earlier->remote, to));
    if (own && earlier->error) answer_error(n, earlier->error);
    else if (own) answer_value(n, 0);
    call_end(earlier);
    return own;
}
/* 0: held or answered. -1: let the kernel do it. */
static int decide(const notif *n, int fd, const struct addr *to, int family) {
    struct info i;
    if (!sock_info(fd, &i)) return -1;
    bool tcp = info_is_tcp(&i);
    if (!tcp && !info_is_udp(&i)) return -1;
    /* EAFNOSUPPORT and EINVAL; only a datagram socket of IPv6 takes an IPv4 sockaddr */
    if (i.domain != family && !(i.domain == AF_INET6 && !tcp)) return -1;
    struct call *earlier = killable ? NULL : call_by_cookie(HELD_RELAY, i.cookie);
    if (earlier && call_away(earlier)) { /* at its relay; the answer comes when that has accepted */
        connect_reattach(earlier, n);
        fd_release(fd);
        return 0;
    }
    earlier = call_by_cookie(HELD_CONNECT, i.cookie);
    bool done = earlier && earlier->done;
    if (give_result(earlier, n, to)) {
        fd_release(fd);
        return 0;
    }
    if (done) earlier = NULL;
    if (tcp && !tcp_is_idle(fd)) return -1;
    if (tcp) pending_over(fd, i.cookie);
    if (tcp ? to->port == 0 || config_is_local(to) : datagram_local(fd, &i, to) && !datagram_moved(to)) {
        leave_relay(fd, &i);
        return -1;
    }

    if (earlier && call_away(earlier) && addr_equal(&earlier->remote, to)) {
        connect_reattach(earlier, n);
        fd_release(fd);
        return 0;
    }
    if (earlier) {
        answer_error(n, EALREADY);
        fd_release(fd);
        return 0;
    }
    struct sock *own = tcp ? listener_for(to) : datagram_moved(to);
    if (tcp && own && own->actual.port == to->port) return -1;
    if (tcp && !own && to->port != 53 && !config.tcp) return -1;
    struct call *c = call_hold(HELD_CONNECT, n, fd, 0);
    c->cookie = i.cookie;
    c->info = i;
    c->remote = *to;
    c->nonblocking = fcntl(fd, F_GETFL) & O_NONBLOCK;
    if (own) {
        struct addr real = *to, none = {0};
        real.port = own->actual.port;
        if (!tcp) real = addr_unspecified(&own->actual) ? addr_loopback_of(to, own->actual.port) : own->actual;
        to_relay(c, &real, &none);
        return 0;
    }
    if (!tcp) c->limit = now_ns() + config.limit_ms.datagram * MS;
    uint64_t patience = tcp && c->nonblocking ? config.hold_ms * MS : sock_timeout(fd, SO_SNDTIMEO);
    if (patience) c->deadline = now_ns() + patience;
    ask(c, sock_needs_ipv6(fd, &i));
    return 0;
}
/* We have no duplicate. pidfd_getfd is denied, and the socket is not one that we made: connected already, for which the kernel knows the errno, or
 * inherited or handed over from outside the tree. Or our table is full. Nothing runs unconnected without a word. */
static void without_duplicate(const notif *n, const struct addr *to, int why) {
    int64_t inode = socket_inode(n->pid, (int)n->data.args[0]);
    struct sock *own = listener_for(to);
    struct addr peer;
    int domain;
    struct sock *s = inode < 0 ? NULL : sock_find_inode((uint64_t)inode);
    struct call *earlier = s ? call_by_cookie(HELD_CONNECT, s->cookie) : NULL;
    if (give_result(earlier, n, to)) return;
    if (inode < 0 || to->port == 0 || config_is_local(to) || (own && own->actual.port == to->port) || (to->port != 53 && !config.tcp && !config.udp) || inode_peer((uint64_t)inode, &domain, &peer)) {
        answer_continue(n);
        return;
    }
    if (why == -NOT_MADE) made_elsewhere(n->pid, "connects", "The connection is refused");
    else mem_refused(n->pid, why, "connect");
    answer_error(n, ENETUNREACH);
}
void on_connect(const notif *n) {
    struct sockaddr_storage ss;
    struct addr to;
    uint64_t length = (uint32_t)n->data.args[2];
    memset(&ss, 0, sizeof ss);
    if (length < sizeof(sa_family_t) || length > sizeof ss) { /* EINVAL */
        answer_continue(n);
        return;
    }
    ssize_t k = mem_read(n->pid, n->data.args[1], &ss, length);
    if (k < 0) mem_refused(n->pid, k, "connect");
    if (table_full(k)) { /* where memory is a file */
        answer_error(n, ENETUNREACH);
        return;
    }
    if (k >= 0 && ss.ss_family == AF_UNIX && on_connect_unix(n, (const void *)&ss, (socklen_t)length)) return;
    if (k < 0 || !addr_from_sockaddr(&to, &ss, (socklen_t)length) || ((to.port == 0 || config_is_local(&to)) && !udp_relayed && !pending_any())) {
        answer_continue(n);
        return;
    }
    int fd = fd_duplicate(n->pid, (int)n->data.args[0]);
    if (fd == -NOT_MADE || table_full(fd)) {
        without_duplicate(n, &to, fd);
        return;
    }
    if (fd < 0) {
        mem_refused(n->pid, fd, "connect");
        answer_continue(n);
        return;
    }
    if (!notif_valid(n)) {
        fd_release(fd);
        return;
    }
    if (decide(n, fd, &to, ss.ss_family)) {
        fd_release(fd);
        made_direct(n->pid, (int)n->data.args[0]);
        answer_continue(n);
    }
}
