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

#include "net/address.h"

/* ---- messages (wire.c) ---- */
#include "messages.h"
struct reader { const uint8_t *at, *end; bool bad; };
uint8_t get_u8(struct reader *r);
uint16_t get_u16(struct reader *r);
uint32_t get_u32(struct reader *r);
uint64_t get_u64(struct reader *r);
int64_t get_i64(struct reader *r);
char *get_string(struct reader *r); /* heap; NULL and bad when malformed or with a zero byte inside */
uint8_t *get_bytes(struct reader *r, uint32_t *n); /* heap */
uint32_t get_count(struct reader *r); /* of a list; 0 and bad when the frame cannot hold that many */
struct addr get_addr(struct reader *r);
void put_begin(enum message type);
void put_u8(uint8_t v);
void put_u32(uint32_t v);
void put_u64(uint64_t v);
void put_i64(int64_t v);
void put_string(const char *s);
void put_bytes(const void *data, size_t n);
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
struct blob { uint8_t *data; uint32_t length; };
struct config {
    bool new_session, incoming, tcp, udp, intercept;
    uint32_t hold_ms;
    struct { uint32_t connect, listen, file, datagram; } limit_ms; /* how long the session may take */
    char *program, *cwd, **argv;
    struct overlay *overlays; uint32_t noverlays;
    struct network *locals; uint32_t nlocals;
    char *files;                                            /* directory of the copies of remote files; "" when files are local */
    struct blob rules, mapping, unix_streams;               /* automata (files/rules.c); length 0: none */
    bool files_write;                                       /* some path may be written remotely */
    char **skip; uint32_t nskip;                            /* names of programs that run as without us */
    char *hostname;                                         /* "" for this machine's */
    char *network;                                          /* "" for any; else what /proc/self/ns/net must say */
};
extern struct config config;
bool config_read(struct reader *r);
bool config_is_local(const struct addr *a);

#include "filter.h"

/* ---- starting the program (spawn.c) ---- */
struct spawned { pid_t pid; int listener; bool killable, sync_wake; int stage, error; };
enum stage { STAGE_NONE, STAGE_CLONE, STAGE_SECCOMP, STAGE_CHDIR, STAGE_EXEC, STAGE_MEMORY, STAGE_NETWORK };
int install_filter(const struct filter *f, bool *killable); /* listener or -errno */
bool use_sync_wake_up(int listener);
void spawn(struct spawned *s, const struct filter *f);

/* ---- notifications (notify.c) ---- */
typedef struct seccomp_notif notif;
extern int listener_fd;
extern bool killable;
bool notif_receive(notif *n);
bool notif_valid(const notif *n);
bool answer_value(const notif *n, int64_t value); /* false: the caller had gone */
bool answer_error(const notif *n, int error);     /* error > 0 */
void answer_result(const notif *n, int64_t result); /* negative: -errno */
void answer_continue(const notif *n);
int inject(const notif *n, int fd, bool cloexec, int at); /* at < 0: lowest number. The number, or -errno */
int inject_only(const notif *n, int fd, bool cloexec);           /* the same without answering */

/* ---- /proc (proc.c) ---- */
bool spare_keep(bool keep);                              /* false: two descriptors are free now, until true gives them back. Whether there were any */
int proc_open(pid_t tid, const char *name, int flags);   /* one at a time, for proc_close; or -errno */
void proc_close(int fd);
char *proc_text(pid_t tid, const char *name);            /* until the next one; NULL: it ended */
const char *proc_field(const char *status, const char *name);
char *proc_stat(pid_t process);

