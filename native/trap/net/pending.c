/* pending.c - a non-blocking connect(2) whose answer takes longer than it may be held: under way as natively until the session knows.
 *
 * The socket connects to the relay, but hears nothing from it: packets on loopback have a TTL (hop limit) of 64, and it takes none below 255 (ip(7),
 * IP_MINTTL; tcp_v4_rcv and tcp_v6_rcv look at that first). So it stays in SYN_SENT and no event loop wakes. When the remote end has accepted, the
 * limit is lifted, and the next retransmission of either side completes the handshake. No duplicate is kept meanwhile: the program's close is the end. */
#include "trap.h"
#include <netinet/tcp.h>

struct waiting { struct waiting *next; uint64_t id, cookie, inode; pid_t pid; int number, before, retries; bool ipv6, found; };
static struct waiting *list;

static uint8_t state_of(int fd) {
    struct tcp_info info;
    socklen_t n = sizeof info;
    memset(&info, 0, sizeof info);
    return getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &n) ? TCP_CLOSE : info.tcpi_state;
}
static bool listen_to(int fd, bool ipv6, int least) {
    return setsockopt(fd, ipv6 ? IPPROTO_IPV6 : IPPROTO_IP, ipv6 ? IPV6_MINHOPCOUNT : IP_MINTTL, &least, sizeof least) == 0;
}
bool pending_any(void) { return list != NULL; }
/* Those that were answered, and stay for what was changed of a socket that may be used again. */
static void sweep(void) {
    for (struct waiting **at = &list, *p; (p = *at);) {
        if (p->id || (p->cookie && sock_find(p->cookie))) {
            at = &p->next;
            continue;
        }
        *at = p->next;
        free(p);
    }
}

/* connect(2) of the socket in c. True: EINPROGRESS, and silence. False: where that cannot be had it is as without us. */
bool pending_connect(const struct call *c, const struct sockaddr *relay, socklen_t length) {
    sweep();
    bool ipv6 = relay->sa_family == AF_INET6 && !IN6_IS_ADDR_V4MAPPED(&((const struct sockaddr_in6 *)relay)->sin6_addr);
    int before = sock_flag(c->fd, ipv6 ? IPPROTO_IPV6 : IPPROTO_IP, ipv6 ? IPV6_MINHOPCOUNT : IP_MINTTL);
    if (!listen_to(c->fd, ipv6, 255)) return false;
    interrupt_begin(); /* another thread may just make it a blocking one */
    int error = connect(c->fd, relay, length) ? errno : 0;
    interrupt_end();
    if ((error != EINPROGRESS && error != EINTR) || state_of(c->fd) != TCP_SYN_SENT) { /* net.ipv4.ip_default_ttl is 255 */
        listen_to(c->fd, ipv6, before);
        return false;
    }
    struct waiting *p = calloc(1, sizeof *p);
    if (!p) abort();
    *p = (struct waiting){.next = list, .id = c->id, .cookie = c->info.cookie, .inode = c->info.inode, .pid = process_of(c->n.pid), .number = (int)c->n.data.args[0], .before = before, .ipv6 = ipv6};
    list = p;
    return true;
}
/* The program connects a socket again whose attempt is over (by itself, or by AF_UNSPEC). */
void pending_over(int fd, uint64_t cookie) {
    for (struct waiting *p = list; p; p = p->next)
        if (p->cookie == cookie && state_of(fd) == TCP_CLOSE) {
            listen_to(fd, p->ipv6, p->before);
            if (p->retries) setsockopt(fd, IPPROTO_TCP, TCP_SYNCNT, &p->retries, sizeof p->retries);
            p->cookie = 0; /* the answer will find nobody */
        }
}
static void see(pid_t pid, int number, uint64_t inode, void *context) {
    struct waiting *p = context;
    if (inode != p->inode || pid == getpid()) return;
    p->pid = pid;
    p->number = number;
    p->found = true;
}
/* The program's socket, if it still has it. */
static int duplicate(struct waiting *p) {
    for (int round = 0; p->cookie && round < 2; round++) {
        struct info i;
        int fd = fd_duplicate(p->pid, p->number);
        if (fd >= 0 && sock_info(fd, &i) && i.cookie == p->cookie) return fd;
        if (fd >= 0) fd_release(fd);
        if (round == 0) each_open_socket(see, p); /* dup'ed, or its process has ended */
        if (!p->found) break;
    }
    return -1;
}
bool pending_answered(uint64_t id, uint8_t outcome, int error, const struct addr *local) {
    struct sockaddr none = {.sa_family = AF_UNSPEC};
    struct waiting **at = &list, *p;
    while (*at && (!id || (*at)->id != id)) at = &(*at)->next;
    if (!(p = *at)) return false;
    int fd = duplicate(p);
    p->id = 0;
    struct sock *s = sock_find(p->cookie);
    struct addr source = {0};
    if (fd >= 0 && state_of(fd) != TCP_SYN_SENT) { /* it has timed out, or was given up by AF_UNSPEC */
        listen_to(fd, p->ipv6, p->before);
        fd_release(fd);
        fd = -1;
    }
    if (fd >= 0 && outcome == OUTCOME_RELAY) {
        sock_kernel_name(fd, &source);
        if (s) s->local = *local;
        listen_to(fd, p->ipv6, p->before);
    } else if (fd >= 0 && error == ETIMEDOUT) {
        p->retries = sock_flag(fd, IPPROTO_TCP, TCP_SYNCNT);
        int once = 1; /* the kernel says so itself, at its next retransmission */
        setsockopt(fd, IPPROTO_TCP, TCP_SYNCNT, &once, sizeof once);
    } else if (fd >= 0) { /* EPOLLERR and EPOLLHUP at once, ECONNRESET in SO_ERROR */
        if (s) s->relayed = false;
        connect(fd, &none, sizeof none);
        listen_to(fd, p->ipv6, p->before);
    }
    if (outcome == OUTCOME_RELAY) {
        put_begin(MSG_CONNECTED);
        put_u64(id);
        put_u32(fd >= 0 ? 0 : ECONNABORTED);
        put_addr(&source);
        put_end();
        if (fd >= 0) made_connected(p->inode);
    } else made_failed(p->inode);
    if (fd >= 0) fd_release(fd);
    if (!p->retries) p->cookie = 0;
    sweep();
    return true;
}
