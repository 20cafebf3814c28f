/* send.c - datagrams with an address: those to remote addresses go to the relay that the session names for their destination. */
#include "trap.h"
#include <netinet/ip.h>
#include <sys/epoll.h>

#define NATIVE (-4096) /* no errno */
#define ASKED (-4097)

/* One send call: the socket, and after ASKED for whom the session is to be asked. */
struct sending { const notif *n; int fd, flags; struct info info; struct addr remote; bool ipv6; };

static struct datagram m; /* 30 KiB, used by one call at a time */

/* The address that stands for the message's own. NATIVE: its own. */
static ssize_t redirect(struct sending *s) {
    struct addr via;
    struct relay *r;
    struct sock *known = sock_find(s->info.cookie), *moved;
    if (!m.name_length || !addr_from_sockaddr(&s->remote, &m.name, m.name_length) || s->remote.port == 0) return NATIVE;
    if (known && known->relayed && addr_equal(&known->peer, &s->remote) && sock_kernel_peer(s->fd, &via) && addr_equal(&via, &known->via)) goto found;
    if ((moved = datagram_moved(&s->remote))) {
        via = moved->actual;
        if (addr_unspecified(&via)) via = addr_loopback_of(&via, via.port);
        goto found;
    }
    if (datagram_local(s->fd, &s->info, &s->remote)) return NATIVE;
    s->ipv6 = sock_needs_ipv6(s->fd, &s->info);
    r = relay_find(&s->remote, s->ipv6);
    if (!r || r->state == RELAY_ASKED) return ASKED;
    if (r->state == RELAY_DIRECT) return NATIVE;
    via = r->via;
found:
    m.name_length = addr_to_sockaddr(&via, s->info.domain, &m.name);
    return m.name_length ? 0 : -EAFNOSUPPORT;
}
/* IP_PKTINFO names an interface and a source of this machine, from which the relay cannot be reached; where the datagram leaves the
 * cluster is the pod's affair. Every other option stays. */
static void drop_packet_info(void) {
    uint8_t kept[sizeof m.control];
    size_t used = 0;
    struct msghdr h = {.msg_control = m.control, .msg_controllen = m.control_length};
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&h); c; c = CMSG_NXTHDR(&h, c)) {
        size_t left = (size_t)(m.control + m.control_length - (uint8_t *)c), n = CMSG_ALIGN(c->cmsg_len);
        if (c->cmsg_len < sizeof *c || c->cmsg_len > left) return; /* the kernel shall say EINVAL */
        if (n > left) n = left;
        if ((c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) || (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO)) continue;
        memcpy(kept + used, c, n);
        used += n;
    }
    memcpy(m.control, kept, used);
    m.control_length = used;
}
/* MSG_DONTWAIT: buffer space is waited for in a held call. SIGPIPE is not ours to get. */
static ssize_t send_copy(const struct sending *s) {
    struct iovec v = {m.data, m.length};
    struct msghdr h = {.msg_name = m.name_length ? &m.name : NULL, .msg_namelen = m.name_length, .msg_iov = &v, .msg_iovlen = 1,
                       .msg_control = m.control_length ? m.control : NULL, .msg_controllen = m.control_length};
    /* Not sendmsg(3): AddressSanitizer's wrapper walks the control messages, which are the program's, and never ends at a length of 0. */
    ssize_t k = syscall(SYS_sendmsg, s->fd, &h, s->flags | MSG_DONTWAIT | MSG_NOSIGNAL);
    return k < 0 ? -errno : k;
}
static ssize_t send_to(struct sending *s) {
    const __u64 *a = s->n->data.args;
    ssize_t k = datagram_flat(&m, a[1], a[2], true);
    if (k < 0) return k;
    m.name_length = (socklen_t)a[5];
    if (m.name_length > sizeof m.name) return -EINVAL;
    memset(&m.name, 0, sizeof m.name);
    if ((k = mem_read(s->n->pid, a[4], &m.name, m.name_length)) < 0 || (k = redirect(s)) < 0 || (k = datagram_copy_in(s->n->pid, &m)) < 0) return k;
    return send_copy(s);
}
static ssize_t send_message(struct sending *s, uint64_t at) {
    ssize_t k = datagram_load(s->n->pid, at, &m, true);
    if (k < 0 || (k = redirect(s)) < 0) return k;
    drop_packet_info();
    return send_copy(s);
}
/* sendmmsg: the kernel would send all as they are, so those to local addresses are sent here too. */
static ssize_t send_many(struct sending *s) {
    const __u64 *a = s->n->data.args;
    ssize_t k = 0;
    unsigned i;
    for (i = 0; i < (unsigned)a[2] && i < IOV_LIMIT; i++) {
        uint64_t at = a[1] + i * sizeof(struct mmsghdr);
        if ((k = send_message(s, at)) == NATIVE) k = send_copy(s);
        if (k < 0) break;
        unsigned length = (unsigned)k;
        if ((k = mem_write(s->n->pid, at + offsetof(struct mmsghdr, msg_len), &length, sizeof length)) < 0) break;
    }
    return i ? (ssize_t)i : k;
}
static void ask(const struct sending *s) {
    struct relay *r = relay_find(&s->remote, s->ipv6);
    bool asked = r != NULL;
    if (!r) r = relay_ask(&s->remote, s->ipv6);
    struct call *c = call_hold(HELD_DATAGRAM, s->n, -1, 0);
    c->id = r->id;
    c->remote = s->remote;
    if (asked) return;
    put_begin(MSG_CONNECT);
    put_u64(r->id);
    put_u32((uint32_t)process_of(s->n->pid));
    put_u8((uint8_t)(CONNECT_UDP | CONNECT_UNCONNECTED | (s->ipv6 ? CONNECT_RELAY_IPV6 : 0)));
    put_addr(&s->remote);
    put_end();
}
/* Natively a full send buffer is waited for. */
static void wait_for_room(const struct sending *s) {
    struct call *c = call_hold(HELD_SEND, s->n, s->fd, EPOLLOUT);
    uint64_t patience = sock_timeout(s->fd, SO_SNDTIMEO);
    if (patience) c->deadline = now_ns() + patience;
}
void datagram_room(struct call *c) {
    notif n = c->n;
    call_end(c);
    on_send(&n);
}

