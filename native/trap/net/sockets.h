/* sockets.h - what we remember of the tree's sockets, keyed by SO_COOKIE (never reused). */
#ifndef NET_SOCKETS_H
#define NET_SOCKETS_H
#include "net/address.h"
struct sock {
    struct sock *next;
    struct sock *next_inode;
    uint64_t cookie, inode;
    int domain;
    bool datagram, bound, relayed, accepted, listening, listen_seen, by_address, missed;
    bool ordinary;                  /* accepted from somebody who is not the session */
    uint64_t listener_id;
    char *path; uint8_t path_length; /* unix, relayed: whom it asked for */
    struct addr asked, actual;      /* bound */
    struct addr via;                /* relayed, accepted: the kernel's own peer, to notice a reconnected socket */
    struct addr peer, local;        /* what the program shall see; local.family 0: the truth */
};
struct info { int domain, type, protocol; uint64_t cookie, inode; };
bool sock_info(int fd, struct info *i);
bool info_is_tcp(const struct info *i);
bool info_is_udp(const struct info *i);
struct sock *sock_find(uint64_t cookie);
struct sock *sock_find_inode(uint64_t inode);
struct sock *sock_make(const struct info *i);
void sock_sweep(void);
struct sock *sock_each(struct sock *previous);
bool inode_open_somewhere(uint64_t inode);
int64_t socket_inode(pid_t tid, int fd); /* or -errno */
void each_open_socket(void (*see)(pid_t pid, int fd, uint64_t inode, void *), void *context);
bool inode_peer(uint64_t inode, int *domain, struct addr *peer); /* of a TCP socket that the kernel lists; peer.port 0: listening */
bool inode_is_unix(uint64_t inode);
int sock_flag(int fd, int level, int name);
bool sock_moved_any(void); /* a UDP socket is bound elsewhere than it asked */
void sock_moved(struct sock *s);
uint64_t sock_timeout(int fd, int name); /* ns, 0 for none */
bool sock_kernel_peer(int fd, struct addr *a);
bool sock_kernel_name(int fd, struct addr *a);
#endif
