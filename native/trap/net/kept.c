/* kept.c - connections that were accepted for a call which then could not take them (killed worker, full table).
 *
 * The next accept of that listener gets them first. But they no longer make the listener readable, so a sleeping event
 * loop would never ask: after 100 ms we connect to the listener again ourselves and pass the bytes on, under the same
 * peer. That wakes whoever polls the listener. */
#include "trap.h"
#include <sys/epoll.h>

#define PATIENCE (100 * MS)
#define PATIENCE_LIMIT (10000 * MS)
struct half { int from, to; uint8_t data[16384]; size_t start, end; bool finished; };
struct kept { struct kept *next; uint64_t cookie, since, patience; int domain, connection; struct addr listening; struct half *halves; };
static struct kept *list;

/* A listener whose process has no descriptor left gives back our own second connection too: the chain grows more and more slowly. */
static uint64_t patience_for(int connection) {
    struct addr peer, own;
    if (!sock_kernel_peer(connection, &peer)) return PATIENCE;
    for (struct kept *k = list; k; k = k->next)
        if (k->halves && sock_kernel_name(k->halves[0].to, &own) && addr_equal(&own, &peer)) return k->patience < PATIENCE_LIMIT ? 2 * k->patience : k->patience;
    return PATIENCE;
}
void kept_add(const struct info *listener, int connection, const struct addr *listening) {
    struct kept *k = calloc(1, sizeof *k), **at = &list;
    if (!k) abort();
    *k = (struct kept){.cookie = listener->cookie, .since = now_ns(), .patience = patience_for(connection), .domain = listener->domain, .connection = connection, .listening = *listening};
    while (*at) at = &(*at)->next;
    *at = k;
}
int kept_take(uint64_t cookie) {
    for (struct kept **at = &list, *k; (k = *at); at = &k->next)
        if (k->cookie == cookie && !k->halves) {
            int connection = k->connection;
            *at = k->next;
            free(k);
            return connection;
        }
    return -1;
}
bool kept_any(void) { return list != NULL; }

static bool move(struct half *h) { /* false: broken */
    for (;;) {
        if (h->start == h->end && !h->finished) {
            ssize_t k = recv(h->from, h->data, sizeof h->data, MSG_DONTWAIT);
            if (k < 0) return errno == EAGAIN || errno == EINTR;
            h->start = 0;
            h->end = (size_t)k;
            if (k == 0) {
                h->finished = true;
                shutdown(h->to, SHUT_WR);
            }
        }
        if (h->start == h->end) return true;
        ssize_t k = send(h->to, h->data + h->start, h->end - h->start, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (k < 0) return errno == EAGAIN || errno == EINTR || errno == ENOTCONN;
        h->start += (size_t)k;
    }
}
/* A new connection from us to the listener, under the peer of the kept one. */
static bool redial(struct kept *k) {
    struct addr source, own, peer, local, to = k->listening;
    struct sockaddr_storage ss;
    if (addr_unspecified(&to)) to = addr_loopback_of(&to, to.port);
    socklen_t n = addr_to_sockaddr(&to, k->domain, &ss);
    int fd = socket(k->domain, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    struct sockaddr_storage any;
    struct addr from = addr_loopback_of(&to, 0);
    socklen_t m = addr_to_sockaddr(&from, k->domain, &any);
    if (fd < 0 || !n || bind(fd, (void *)&any, m) || !sock_kernel_name(fd, &own)) goto failed;
    if (sock_kernel_peer(k->connection, &source) && peer_lookup(&source, &peer, &local)) peer_register(&own, &peer, &local);
    if (connect(fd, (void *)&ss, n) && errno != EINPROGRESS) goto failed;
    k->halves = calloc(2, sizeof *k->halves);
    if (!k->halves) abort();
    k->halves[0] = (struct half){.from = k->connection, .to = fd};
    k->halves[1] = (struct half){.from = fd, .to = k->connection};
    return true;
failed:
    if (fd >= 0) close(fd);
    return false;
}
static void drop(struct kept **at) {
    struct kept *k = *at;
    *at = k->next;
    if (k->halves) {
        struct addr own;
        if (sock_kernel_name(k->halves[0].to, &own)) peer_forget(&own);
        close(k->halves[0].to);
    }
    fd_release(k->connection);
    free(k->halves);
    free(k);
}
/* Rare and short-lived: moved on the tick (5 ms while there are any), not by their own events. */
void kept_tick(void) {
    for (struct kept **at = &list, *k; (k = *at);) {
        if (!k->halves && now_ns() - k->since > k->patience && !redial(k)) { /* nobody listens any more: closed, as the kernel would */
            drop(at);
            continue;
        }
        if (k->halves && (!move(&k->halves[0]) || !move(&k->halves[1]) || (k->halves[0].finished && k->halves[1].finished))) {
            drop(at);
            continue;
        }
        at = &k->next;
    }
}
