/* made.c - where pidfd_getfd is denied, sockets of the tree are made by us (window.c), and a duplicate of each is kept while we may have to act on it.
 *
 * Which socket a descriptor means is told by the inode of /proc/TID/fd/N, whatever dup, fork, exec and SCM_RIGHTS did. A duplicate kept too long
 * is harmful (its peer sees no FIN, its port stays in use), so a TCP socket is dropped once it is connected, and any socket once nobody else has
 * it. Who has it is remembered as one process and number, looked at on each tick; only when that one is gone is all of /proc searched. */
#include "trap.h"

#define TICK (50 * MS)
#define SOON (2 * MS)
#define MANY 200
#define BUCKETS 256

struct made { struct made *next; uint64_t inode; int fd; bool stream, held, failed; unsigned missed; pid_t holder; int number; };
static struct made *buckets[BUCKETS];
static unsigned count, many = MANY;
static uint64_t due, cost;

static struct made **find(uint64_t inode) {
    struct made **at = &buckets[inode % BUCKETS];
    while (*at && (*at)->inode != inode) at = &(*at)->next;
    return at;
}
static bool dropped_listener;
static void drop(struct made **at) {
    struct made *m = *at;
    dropped_listener |= m->stream && sock_flag(m->fd, SOL_SOCKET, SO_ACCEPTCONN);
    *at = m->next;
    fd_release(m->fd);
    free(m);
    count--;
}
void made_soon(void) {
    uint64_t soon = now_ns() + SOON;
    if (count && (!due || due > soon)) due = soon;
}
uint64_t made_due(void) { return count ? due : 0; }

int made_duplicate(pid_t tid, int fd) {
    int64_t inode = socket_inode(tid, fd);
    if (inode < 0) return (int)inode;
    struct made *m = *find((uint64_t)inode);
    int d = m ? fcntl(m->fd, F_DUPFD_CLOEXEC, 3) : -1;
    return !m ? -NOT_MADE : d < 0 ? -errno : d;
}
void made_keep(int fd, pid_t tid, int number) {
    struct info i;
    struct made *m = calloc(1, sizeof *m);
    if (!m) abort();
    if (!sock_info(fd, &i)) abort(); /* we made it */
    struct made **at = find(i.inode);
    *m = (struct made){.next = *at, .inode = i.inode, .fd = fd, .stream = i.type != SOCK_DGRAM, .holder = tid, .number = number};
    *at = m;
    if (!count++) due = now_ns() + TICK;
}
void made_connected(uint64_t inode) {
    struct made **at = find(inode);
    if (*at && (*at)->stream) drop(at);
}
void made_failed(uint64_t inode) {
    struct made *m = *find(inode);
    if (m) m->failed = true;
}
/* Its outcome is the kernel's to know: the tick looks. Outside the window its close would not be heard, so it goes at once. */
void made_direct(pid_t tid, int fd) {
    if (!without_getfd || (fd >= WINDOW_STREAM_LOW && fd < WINDOW_HIGH)) return;
    int64_t inode = socket_inode(tid, fd);
    if (inode >= 0) made_connected((uint64_t)inode);
}

void made_elsewhere(pid_t tid, const char *does, const char *then) {
    static pid_t told[16];
    static unsigned next;
    pid_t process = process_of(tid);
    for (unsigned i = 0; i < 16; i++)
        if (told[i] == process) return;
    told[next++ % 16] = process;
    warn("process %d %s a socket that it inherited or got from outside. %s: without pidfd_getfd(2) only sockets opened below mirrord are served. "
         "Allow it (in a container: --cap-add SYS_PTRACE)", process, does, then);
}
/* All of /proc, at the price of that. */
static void look(void (*see)(pid_t pid, int number, uint64_t inode, void *context), void *context) {
    uint64_t began = now_ns();
    each_open_socket(see, context);
    cost = now_ns() - began;
}
static bool connected(const struct made *m) {
    struct sockaddr_storage ss;
    socklen_t n = sizeof ss;
    return m->stream && getpeername(m->fd, (void *)&ss, &n) == 0;
}
struct references { uint64_t inode; unsigned count; };
static void see_reference(pid_t pid, int number, uint64_t inode, void *context) {
    struct references *r = context;
    (void)number;
    r->count += inode == r->inode && pid != getpid();
}
/* A connected socket is the program's alone from now on. One whose connect failed may be in an epoll set, which it leaves only with its last
 * descriptor: ours must not be that one, where looking is cheap (in a container /proc is short). Others can wait until the call, which goes on in
 * the kernel after us, is over. */