/* sendto of every socket, and sendmsg with MSG_FASTOPEN: the address before the socket is touched. */
static bool concerns_us(const notif *n, int flags, uint64_t at, socklen_t length) {
    struct sockaddr_storage ss;
    struct addr to;
    memset(&ss, 0, sizeof ss);
    ssize_t k = length > sizeof ss ? -EINVAL : mem_read(n->pid, at, &ss, length);
    if (k < 0 || !addr_from_sockaddr(&to, &ss, length) || to.port == 0) return table_full(k);
    return to.port == 53 || config.udp || (flags & MSG_FASTOPEN);
}
/* TCP Fast Open is a connect whose first data is not yet acknowledged by anyone: refused as where it is switched off, for
 * which every program has a connect(2) at hand (tcp_fastopen in tcp(7)). */
static ssize_t fast_open(const notif *n, int fd, uint64_t at, socklen_t length) {
    struct sockaddr_storage ss;
    struct addr to;
    memset(&ss, 0, sizeof ss);
    if (length > sizeof ss || mem_read(n->pid, at, &ss, length) < 0 || !addr_from_sockaddr(&to, &ss, length)) return NATIVE;
    return stream_stays(fd, &to) ? NATIVE : -EOPNOTSUPP;
}
static bool is_away(const notif *n, int flags, uint64_t at, socklen_t length) {
    struct sockaddr_storage ss;
    struct addr to;
    memset(&ss, 0, sizeof ss);
    ssize_t k = length > sizeof ss ? -EINVAL : mem_read(n->pid, at, &ss, length);
    if (k < 0 || !addr_from_sockaddr(&to, &ss, length)) return table_full(k);
    if (to.port != 53 && !config.udp && !(flags & MSG_FASTOPEN)) return false;
    return !config_is_local(&to) && !addr_loopback(&to) && !addr_multicast(&to);
}
/* To somewhere else, by a socket of which we know nothing; a connected one takes no address. */
static bool goes_away(const notif *n, int flags) {
    const __u64 *a = n->data.args;
    struct addr peer;
    struct msghdr h;
    int domain;
    int64_t inode = socket_inode(n->pid, (int)a[0]);
    bool away = n->data.nr == SYS_sendto && is_away(n, flags, a[4], (socklen_t)a[5]);
    unsigned count = n->data.nr == SYS_sendmsg ? 1 : n->data.nr == SYS_sendmmsg ? (unsigned)a[2] : 0;
    for (unsigned i = 0; i < count && i < IOV_LIMIT && !away; i++) { /* the header comes first in a mmsghdr */
        ssize_t k = mem_read(n->pid, a[1] + i * sizeof(struct mmsghdr), &h, sizeof h);
        away = k < 0 ? table_full(k) : h.msg_name && is_away(n, flags, (uint64_t)h.msg_name, h.msg_namelen);
    }
    return away && inode >= 0 && !inode_peer((uint64_t)inode, &domain, &peer);
}
void on_send(const notif *n) {
    const __u64 *a = n->data.args;
    struct sending s = {.n = n, .fd = -1, .flags = (int)a[n->data.nr == SYS_sendmsg ? 2 : 3]};
    uint64_t name = a[4];
    socklen_t length = (socklen_t)a[5];
    ssize_t k = NATIVE;
    if (n->data.nr != SYS_sendto && (s.flags & MSG_FASTOPEN)) {
        struct msghdr first = {0};
        mem_read(n->pid, a[1], &first, sizeof first);
        name = (uint64_t)first.msg_name;
        length = first.msg_namelen;
    }
    if (n->data.nr == SYS_sendto && !concerns_us(n, s.flags, name, length)) {
        answer_continue(n);
        return;
    }
    s.fd = fd_duplicate(n->pid, (int)a[0]);
    if (s.fd < 0) mem_refused(n->pid, s.fd, "send");
    if ((s.fd == -NOT_MADE || table_full(s.fd)) && goes_away(n, s.flags)) {
        if (s.fd == -NOT_MADE) made_elsewhere(n->pid, "sends through", "What it sends is refused");
        answer_error(n, ENETUNREACH);
        return;
    }
    if (s.fd >= 0 && sock_info(s.fd, &s.info) && notif_valid(n)) {
        if (info_is_tcp(&s.info)) k = s.flags & MSG_FASTOPEN ? fast_open(n, s.fd, name, length) : NATIVE;
        else if (info_is_udp(&s.info)) k = n->data.nr == SYS_sendto ? send_to(&s) : n->data.nr == SYS_sendmsg ? send_message(&s, a[1]) : send_many(&s);
    }
    if (k == -EAGAIN && !(s.flags & MSG_DONTWAIT) && !(fcntl(s.fd, F_GETFL) & O_NONBLOCK)) {
        wait_for_room(&s);
        return;
    }
    if (s.fd >= 0) fd_release(s.fd);
    if (k == ASKED) ask(&s);
    else if (k == NATIVE) answer_continue(n);
    else answer_result(n, k);
}

/* Everybody who waits for this relay goes on. */
void datagram_answered(uint64_t id, uint8_t outcome, int32_t error, const struct addr *via) {
    struct relay *r = relay_asked(id);
    if (!r) return; /* given up, and the session was told */
    if (outcome == OUTCOME_RELAY) relay_ready(r, via);
    else if (outcome == OUTCOME_DIRECT) r->state = RELAY_DIRECT;
    else relay_drop(r, false); /* not remembered: the next send asks again */
    for (struct call *c; (c = call_by_id(HELD_DATAGRAM, id));) {
        notif n = c->n;
        bool attached = c->attached;
        call_end(c);
        if (!attached) continue;
        if (outcome == OUTCOME_ERRNO) answer_error(&n, error);
        else on_send(&n);
    }
}
void datagram_expired(struct call *c) {
    struct relay *r = relay_asked(c->id);
    warn("process %d: no answer in %u s to where its datagrams go", process_of(c->n.pid), config.limit_ms.datagram / 1000);
    if (r) relay_drop(r, true);
    answer_error(&c->n, ENETUNREACH);
    call_end(c);
}
