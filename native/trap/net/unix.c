/* unix.c - connect(2) of stream and seqpacket sockets to unix paths of the target. The program's own socket is connected to the path that the
 * session names. A seqpacket socket cannot reach that stream: it is connected to a private listener here, and frames.c carries its messages. */
#include "trap.h"
#include "net/frames.h"
#include <stddef.h>
#include <sys/epoll.h>
#include <poll.h>
#include <sys/un.h>

#define HOLD_NONBLOCKING (10000 * MS) /* natively such a connect takes no time at all and has no EINPROGRESS: an event loop stands still meanwhile */
#define LAST_WORDS (1000 * MS)        /* for what the program wrote just before its end */

static struct rules *remote_paths;
bool unix_configure(void) {
    remote_paths = config.unix_streams.length ? rules_load(config.unix_streams.data, config.unix_streams.length) : NULL;
    return remote_paths || !config.unix_streams.length;
}

/* ---- seqpacket: one bridge a connection ---- */

struct bridge { struct bridge *next; struct side { struct watcher watcher; struct bridge *bridge; int fd; uint32_t watching; } packets, stream; struct frames frames; bool over; };
static struct bridge *bridges;

static void watch(struct side *s, uint32_t events) { /* 0 is no watch at all: a hang-up would be an event for ever */
    if (!events && s->watching) epoll_forget(s->fd);
    if (events && events != s->watching) epoll_watch(s->fd, events, &s->watcher, s->watching != 0);
    s->watching = events;
}
static void pump(struct bridge *b) {
    if (b->over) return;
    if (frames_move(&b->frames) == 0) {
        watch(&b->packets, frames_from_packets(&b->frames));
        watch(&b->stream, frames_from_stream(&b->frames));
        return;
    }
    b->over = true; /* the memory goes in bridges_sweep: an epoll event in hand may still name it */
    watch(&b->packets, 0);
    watch(&b->stream, 0);
    close(b->packets.fd);
    close(b->stream.fd);
    frames_close(&b->frames);
}
static void ready(struct watcher *w, uint32_t events) {
    (void)events;
    pump(((struct side *)w)->bridge);
}
static void bridge_open(int packets, int stream) {
    struct bridge *b = calloc(1, sizeof *b);
    if (!b) abort();
    b->packets = (struct side){.watcher = {ready}, .bridge = b, .fd = packets};
    b->stream = (struct side){.watcher = {ready}, .bridge = b, .fd = stream};
    b->next = bridges;
    bridges = b;
    frames_open(&b->frames, packets, stream);
    pump(b);
}
void bridges_sweep(void) {
    for (struct bridge **at = &bridges, *b; (b = *at);) {
        if (!b->over) {
            at = &b->next;
            continue;
        }
        *at = b->next;
        free(b);
    }
}
void bridges_end(void) { /* nobody is left but the session, which takes the rest */
    for (uint64_t until = now_ns() + LAST_WORDS; now_ns() < until;) {
        struct pollfd wait = {.fd = -1};
        for (struct bridge *b = bridges; b; b = b->next) {
            pump(b);
            if (!b->over && (!b->frames.stream_shut || b->frames.refused)) wait = (struct pollfd){b->stream.fd, b->frames.stream_shut ? POLLIN : POLLOUT, 0};
        }
        if (wait.fd < 0) return;
        poll(&wait, 1, 20);
    }
    warn("a unix socket of the target did not take what the program wrote last");
}

/* ---- connecting ---- */

static void tell_gone(const struct call *c) {
    put_begin(MSG_FILE_GONE);
    put_u64(c->id);
    put_end();
}
static void fail(struct call *c, int error) {
    made_failed(c->info.inode);
    answer_error(&c->n, error);
    call_end(c);
}
/* Returns an errno. EAGAIN: the backlog is full, or a blocking connect would wait for it. */
static int connect_to(int fd, const struct sockaddr_un *to, socklen_t n) {
    interrupt_begin(); /* whatever O_NONBLOCK says: another thread may just change it */
    int error = connect(fd, (const void *)to, n) ? errno : 0;
    interrupt_end();
    return error == EINTR ? EAGAIN : error;
}
/* A listener that only this connection uses. Its name is the kernel's choice (autobind, unix(7)) and others may connect to it first, but only we
 * have our pid: the peer of a connection is who called connect(2). */
