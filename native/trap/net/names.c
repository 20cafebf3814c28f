/* names.c - getpeername(2) and getsockname(2), and the table of the session's own connections to listeners. */
#include "trap.h"

struct peer { struct peer *next; struct addr source, peer, local; };
#define PEER_BUCKETS 1024
static struct peer *peers[PEER_BUCKETS];
static unsigned peer_count;

void peer_forget(const struct addr *source) {
    for (struct peer **at = &peers[source->port % PEER_BUCKETS], *p; (p = *at); at = &p->next)
        if (addr_equal(&p->source, source)) {
            *at = p->next;
            free(p);
            peer_count--;
            return;
        }
}
void peer_register(const struct addr *source, const struct addr *peer, const struct addr *local) {
    struct peer *p = malloc(sizeof *p);
    if (!p) abort();
    peer_forget(source); /* its port was used again */
    *p = (struct peer){peers[source->port % PEER_BUCKETS], *source, *peer, *local};
    peers[source->port % PEER_BUCKETS] = p;
    peer_count++;
}
static struct peer *find(const struct addr *source) {
    struct peer *p = peers[source->port % PEER_BUCKETS];
    while (p && !addr_equal(&p->source, source)) p = p->next;
    return p;
}
/* The session registers before it dials, so what is not here yet lies in our socket to it. */
bool peer_lookup(const struct addr *source, struct addr *peer, struct addr *local) {
    struct peer *p = find(source);
    if (!p && addr_loopback(source)) {
        wire_receive(false);
        p = find(source);
    }
    if (!p) return false;
    *peer = p->peer;
    *local = p->local;
    return true;
}

/* What we know of a socket. An accepted connection of the session is remembered by its socket, so that its names outlive
 * the session's entry. `connected`: s->peer and s->local hold for it now. */
static struct sock *known(int fd, const struct info *i, bool *connected) {
    struct sock *s = sock_find(i->cookie);
    struct addr via, peer, local;
    *connected = false;
    if (!sock_kernel_peer(fd, &via)) return s; /* still connecting, or not at all */
    if (s && (s->relayed || s->accepted)) {
        *connected = addr_equal(&s->via, &via); /* else disconnected and connected elsewhere since */
        return s;
    }
    if (!info_is_tcp(i) || !peer_lookup(&via, &peer, &local)) return s;
    s = sock_make(i);
    s->accepted = *connected = true;
    s->via = via;
    s->peer = peer;
    s->local = local;
    return s;
}
/* The same of a socket that we have no duplicate of: connected by us or accepted, so that its names no longer change; else the kernel's table
 * tells whether the session dialled it (a listener that came from elsewhere). */
static struct sock *known_by_inode(int64_t inode) {
    struct sock *s = inode < 0 ? NULL : sock_find_inode((uint64_t)inode);
    struct info i = {.inode = (uint64_t)inode, .cookie = 1ull << 63 | (uint64_t)inode}; /* none that the kernel gives */
    struct addr via, peer, local;
    if (s) return s->relayed || s->accepted ? s : NULL;
    if (inode >= 0 && !peer_count) wire_receive(false); /* as in peer_lookup */
    if (inode < 0 || !peer_count || !inode_peer((uint64_t)inode, &i.domain, &via) || !peer_lookup(&via, &peer, &local)) return NULL;
    s = sock_make(&i);
    s->accepted = true;
    s->via = via;
    s->peer = peer;
    s->local = local;
    return s;
}
void on_name(const notif *n, bool peer) {
    struct info i = {0};
    struct addr name = {0};
    int fd = fd_duplicate(n->pid, (int)n->data.args[0]);
    struct sock *by_inode = fd == -NOT_MADE ? known_by_inode(socket_inode(n->pid, (int)n->data.args[0])) : NULL;
    if (by_inode && by_inode->domain == AF_UNIX && peer && unix_peer(n, by_inode)) return;
    if (by_inode && by_inode->domain != AF_UNIX) {
        i.domain = by_inode->domain;
        name = peer ? by_inode->peer : by_inode->local;
    }
    if (fd < 0) mem_refused(n->pid, fd, peer ? "getpeername" : "getsockname");
    if (fd >= 0 && sock_info(fd, &i) && (info_is_tcp(&i) || info_is_udp(&i))) {
        bool connected;
        struct sock *s = known(fd, &i, &connected);
        if (connected && peer) name = s->peer;
        else if (connected && s->local.family) name = s->local;
        else if (!connected && s && s->bound && !peer && !s->relayed) {
            name = s->asked;
            if (!name.port) name.port = s->actual.port;
        }
    }
    bool shown = peer && fd >= 0 && i.domain == AF_UNIX && unix_peer(n, sock_find(i.cookie));
    if (fd >= 0) fd_release(fd);
    if (shown) return;
    struct sockaddr_storage ss;
    socklen_t length = name.family ? addr_to_sockaddr(&name, i.domain, &ss) : 0;
    if (!length) answer_continue(n);
    else answer_result(n, mem_write_sockaddr(n->pid, n->data.args[1], n->data.args[2], &ss, length));
}
