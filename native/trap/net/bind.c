/* bind.c - bind(2): where the asked address is not to be had on this machine, another one takes its place, and
 * getsockname keeps the asked one. Only traffic from the cluster matters for it, and the session dials the real one. */
#include "trap.h"

static bool overlap(const struct addr *a, const struct addr *b) {
    return a->port == b->port && (addr_same_ip(a, b) || addr_unspecified(a) || addr_unspecified(b));
}
static bool moved(const struct sock *s) { return s->bound && !addr_equal(&s->asked, &s->actual); }

/* A socket of this tree that holds the asked address, although the kernel knows it under another. */
static struct sock *holder(const struct addr *asked, bool datagram, bool moved_only) {
    for (struct sock *s = sock_each(NULL); s; s = sock_each(s))
        if (s->bound && s->datagram == datagram && asked->port && (!moved_only || moved(s)) && overlap(&s->asked, asked) && inode_open_somewhere(s->inode))
            return s;
    return NULL;
}
static int try_bind(int fd, int domain, const struct addr *a) {
    struct sockaddr_storage ss;
    socklen_t n = addr_to_sockaddr(a, domain, &ss);
    if (!n) return EAFNOSUPPORT;
    return bind(fd, (void *)&ss, n) ? errno : 0;
}
static int place(int fd, const struct info *i, const struct addr *asked) {
    struct sock *other = holder(asked, false, true);
    if (other) { /* natively in use; prefork with SO_REUSEPORT shares the real port */
        if (!sock_flag(fd, SOL_SOCKET, SO_REUSEPORT)) return EADDRINUSE;
        return try_bind(fd, i->domain, &other->actual);
    }
    int error = try_bind(fd, i->domain, asked);
    if (error == EADDRINUSE && holder(asked, false, false)) return EADDRINUSE;
    struct addr next = *asked;
    if (error == EADDRINUSE || error == EACCES) {
        next.port = 0;
        return try_bind(fd, i->domain, &next);
    }
    if (error != EADDRNOTAVAIL || addr_unspecified(asked)) return error;
    next = addr_loopback_of(asked, asked->port); /* the pod's own address */
    error = try_bind(fd, i->domain, &next);
    if (error != EADDRINUSE && error != EACCES) return error;
    next.port = 0;
    return try_bind(fd, i->domain, &next);
}
/* UDP from the cluster never arrives, so a port in use is what it is natively; an address of the pod, or one of its privileged
 * ports, must not keep the program from sending. */
static int place_datagrams(int fd, const struct info *i, const struct addr *asked) {
    struct addr next = *asked;
    if (sock_moved_any() && holder(asked, true, true) && !sock_flag(fd, SOL_SOCKET, SO_REUSEPORT) && !sock_flag(fd, SOL_SOCKET, SO_REUSEADDR)) return EADDRINUSE;
    int error = try_bind(fd, i->domain, asked);
    if (error == EADDRNOTAVAIL && !addr_unspecified(asked)) {
        next = addr_loopback_of(asked, asked->port);
        error = try_bind(fd, i->domain, &next);
    }
    if (error != EACCES && !(error == EADDRINUSE && !addr_same_ip(&next, asked))) return error;
    next.port = 0;
    return try_bind(fd, i->domain, &next);
}
void on_bind(const notif *n) {
    struct sockaddr_storage ss;
    struct addr asked, name;
    struct info i;
    uint64_t length = (uint32_t)n->data.args[2];
    int fd = -1;
    memset(&ss, 0, sizeof ss);
    if (length < sizeof(sa_family_t) || length > sizeof ss) goto native;
    ssize_t k = mem_read(n->pid, n->data.args[1], &ss, length);
    if (k < 0) mem_refused(n->pid, k, "bind");
    if (k < 0 || !addr_from_sockaddr(&asked, &ss, (socklen_t)length)) goto native;
    made_free_port(asked.port);
    if (!config.incoming && !config.udp) goto native;
    fd = fd_duplicate(n->pid, (int)n->data.args[0]);
    if (fd < 0) mem_refused(n->pid, fd, "bind");
    if (fd < 0 || !sock_info(fd, &i) || !(info_is_tcp(&i) ? config.incoming : info_is_udp(&i) && config.udp) || i.domain != ss.ss_family) goto native;
    if (sock_kernel_name(fd, &name) && name.port) goto native; /* bound already: EINVAL */
    if (!notif_valid(n)) {
        fd_release(fd);
        return;
    }
    bool tcp = info_is_tcp(&i);
    int error = tcp ? place(fd, &i, &asked) : place_datagrams(fd, &i, &asked);
    if (!error && sock_kernel_name(fd, &name) && (tcp || !addr_same_ip(&asked, &name) || (asked.port && asked.port != name.port))) {
        struct sock *s = sock_make(&i);
        s->bound = true;
        s->asked = asked;
        s->actual = name;
        sock_moved(s);
    }
    fd_release(fd);
    answer_result(n, -error);
    return;
native:
    if (fd >= 0) fd_release(fd);
    answer_continue(n);
}