bool on_close(const notif *n) {
    int fd = (int)n->data.args[n->data.nr == SYS_close ? 0 : 1];
    if (fd < WINDOW_STREAM_LOW || fd >= WINDOW_HIGH) return false;
    int64_t inode = socket_inode(n->pid, fd);
    struct made **at = inode < 0 ? NULL : find((uint64_t)inode);
    struct addr name;
    if (at && *at) {
        struct references r = {(*at)->inode, 0};
        if ((*at)->failed && cost < 2 * MS && !connected(*at)) look(see_reference, &r);
        if (connected(*at) || r.count == 1) drop(at);
        else if (sock_kernel_name((*at)->fd, &name) && name.port) made_soon();
    }
    answer_continue(n);
    return true;
}
static bool still_held(const struct made *m) {
    int64_t inode = socket_inode(m->holder, m->number);
    return inode == (int64_t)m->inode || ((inode == -EACCES || inode == -EPERM) && !process_ended(m->holder)); /* nobody may look at a zombie of his */
}
static void see(pid_t pid, int number, uint64_t inode, void *context) {
    struct made *m = *find(inode);
    (void)context;
    if (!m || m->held || pid == getpid()) return;
    m->held = true;
    m->holder = pid;
    m->number = number;
}
/* Drops what has not been seen for `misses` times: a descriptor that is just being passed over a unix socket is in no table. */
static void sweep(unsigned misses) {
    bool lost = false;
    uint64_t wait = TICK;
    for (unsigned b = 0; b < BUCKETS; b++)
        for (struct made **at = &buckets[b], *m; (m = *at);) {
            if (connected(m)) {
                drop(at);
                continue;
            }
            m->held = still_held(m);
            lost |= !m->held;
            at = &m->next;
        }
    if (lost) {
        look(see, NULL);
        wait = cost * 10 > TICK / 2 ? cost * 10 : TICK / 2; /* on a big machine: at most a tenth of our time */
    }
    for (unsigned b = 0; b < BUCKETS; b++)
        for (struct made **at = &buckets[b], *m; (m = *at);) {
            m->missed = m->held ? 0 : m->missed + 1;
            if (m->missed >= misses) drop(at);
            else at = &m->next;
        }
    due = now_ns() + wait;
    many = count * 2 > MANY ? count * 2 : MANY;
    if (dropped_listener) listeners_check();
    dropped_listener = false;
}
void made_tick(void) { sweep(2); }
void made_room(void) { sweep(1); }
void made_crowded(void) {
    if (count >= many) sweep(1);
}
/* A socket that was closed, or whose process has ended, but that no tick has found yet, must not make a bind fail. */
void made_free_port(uint16_t port) {
    bool lost = false;
    if (!count || !port) return;
    for (unsigned b = 0; b < BUCKETS; b++)
        for (struct made *m = buckets[b]; m; m = m->next) {
            struct addr name;
            struct sock *s = sock_find_inode(m->inode);
            bool on_it = (sock_kernel_name(m->fd, &name) && name.port == port) || (s && s->bound && s->asked.port == port);
            m->held = !on_it || still_held(m);
            lost |= !m->held;
        }
    if (!lost) return;
    look(see, NULL);
    for (unsigned b = 0; b < BUCKETS; b++)
        for (struct made **at = &buckets[b]; *at;) {
            if (!(*at)->held) drop(at);
            else at = &(*at)->next;
        }
}
