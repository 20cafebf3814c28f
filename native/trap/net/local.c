/* local.c - destinations of datagrams that stay on this machine: sockets of the tree itself, those who wrote to it, broadcasts. */
#include "trap.h"
#include <ifaddrs.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <net/if.h>

/* ---- which socket of this machine a datagram would reach ---- */

static const struct addr nobody;

/* The kernel's own lookup (sock_diag(7), a single socket; udp_dump_one() in net/ipv4/udp_diag.c): idiag_src is the sender's address,
 * idiag_dst the receiver's. 1 found, 0 none, -1 unknown: a kernel without CONFIG_INET_UDP_DIAG. */
static int ask_kernel(const struct addr *from, const struct addr *to, uint64_t *cookie) {
    static int diag = -1;
    struct { struct nlmsghdr h; struct inet_diag_req_v2 r; } q = {
        .h = {.nlmsg_len = sizeof q, .nlmsg_type = SOCK_DIAG_BY_FAMILY, .nlmsg_flags = NLM_F_REQUEST},
        .r = {.sdiag_family = to->family == 4 ? AF_INET : AF_INET6, .sdiag_protocol = IPPROTO_UDP, .idiag_states = ~0u}};
    union { struct nlmsghdr h; uint8_t bytes[2048]; } reply;
    struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
    if (diag < 0) diag = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
    if (diag < 0) return -1;
    memcpy(q.r.id.idiag_src, from->ip, from->family == 4 ? 4 : 16);
    memcpy(q.r.id.idiag_dst, to->ip, to->family == 4 ? 4 : 16);
    q.r.id.idiag_sport = htons(from->port);
    q.r.id.idiag_dport = htons(to->port);
    q.r.id.idiag_cookie[0] = q.r.id.idiag_cookie[1] = INET_DIAG_NOCOOKIE;
    while (recv(diag, &reply, sizeof reply, MSG_DONTWAIT) > 0) continue; /* of an earlier question that failed */
    /* Answered within send(2) itself, so the answer is there when it returns. */
    if (sendto(diag, &q, sizeof q, 0, (void *)&kernel, sizeof kernel) < 0) return -1;
    ssize_t k = recv(diag, &reply, sizeof reply, MSG_DONTWAIT);
    if (k < (ssize_t)sizeof reply.h) return -1;
    if (reply.h.nlmsg_type == NLMSG_ERROR) {
        struct nlmsgerr *e = NLMSG_DATA(&reply.h);
        return e->error == -ENOENT ? 0 : -1;
    }
    struct inet_diag_msg *m = NLMSG_DATA(&reply.h);
    if (reply.h.nlmsg_type != SOCK_DIAG_BY_FAMILY || k < (ssize_t)NLMSG_LENGTH(sizeof *m)) return -1;
    *cookie = m->id.idiag_cookie[0] | (uint64_t)m->id.idiag_cookie[1] << 32;
    return 1;
}
/* By proc_pid_net(5), which has the inode: slower, and blind to which of several sockets of a port it would be. */
static bool ask_proc(const char *path, uint16_t port) {
    FILE *f = fopen(path, "re");
    char line[512];
    bool found = false;
    while (f && !found && fgets(line, sizeof line, f)) {
        unsigned local;
        unsigned long long inode;
        if (sscanf(line, " %*d: %*[0-9A-F]:%x %*s %*x %*s %*s %*s %*s %*s %llu", &local, &inode) != 2 || local != port) continue;
        for (struct sock *s = sock_each(NULL); s && !found; s = sock_each(s)) found = s->datagram && s->inode == inode;
    }
    if (f) fclose(f);
    return found;
}
/* Every UDP socket of the tree passed on_socket, so those that we know are the tree's. Also true for one that it handed to somebody else. */
static bool tree_has(const struct addr *from, const struct addr *to) {
    static struct { struct addr to; uint64_t until; } last; /* a conversation; a wrong "yes" loses what the kernel would refuse */
    uint64_t cookie, now = now_ns();
    struct addr receiver = *to;
    if (now < last.until && addr_equal(&last.to, to)) return true;
    if (addr_unspecified(&receiver)) receiver = addr_loopback_of(to, to->port);
    int answer = ask_kernel(from->family == receiver.family ? from : &nobody, &receiver, &cookie);
    struct sock *s = answer == 1 ? sock_find(cookie) : NULL;
    bool own = answer < 0 ? ask_proc("/proc/self/net/udp", to->port) || ask_proc("/proc/self/net/udp6", to->port) : s && s->datagram;
    if (own) last.to = *to, last.until = now + 50 * MS;
    return own;
}
static bool sender(int fd, const struct addr *to, struct addr *from) { /* the source that the kernel would choose */
    if (!sock_kernel_name(fd, from)) return false;
    if (addr_unspecified(from)) *from = addr_loopback_of(to, from->port);
    return true;
}

