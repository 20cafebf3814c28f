/* address.h - addresses: v4-mapped IPv6 is IPv4 here; the socket's own family decides how it is written. */
#ifndef NET_ADDRESS_H
#define NET_ADDRESS_H
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
struct addr {
    uint8_t family; /* 4, 6 or 0 for none */
    uint8_t ip[16]; /* network order, IPv4 in the first four */
    uint16_t port;  /* host order */
    uint32_t scope; /* IPv6 link-local */
};
bool addr_from_sockaddr(struct addr *to, const void *sa, socklen_t len);
socklen_t addr_to_sockaddr(const struct addr *from, int domain, struct sockaddr_storage *to); /* 0: does not fit the domain */
bool addr_same_ip(const struct addr *a, const struct addr *b);
bool addr_equal(const struct addr *a, const struct addr *b);
bool addr_loopback(const struct addr *a);
bool addr_unspecified(const struct addr *a);
bool addr_multicast(const struct addr *a); /* or IPv4 broadcast */
struct addr addr_loopback_of(const struct addr *like, uint16_t port);
#endif
