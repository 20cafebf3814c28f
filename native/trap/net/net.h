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
uint64_t next_id(void);
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
void datagram_answered(struct call *c);
void datagram_expired(struct call *c);
bool relay_find(const struct addr *remote, struct addr *relay, bool *direct); /* relays.c */
void relay_add(const struct addr *remote, const struct addr *relay, bool direct);
bool relay_original(const struct addr *relay, struct addr *remote);
struct datagram { struct msghdr user; struct iovec iov[64]; uint8_t *data; size_t length; struct sockaddr_storage name; socklen_t name_length; uint8_t control[1024]; };
ssize_t datagram_load(pid_t tid, uint64_t at, struct datagram *m, bool with_data); /* datagram.c */
void datagram_free(struct datagram *m);
int bridge(const char *address);                  /* bridge.c: `mirrord-trap --seqpacket`; the exit code */
#endif