static int private_pair(struct call *c, int *ours) {
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    socklen_t n = sizeof name.sun_family;
    int listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), error = listener < 0 ? errno : 0;
    *ours = -1;
    if (!error && (bind(listener, (void *)&name, n) || listen(listener, 16))) error = errno;
    n = sizeof name;
    if (!error && getsockname(listener, (void *)&name, &n)) error = errno;
    if (!error) error = connect_to(c->fd, &name, n);
    while (!error && *ours < 0) {
        struct ucred peer = {0};
        socklen_t m = sizeof peer;
        int connection = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (connection < 0) error = errno;
        else if (getsockopt(connection, SOL_SOCKET, SO_PEERCRED, &peer, &m) == 0 && peer.pid == getpid()) *ours = connection;
        else close(connection);
    }
    if (listener >= 0) close(listener);
    return error;
}
static void connected(struct call *c) {
    struct sock *s = sock_make(&c->info);
    s->relayed = true;
    made_connected(c->info.inode);
    answer_value(&c->n, 0);
    call_end(c);
}
/* The session's relay is there. Tried again on each tick while its backlog is full. */
void unix_progress(struct call *c) {
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    int stream, packets, error;
    if (!notif_valid(&c->n)) return; /* the tick sees to it */
    memcpy(to.sun_path, c->text, strlen(c->text) + 1);
    if (c->info.type == SOCK_STREAM) {
        error = connect_to(c->fd, &to, sizeof to);
        if (error == EAGAIN) return;
        if (error) fail(c, error);
        else connected(c);
        return;
    }
    stream = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    error = stream < 0 ? errno : connect_to(stream, &to, sizeof to);
    if (!error) error = private_pair(c, &packets);
    if (!error) {
        bridge_open(packets, stream);
        connected(c);
        return;
    }
    if (stream >= 0) close(stream);
    if (error != EAGAIN) fail(c, error);
}
/* While the caller is away in a signal handler the answer waits. */
static void go_on(struct call *c) {
    if (call_away(c)) return;
    if (c->outcome == OUTCOME_DIRECT) {
        made_direct(c->n.pid, (int)c->n.data.args[0]);
        answer_continue(&c->n);
        call_end(c);
    } else if (c->outcome == OUTCOME_ERRNO) fail(c, c->error);
    else unix_progress(c);
}
void unix_answered(struct reader *r) {
    uint64_t id = get_u64(r);
    uint8_t outcome = get_u8(r);
    int32_t error = (int32_t)get_u32(r);
    char *relay = get_string(r);
    struct sockaddr_un room;
    if (outcome > OUTCOME_DIRECT || (outcome == OUTCOME_ERRNO && (error < 1 || error > 133))) r->bad = true;
    if (!r->bad && outcome == OUTCOME_RELAY && (relay[0] != '/' || strlen(relay) >= sizeof room.sun_path)) r->bad = true;
    struct call *c = r->bad ? NULL : call_by_id(HELD_UNIX, id);
    if (!c || c->answered) {
        free(relay);
        return;
    }
    c->answered = true;
    c->outcome = outcome;
    c->error = error;
    c->text = relay;
    go_on(c);
}
/* Neither answers nor, a blocking one, finds room in the relay's backlog. */
void unix_expired(struct call *c, int error) {
    if (error == ETIMEDOUT) warn("process %d: no answer to the connect of a unix socket", process_of(c->n.pid));
    if (!c->answered) tell_gone(c);
    fail(c, error);
}
void unix_gone(struct call *c) {
    if (!c->answered) tell_gone(c);
    call_end(c);
}
static void ask(struct call *c, const struct sock *s) {
    c->id = next_id();
    put_begin(MSG_CONNECT_UNIX);
    put_u64(c->id);
    put_u32((uint32_t)process_of(c->n.pid));
    put_u8(c->info.type == SOCK_SEQPACKET);
    put_bytes(s->path, s->path_length);
    put_end();
}
/* The name as the session and the patterns have it: a path ends at its first zero (unix(7)), zeroes at the end of an abstract name mean nothing
 * here (OUT-15). 0: none, or a relative path, which means a local one. */