/* ---- the ways in (access.c) ---- */
extern bool without_getfd, memory_by_file;
int access_try(pid_t pid, int fd, const void *at);
int access_find(void);
/* ---- the target's memory, descriptors and signals (memory.c, process.c) ---- */
ssize_t mem_read(pid_t tid, uint64_t at, void *to, size_t n);
ssize_t mem_write(pid_t tid, uint64_t at, const void *from, size_t n);
ssize_t mem_string(pid_t tid, uint64_t at, char *to, size_t cap);
int mem_write_sockaddr(pid_t tid, uint64_t at, uint64_t length_at, const void *sa, socklen_t n);
void mem_refused(pid_t tid, ssize_t error, const char *what); /* warns once a process when it may not be looked into, or we have no descriptor for it */
bool table_full(ssize_t error);                               /* -EMFILE or -ENFILE: of ours, where the program's own call would have worked */
pid_t process_of(pid_t tid);
bool process_ended(pid_t tid);
int fd_duplicate(pid_t tid, int fd); /* or -errno; without pidfd_getfd of sockets that we made only, else -NOT_MADE */
void fd_release(int fd);             /* closes a duplicate without waiting: it may be the last descriptor of a socket with SO_LINGER */
int fd_free(pid_t tid, int low, int high);
struct image { pid_t parent; uint64_t started, stack, arguments, device, inode; }; /* which program a process runs; stack 0: may not be looked into */
pid_t tracer_of(pid_t tid); /* 0: none */
enum pending { PENDING_NONE, PENDING_MAYBE, PENDING_CERTAIN };
enum pending signal_pending(pid_t tid);

/* ---- time ---- */
uint64_t now_ns(void);
#define MS 1000000ull
void interrupt_begin(void); /* from here a blocking call of ours fails with EINTR after 5 ms; O_NONBLOCK is shared, so not ours to set */
void interrupt_end(void);

#include "net/sockets.h"
#include "net/made.h"

/* ---- calls that are held (calls.c) ---- */
enum kind { HELD_ACCEPT, HELD_RECEIVE, HELD_CONNECT, HELD_RELAY, HELD_LISTEN, HELD_DATAGRAM, HELD_SEND, HELD_UNIX, HELD_FILE };
struct watcher { void (*ready)(struct watcher *w, uint32_t events); }; /* first member of what epoll_watch gets as its tag */
struct call {
    struct watcher watcher;
    struct call *previous, *next, *finished, *id_next, **id_at, *cookie_next, **cookie_at; /* calls.c */
    enum kind kind;
    notif n;
    bool attached;       /* false: answered "restart", expected again */
    bool over;           /* to be freed by the loop */
    int fd;              /* duplicate, or -1 */
    uint32_t watching;   /* epoll events on fd */
    uint64_t id, cookie; /* question to the session; socket: set once, at once after call_hold */
    uint64_t deadline, limit, detached_at; /* of the program's patience; of the session's */
    bool hurried, answered;
    bool done;           /* performed, but the caller was away: its restart takes the result (error) */
    bool taken;          /* done, and answered in a moment in which a signal may have come first */
    struct addr remote;
    struct info info;
    bool nonblocking;
    bool pending;        /* goes on in pending.c */
    unsigned received; uint64_t until; /* recvmmsg */
    /* the answer, kept while detached */
    uint8_t outcome; int32_t error; struct addr relay, local;
    char *text; /* HELD_UNIX: the relay's path; heap */
    struct file_call *file; /* HELD_FILE */
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
bool calls_asking(void); /* the answer of the session to one is awaited */
bool call_away(struct call *c);
void calls_sweep(void);

/* ---- the tree (tree.c) and its processes (supervisor.c, probe.c) ---- */
pid_t parent_of(pid_t pid);                       /* -1: ended */
void tree_signal(pid_t root, int signal);
int reap_all_of(pid_t supervisor);               /* the outer process */
int supervise(int reaper_pidfd);                 /* the inner process */
void kill_tree(void);
int probe(void);
int copy(const char *file, const char *limit); /* copy.c: `mirrord-trap --copy`; the exit code */

/* ---- waiting (wait.c) ---- */
void epoll_watch(int fd, uint32_t events, struct watcher *w, bool change);
void epoll_forget(int fd);
bool wait_open(void);
void wait_start(void); /* once the program runs */
struct epoll_event;
/* A notification (its id is not 0), events (their number), both, or neither: the deadline has come. `quiet`: nothing of ours is outstanding. */
int wait_next(struct epoll_event *events, int max, uint64_t deadline, bool quiet, notif *n);

#include "net/net.h"
#include "files/files.h"
#include "processes/processes.h"
#endif
