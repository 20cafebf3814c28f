/* address.c - one form of address for IPv4, IPv6 and v4-mapped IPv6. */
#include "trap.h"
#include <arpa/inet.h>

static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

bool addr_from_sockaddr(struct addr *to, const void *sa, socklen_t len) {
    const struct sockaddr *any = sa;
    memset(to, 0, sizeof *to);
    if (len >= sizeof(struct sockaddr_in) && any->sa_family == AF_INET) {
        const struct sockaddr_in *in = sa;
        to->family = 4;
        to->port = ntohs(in->sin_port);
        memcpy(to->ip, &in->sin_addr, 4);
        return true;
    }
    if (len >= offsetof(struct sockaddr_in6, sin6_scope_id) && any->sa_family == AF_INET6) { /* SIN6_LEN_RFC2133 */
        const struct sockaddr_in6 *in6 = sa;
        to->port = ntohs(in6->sin6_port);
        if (!memcmp(&in6->sin6_addr, mapped, 12)) {
            to->family = 4;
            memcpy(to->ip, (const uint8_t *)&in6->sin6_addr + 12, 4);
            return true;
        }
        to->family = 6;
        memcpy(to->ip, &in6->sin6_addr, 16);
        if (len >= sizeof *in6) to->scope = in6->sin6_scope_id;
        return true;
    }
    return false;
}
socklen_t addr_to_sockaddr(const struct addr *from, int domain, struct sockaddr_storage *to) {
    memset(to, 0, sizeof *to);
    if (domain == AF_INET) {
        struct sockaddr_in *in = (void *)to;
        if (from->family != 4) return 0;
        in->sin_family = AF_INET;
        in->sin_port = htons(from->port);
        memcpy(&in->sin_addr, from->ip, 4);
        return sizeof *in;
    }
    struct sockaddr_in6 *in6 = (void *)to;
    in6->sin6_family = AF_INET6;
    in6->sin6_port = htons(from->port);
    if (from->family == 4) {
        memcpy(&in6->sin6_addr, mapped, 12);
        memcpy((uint8_t *)&in6->sin6_addr + 12, from->ip, 4);
    } else {
        memcpy(&in6->sin6_addr, from->ip, 16);
        in6->sin6_scope_id = from->scope;
    }
    return sizeof *in6;
}
bool addr_same_ip(const struct addr *a, const struct addr *b) {
    return a->family == b->family && !memcmp(a->ip, b->ip, a->family == 4 ? 4 : 16);
}
bool addr_equal(const struct addr *a, const struct addr *b) { return a->port == b->port && addr_same_ip(a, b); }
bool addr_loopback(const struct addr *a) {
    static const uint8_t one[16] = {[15] = 1};
    return a->family == 4 ? a->ip[0] == 127 : a->family == 6 && !memcmp(a->ip, one, 16);
}
bool addr_unspecified(const struct addr *a) {
    static const uint8_t zero[16];
    return a->family && !memcmp(a->ip, zero, a->family == 4 ? 4 : 16);
}
bool addr_multicast(const struct addr *a) {
    static const uint8_t broadcast[4] = {255, 255, 255, 255};
    if (a->family == 6) return a->ip[0] == 0xff;
    return (a->ip[0] & 0xf0) == 0xe0 || !memcmp(a->ip, broadcast, 4);
}
struct addr addr_loopback_of(const struct addr *like, uint16_t port) {
    struct addr a = {.family = like->family, .port = port};
    if (like->family == 4) a.ip[0] = 127, a.ip[3] = 1;
    else a.ip[15] = 1;
    return a;
}
