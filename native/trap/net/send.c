/* send.c - datagrams with an address: those to port 53 go to the relay that the session names for their destination. */
#include "trap.h"

#define NOT_OURS (-ENOTSUP)
#define ASKED (-EINPROGRESS)

/* The sockaddr of the relay for the one given. NOT_OURS: as it is. ASKED: unknown, `remote` tells for whom to ask. */
static ssize_t redirect(int domain, struct sockaddr_storage *name, socklen_t *length, struct addr *remote) {
    struct addr relay;
    bool direct;
    if (!addr_from_sockaddr(remote, name, *length) || remote->port != 53) return NOT_OURS;
    if (addr_multicast(remote) || config_is_local(remote)) return NOT_OURS;
    if (domain == AF_INET && remote->family == 6) return NOT_OURS; /* EAFNOSUPPORT */
    if (!relay_find(remote, &relay, &direct)) return ASKED;
    if (direct) return NOT_OURS;
    socklen_t n = addr_to_sockaddr(&relay, domain, name);
    if (!n) return -EAFNOSUPPORT;
    *length = n;
    return 0;
}
/* MSG_DONTWAIT: a UDP send waits only for buffer space, which loopback frees at once. SIGPIPE is not ours to get. */
static ssize_t send_copy(int fd, struct msghdr *h, int flags) {
    ssize_t k = sendmsg(fd, h, flags | MSG_DONTWAIT | MSG_NOSIGNAL);
    return k < 0 ? -errno : k;
}
static ssize_t one_message(pid_t tid, int fd, int domain, uint64_t at, int flags, struct addr *remote) {
    struct datagram m;
    ssize_t k = datagram_load(tid, at, &m, true);
    if (k == -E2BIG) return NOT_OURS;
    if (k < 0) return k;
    k = m.name_length ? redirect(domain, &m.name, &m.name_length, remote) : NOT_OURS;
    if (k == 0) {
        struct iovec v = {m.data, m.length};
        struct msghdr h = {.msg_name = &m.name, .msg_namelen = m.name_length, .msg_iov = &v, .msg_iovlen = 1,
                           .msg_control = m.user.msg_controllen ? m.control : NULL, .msg_controllen = m.user.msg_controllen};
        k = send_copy(fd, &h, flags);
    }
    datagram_free(&m);
    return k;
}
static ssize_t send_to(const notif *n, int fd, int domain, struct addr *remote) {
    const __u64 *a = n->data.args;
    struct sockaddr_storage name;
    socklen_t length = (socklen_t)a[5];
    ssize_t k;
    if (a[2] > 65536) return -EMSGSIZE; /* more than any datagram */
    if (length > sizeof name) return -EINVAL;
    memset(&name, 0, sizeof name);
    if ((k = mem_read(n->pid, a[4], &name, length)) < 0) return k;
    if ((k = redirect(domain, &name, &length, remote)) < 0) return k;
    uint8_t *data = malloc(a[2] + 1);
    if (!data) abort();
    if ((k = mem_read(n->pid, a[1], data, a[2])) >= 0) {
        struct iovec v = {data, a[2]};
        struct msghdr h = {.msg_name = &name, .msg_namelen = length, .msg_iov = &v, .msg_iovlen = 1};
        k = send_copy(fd, &h, (int)a[3]);
    }
    free(data);
    return k;
}
/* sendmmsg: stops at the first that is not ours; the caller sends the rest again, as the call allows. */
static ssize_t send_many(const notif *n, int fd, int domain, struct addr *remote) {
    const __u64 *a = n->data.args;
    ssize_t k = 0;
    unsigned i;
    for (i = 0; i < (unsigned)a[2] && i < 1024; i++) {
        uint64_t at = a[1] + i * sizeof(struct mmsghdr);
        if ((k = one_message(n->pid, fd, domain, at, (int)a[3], remote)) < 0) break;
        unsigned length = (unsigned)k;
        if (mem_write(n->pid, at + offsetof(struct mmsghdr, msg_len), &length, sizeof length) < 0) break;
    }
    return i ? (ssize_t)i : k;
}
static void ask(const notif *n, const struct info *i, const struct addr *remote) {
    struct call *earlier = NULL;
    for (struct call *c = call_each(NULL); c; c = call_each(c))
        if (c->kind == HELD_DATAGRAM && addr_equal(&c->remote, remote)) earlier = c;
    struct call *c = call_hold(HELD_DATAGRAM, n, -1, 0);
    c->remote = *remote;
    c->info = *i;
    c->id = earlier ? earlier->id : next_id();
    if (earlier) return;
    put_begin(MSG_CONNECT);
    put_u64(c->id);
    put_u32((uint32_t)process_of(n->pid));
    put_u8((uint8_t)(CONNECT_UDP | CONNECT_UNCONNECTED | (remote->family == 6 ? CONNECT_RELAY_IPV6 : 0)));
    put_addr(remote);
    put_end();
}
void on_send(const notif *n) {
    struct info i;
    struct addr remote;
    ssize_t k = NOT_OURS;
    int fd = -1;
    if (n->data.nr == SYS_sendto) { /* of every socket: see the address before touching the socket */
        struct sockaddr_storage ss;
        socklen_t length = (socklen_t)n->data.args[5];
        memset(&ss, 0, sizeof ss);
        if (length > sizeof ss || mem_read(n->pid, n->data.args[4], &ss, length) < 0 || !addr_from_sockaddr(&remote, &ss, length) || remote.port != 53) {
            answer_continue(n);
            return;
        }
    }
    fd = fd_duplicate(n->pid, (int)n->data.args[0]);
    if (fd < 0) mem_refused(n->pid, fd, "send");
    if (fd >= 0 && sock_info(fd, &i) && info_is_udp(&i) && notif_valid(n)) {
        if (n->data.nr == SYS_sendto) k = send_to(n, fd, i.domain, &remote);
        else if (n->data.nr == SYS_sendmsg) k = one_message(n->pid, fd, i.domain, n->data.args[1], (int)n->data.args[2], &remote);
        else k = send_many(n, fd, i.domain, &remote);
    }
    if (fd >= 0) close(fd);
    if (k >= 0) sock_make(&i)->datagram_relayed = true;
    if (k == ASKED) ask(n, &i, &remote);
    else if (k == NOT_OURS || k == -EFAULT) answer_continue(n);
    else answer_result(n, k);
}
void datagram_expired(struct call *c) {
    warn("no answer in 10 s to where datagrams of process %d go", process_of(c->n.pid));
    answer_error(&c->n, ENETUNREACH);
    call_end(c);
}
/* The session's answer for one destination: everybody who waits for it goes on. */
void datagram_answered(struct call *first) {
    uint64_t id = first->id;
    struct call answer = *first;
    if (answer.outcome != OUTCOME_ERRNO) relay_add(&answer.remote, &answer.relay, answer.outcome == OUTCOME_DIRECT);
    for (struct call *c = call_each(NULL); c; c = call_each(c)) {
        if (c->kind != HELD_DATAGRAM || c->id != id) continue;
        notif n = c->n;
        bool attached = c->attached;
        call_end(c);
        if (!attached) continue;
        if (answer.outcome == OUTCOME_ERRNO) answer_error(&n, answer.error); /* not remembered: the next send asks again */
        else on_send(&n);
    }
}
