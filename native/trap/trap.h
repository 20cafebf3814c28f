/* trap.h - what the parts of mirrord-trap share. README.md has the processes and the message format. */
#ifndef TRAP_H
#define TRAP_H
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>
#include <linux/seccomp.h>

/* Newer than the kernel headers of Debian 12. */
#ifndef SECCOMP_IOCTL_NOTIF_SET_FLAGS
#define SECCOMP_IOCTL_NOTIF_SET_FLAGS SECCOMP_IOW(4, __u64)
#endif
#define SYNC_WAKE_UP 1ULL /* SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP, kernel 6.6 */
/* Kernel-internal codes (include/linux/errno.h). Answered while a signal is pending for that very thread, the kernel
 * turns them into a restart, or for the first into EINTR by the handler's SA_RESTART, as for any interrupted call. */
#define ERESTARTSYS_KERNEL 512
#define ERESTARTNOINTR_KERNEL 513

/* ---- addresses (address.c): v4-mapped IPv6 is IPv4 here; the socket's own family decides how it is written ---- */
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

/* ---- messages (wire.c) ---- */
#include "messages.h"
struct reader { const uint8_t *at, *end; bool bad; };
uint8_t get_u8(struct reader *r);
uint16_t get_u16(struct reader *r);
uint32_t get_u32(struct reader *r);
uint64_t get_u64(struct reader *r);
char *get_string(struct reader *r); /* heap; NULL and bad when malformed or with a zero byte inside */
struct addr get_addr(struct reader *r);
void put_begin(enum message type);
void put_u8(uint8_t v);
void put_u32(uint32_t v);
void put_u64(uint64_t v);
void put_string(const char *s);
void put_addr(const struct addr *a);
void put_end(void);
void wire_open(int fd);
bool wire_flush(void);                                      /* false: the session is gone */
bool wire_pending(void);
bool wire_receive(bool block);                              /* reads what is there and dispatches; false: session gone or malformed */
bool wire_next(uint8_t *type, struct reader *body);         /* hello only: one whole frame, waiting for it */
void wire_close(void);
void wire_dispatch(uint8_t type, struct reader *body);       /* supervisor.c */
extern int wire_fd;
void warn(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* ---- configuration (config.c) ---- */
struct network { struct addr base; uint8_t prefix; uint16_t port; };
struct overlay { char *path, *source, *name; };
struct config {
    bool new_session, incoming, tcp, udp, intercept;
    uint32_t hold_ms;
    char *program, *cwd, **argv;
    struct overlay *overlays; uint32_t noverlays;
    struct network *locals; uint32_t nlocals;
};
extern struct config config;
bool config_read(struct reader *r);
bool config_is_local(const struct addr *a);

/* ---- filter (filter.c) ---- */
#include <linux/filter.h>
#define WINDOW_LOW 900   /* UDP sockets live at these numbers: below FD_SETSIZE and the usual soft limit of 1024 */
#define WINDOW_HIGH 1020
struct filter { struct sock_filter code[256]; unsigned short length; };
void filter_program(struct filter *f, bool incoming, bool files);
void filter_probe(struct filter *f);

/* ---- starting the program (spawn.c) ---- */
struct spawned { pid_t pid; int listener; bool killable, sync_wake; int stage, error; };
enum stage { STAGE_NONE, STAGE_CLONE, STAGE_SECCOMP, STAGE_CHDIR, STAGE_EXEC, STAGE_GETFD };
int install_filter(const struct filter *f, bool *killable); /* listener or -errno */
bool use_sync_wake_up(int listener);
void spawn(struct spawned *s, const struct filter *f);

/* ---- notifications (notify.c) ---- */
typedef struct seccomp_notif notif;
extern int listener_fd;
extern bool killable;
bool notif_receive(notif *n);
bool notif_valid(const notif *n);
void answer_value(const notif *n, int64_t value);
void answer_error(const notif *n, int error); /* error > 0 */
void answer_result(const notif *n, int64_t result); /* negative: -errno */
void answer_continue(const notif *n);
int inject(const notif *n, int fd, bool cloexec, int at); /* at < 0: lowest number. The number, or -errno */

/* ---- the target's memory, descriptors and signals (memory.c, process.c) ---- */
ssize_t mem_read(pid_t tid, uint64_t at, void *to, size_t n);
ssize_t mem_write(pid_t tid, uint64_t at, const void *from, size_t n);
ssize_t mem_string(pid_t tid, uint64_t at, char *to, size_t cap);
int mem_write_sockaddr(pid_t tid, uint64_t at, uint64_t length_at, const void *sa, socklen_t n);
void mem_refused(pid_t tid, ssize_t error, const char *what); /* warns once a process when it may not be looked into */
pid_t process_of(pid_t tid);
int fd_duplicate(pid_t tid, int fd); /* or -errno */
enum pending { PENDING_NONE, PENDING_MAYBE, PENDING_CERTAIN };
enum pending signal_pending(pid_t tid);

/* ---- time ---- */
uint64_t now_ns(void);
#define MS 1000000ull
void interrupt_begin(void); /* from here a blocking call of ours fails with EINTR after 5 ms; O_NONBLOCK is shared, so not ours to set */
void interrupt_end(void);

/* ---- sockets of the tree that we know something about (sockets.c), keyed by SO_COOKIE (never reused) ---- */
struct sock {
    struct sock *next;
    uint64_t cookie, inode;
    bool bound, relayed, accepted, datagram_relayed, listening, listen_seen, by_address, missed;
    uint64_t listener_id;
    struct addr asked, actual;      /* bound */
    struct addr via;                /* relayed, accepted: the kernel's own peer, to notice a reconnected socket */
    struct addr peer, local;        /* what the program shall see; local.family 0: the truth */
};
struct info { int domain, type, protocol; uint64_t cookie, inode; };
bool sock_info(int fd, struct info *i);
bool info_is_tcp(const struct info *i);
bool info_is_udp(const struct info *i);
struct sock *sock_find(uint64_t cookie);
struct sock *sock_make(const struct info *i);
void sock_sweep(void);
struct sock *sock_each(struct sock *previous);
bool inode_open_somewhere(uint64_t inode);
int sock_flag(int fd, int level, int name);
uint64_t sock_timeout(int fd, int name); /* ns, 0 for none */
bool sock_kernel_peer(int fd, struct addr *a);
bool sock_kernel_name(int fd, struct addr *a);

/* ---- calls that are held (calls.c) ---- */
enum kind { HELD_ACCEPT, HELD_RECEIVE, HELD_CONNECT, HELD_RELAY, HELD_LISTEN, HELD_DATAGRAM };
struct call {
    struct call *next;
    enum kind kind;
    notif n;
    bool attached;       /* false: answered "restart", expected again */
    bool over;           /* to be freed by the loop */
    int fd;              /* duplicate, or -1 */
    uint32_t watching;   /* epoll events on fd */
    uint64_t id, cookie; /* question to the session; socket */
    uint64_t deadline, detached_at;
    bool hurried, answered;
    struct addr remote;
    struct info info;
    bool nonblocking;
    /* the answer, kept while detached */
    uint8_t outcome; int32_t error; struct addr relay, local;
};
struct call *call_hold(enum kind kind, const notif *n, int fd, uint32_t watch);
struct call *call_by_id(enum kind kind, uint64_t id);
struct call *call_by_cookie(enum kind kind, uint64_t cookie);
struct call *call_each(struct call *previous);
void call_watch(struct call *c, uint32_t events);
void call_end(struct call *c);
void calls_ready(struct call *c);
void calls_tick(void);
bool calls_any(void);
bool call_away(struct call *c);
void calls_sweep(void);

/* ---- system calls ---- */
void on_connect(const notif *n);                 /* connect.c */
void connect_answered(struct call *c);
void connect_progress(struct call *c);
void connect_reattach(struct call *c, const notif *n);
void connect_gone(struct call *c);
uint64_t next_id(void);
void on_bind(const notif *n);                    /* bind.c */
void on_listen(const notif *n);                  /* listen.c */
void listen_answered(uint64_t id, int error);
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
bool relay_find(const struct addr *remote, struct addr *relay, bool *direct); /* relays.c */
void relay_add(const struct addr *remote, const struct addr *relay, bool direct);
bool relay_original(const struct addr *relay, struct addr *remote);
struct datagram { struct msghdr user; struct iovec iov[64]; uint8_t *data; size_t length; struct sockaddr_storage name; socklen_t name_length; uint8_t control[1024]; };
ssize_t datagram_load(pid_t tid, uint64_t at, struct datagram *m, bool with_data); /* datagram.c */
void datagram_free(struct datagram *m);
bool on_file(const notif *n);                    /* files.c; false: not one of its numbers */

/* ---- the tree (tree.c) and its processes (supervisor.c, probe.c) ---- */
void tree_signal(pid_t root, int signal);
int reap_all_of(pid_t supervisor);               /* the outer process */
int supervise(int reaper_pidfd);                 /* the inner process */
void kill_tree(void);
void epoll_watch(int fd, uint32_t events, void *tag, bool change);
void epoll_forget(int fd);
int probe(void);
#endif