/* ---- sockets that are bound elsewhere than they asked ---- */

struct sock *datagram_moved(const struct addr *to) {
    for (struct sock *s = sock_moved_any() ? sock_each(NULL) : NULL; s; s = sock_each(s)) {
        uint64_t cookie;
        bool match = s->datagram && s->bound && s->asked.port == to->port && s->actual.family == to->family &&
            (addr_same_ip(&s->asked, to) || (addr_unspecified(&s->asked) && addr_loopback(to)));
        struct addr at = s->actual;
        if (!match) continue;
        if (addr_unspecified(&at)) at = addr_loopback_of(&at, at.port);
        if (ask_kernel(&nobody, &at, &cookie) == 1 && cookie == s->cookie) return s; /* still open */
    }
    return NULL;
}

/* ---- who wrote to the tree from this machine or its network: answers go back there ---- */

static struct addr neighbours[1024]; /* a cache: a new one takes the place of another with the same hash */

static struct addr *neighbour(const struct addr *a) {
    uint32_t h = a->port;
    for (int i = 0; i < (a->family == 4 ? 4 : 16); i++) h = h * 31 + a->ip[i];
    return &neighbours[h % 1024];
}
void neighbour_add(const struct addr *source) { *neighbour(source) = *source; }

/* ---- ---- */

static bool broadcast_of_interface(int fd, const struct addr *to) {
    struct ifaddrs *all, *i;
    struct addr a;
    bool found = false;
    if (to->family != 4 || !sock_flag(fd, SOL_SOCKET, SO_BROADCAST) || getifaddrs(&all)) return false; /* without the option: EACCES */
    for (i = all; i && !found; i = i->ifa_next)
        found = i->ifa_addr && i->ifa_addr->sa_family == AF_INET && (i->ifa_flags & IFF_BROADCAST) && i->ifa_broadaddr &&
            addr_from_sockaddr(&a, i->ifa_broadaddr, sizeof(struct sockaddr_in)) && addr_same_ip(&a, to);
    freeifaddrs(all);
    return found;
}
bool datagram_local(int fd, const struct info *i, const struct addr *to) {
    struct addr from;
    if (to->port == 0 || addr_multicast(to) || config_is_local(to)) return true;
    if (to->family == 6 && to->ip[0] == 0xfe && (to->ip[1] & 0xc0) == 0x80) return true; /* link-local: of this machine's links */
    if (i->domain == AF_INET && to->family == 6) return true;                             /* EAFNOSUPPORT */
    if (i->domain == AF_INET6 && to->family == 4 && sock_flag(fd, IPPROTO_IPV6, IPV6_V6ONLY)) return true; /* ENETUNREACH */
    if (to->port != 53 && !config.udp) return true;
    if (addr_equal(neighbour(to), to)) return true;
    if (addr_loopback(to) || addr_unspecified(to)) return sender(fd, to, &from) && tree_has(&from, to);
    return broadcast_of_interface(fd, to);
}