static size_t name_of(const struct sockaddr_un *to, socklen_t length) {
    size_t n = length - offsetof(struct sockaddr_un, sun_path);
    if (length <= offsetof(struct sockaddr_un, sun_path)) return 0;
    if (to->sun_path[0] == '/') return strnlen(to->sun_path, n);
    if (to->sun_path[0]) return 0;
    while (n > 1 && !to->sun_path[n - 1]) n--;
    return n > 1 ? n : 0;
}
/* 0: held or answered. -1: let the kernel do it. */
static int decide(const notif *n, int fd, const char *name, size_t length) {
    struct sockaddr_storage peer;
    socklen_t m = sizeof peer;
    struct info i;
    if (!sock_info(fd, &i) || i.domain != AF_UNIX || (i.type != SOCK_STREAM && i.type != SOCK_SEQPACKET)) return -1;
    struct sock *s = sock_find(i.cookie);
    if (s && s->relayed) {
        answer_error(n, EISCONN); /* the kernel would look for the path first */
        fd_release(fd);
        return 0;
    }
    if (getpeername(fd, (void *)&peer, &m) == 0 || sock_flag(fd, SOL_SOCKET, SO_ACCEPTCONN)) return -1; /* EISCONN, EINVAL */
    s = sock_make(&i);
    struct call *earlier = call_by_cookie(HELD_UNIX, i.cookie);
    if (earlier) {
        if (!call_away(earlier) || s->path_length != length || memcmp(s->path, name, length)) {
            answer_error(n, EALREADY);
        } else {
            earlier->n = *n;
            earlier->attached = true;
            if (earlier->answered) go_on(earlier);
        }
        fd_release(fd);
        return 0;
    }
    free(s->path);
    if (!(s->path = malloc(length))) abort();
    memcpy(s->path, name, length);
    s->path_length = (uint8_t)length;
    struct call *c = call_hold(HELD_UNIX, n, fd, 0);
    c->cookie = i.cookie;
    c->info = i;
    c->nonblocking = fcntl(fd, F_GETFL) & O_NONBLOCK;
    uint64_t patience = sock_timeout(fd, SO_SNDTIMEO);
    if (c->nonblocking && c->limit > now_ns() + HOLD_NONBLOCKING) c->limit = now_ns() + HOLD_NONBLOCKING;
    else if (patience) c->deadline = now_ns() + patience;
    ask(c, s);
    return 0;
}
bool on_connect_unix(const notif *n, const struct sockaddr_un *to, socklen_t length) {
    char shown[sizeof to->sun_path + 1];
    size_t m = remote_paths ? name_of(to, length) : 0;
    if (!m) return false;
    memcpy(shown, to->sun_path, m);
    if (!shown[0]) shown[0] = '@';
    if (!rules_match(remote_paths, shown, m) || (shown[0] == '/' && path_foreign(n->pid))) return false;
    int fd = fd_duplicate(n->pid, (int)n->data.args[0]);
    if (fd == -NOT_MADE || table_full(fd)) {
        int64_t inode = socket_inode(n->pid, (int)n->data.args[0]);
        struct sock *s = inode < 0 ? NULL : sock_find_inode((uint64_t)inode);
        if (s && s->relayed) answer_error(n, EISCONN);
        if (s && s->relayed) return true;
        if (inode < 0 || (fd == -NOT_MADE && !inode_is_unix((uint64_t)inode))) return false;
        if (fd == -NOT_MADE) made_elsewhere(n->pid, "connects", "The connection is refused");
        else mem_refused(n->pid, fd, "connect");
        answer_error(n, ECONNREFUSED);
        return true;
    }
    if (fd < 0) {
        mem_refused(n->pid, fd, "connect");
        return false;
    }
    if (!notif_valid(n)) {
        fd_release(fd);
        return true;
    }
    if (decide(n, fd, to->sun_path, m) == 0) return true;
    fd_release(fd);
    return false;
}
/* getpeername of a socket that we connected: the path that it asked for. */
bool unix_peer(const notif *n, const struct sock *s) {
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    if (!s || !s->relayed || !s->path) return false;
    memcpy(name.sun_path, s->path, s->path_length);
    socklen_t length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + s->path_length + (s->path[0] == '/'));
    answer_result(n, mem_write_sockaddr(n->pid, n->data.args[1], n->data.args[2], &name, length));
    return true;
}
