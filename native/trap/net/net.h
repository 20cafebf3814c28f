/* net.h - the system calls of sockets. Included by trap.h. */
#ifndef NET_H
#define NET_H
bool on_net(const notif *n);                      /* calls.c; false: not one of its numbers */
void on_connect(const notif *n);                 /* connect.c */
void connect_answered(struct call *c);
void connect_progress(struct call *c);
void connect_reattach(struct call *c, const notif *n);
void connect_gone(struct call *c);
void connect_expired(struct call *c);
bool pending_any(void);                          /* pending.c */
bool pending_connect(const struct call *c, const struct sockaddr *relay, socklen_t length);
void pending_over(int fd, uint64_t cookie);
bool pending_answered(uint64_t id, uint8_t outcome, int error, const struct addr *local); /* false: not one of those */
bool stream_stays(int fd, const struct addr *to); /* connect(2) of this TCP socket is the kernel's affair */
bool sock_needs_ipv6(int fd, const struct info *i);
uint64_t next_id(void);
struct sockaddr_un;
bool unix_configure(void);                       /* unix.c */
bool on_connect_unix(const notif *n, const struct sockaddr_un *to, socklen_t length); /* false: the kernel's affair */
void unix_answered(struct reader *r);
void unix_progress(struct call *c);
void unix_expired(struct call *c, int error);
void unix_gone(struct call *c);
bool unix_peer(const notif *n, const struct sock *s);
void bridges_sweep(void);
void bridges_end(void);
void on_bind(const notif *n);                    /* bind.c */
void on_listen(const notif *n);                  /* listen.c */
void listen_answered(uint64_t id, int error);
void listen_expired(struct call *c);
void listeners_check(void);
void listeners_end(void);
bool listeners_any(void);
struct sock *listener_for(const struct addr *destination);
void on_accept(const notif *n);                  /* accept.c */
bool accept_attempt(struct call *c);
void kept_tick(void);                            /* kept.c: accepted connections that nobody got yet */
bool kept_any(void);
void kept_add(const struct info *listener, int connection, const struct addr *listening);
int kept_take(uint64_t cookie);
void on_name(const notif *n, bool peer);         /* names.c */
void peer_register(const struct addr *source, const struct addr *peer, const struct addr *local);
void peer_forget(const struct addr *source);
bool peer_lookup(const struct addr *source, struct addr *peer, struct addr *local);
void on_socket(const notif *n);                  /* window.c */
void on_send(const notif *n);                    /* send.c */
void on_receive(const notif *n);                 /* receive.c */
bool receive_attempt(struct call *c);            /* true: done */
void datagram_answered(uint64_t id, uint8_t outcome, int32_t error, const struct addr *via);
void datagram_room(struct call *c);
void datagram_expired(struct call *c);
enum relay_state { RELAY_ASKED, RELAY_READY, RELAY_DIRECT };
struct relay { struct relay *next, *via_next; struct addr remote, via; bool ipv6; enum relay_state state; uint64_t id, used; };
struct relay *relay_find(const struct addr *remote, bool ipv6); /* relays.c */
struct relay *relay_asked(uint64_t id);
struct relay *relay_ask(const struct addr *remote, bool ipv6);
void relay_ready(struct relay *r, const struct addr *via);
void relay_drop(struct relay *r, bool tell);
bool relay_original(const struct addr *via, struct addr *remote);
bool relays_any(void);
bool datagram_local(int fd, const struct info *i, const struct addr *to); /* local.c */
struct sock *datagram_moved(const struct addr *to);
void neighbour_add(const struct addr *source);
#define DATAGRAM_LIMIT 65536 /* UDP's own limit is 65,535 with its header */
#define IOV_LIMIT 1024       /* UIO_MAXIOV */
struct datagram {
    struct msghdr user;
    struct iovec iov[IOV_LIMIT];
    size_t count, length, control_length; /* of iov, cut to what a datagram can fill */
    uint8_t *data;
    struct sockaddr_storage name;
    socklen_t name_length;
    uint8_t control[8192] __attribute__((aligned(8)));
};
ssize_t datagram_load(pid_t tid, uint64_t at, struct datagram *m, bool sending); /* datagram.c */
ssize_t datagram_flat(struct datagram *m, uint64_t at, uint64_t length, bool sending);
ssize_t datagram_copy_in(pid_t tid, const struct datagram *m);
ssize_t datagram_copy_out(pid_t tid, const struct datagram *m, size_t n);
int bridge(const char *address);                  /* bridge.c: `mirrord-trap --seqpacket`; the exit code */
#endif
