/* calls.c - held calls: found again by readiness of their duplicate, by the session's answer, or by the tick. */
#include "trap.h"
#include <sys/epoll.h>

#define BUCKETS 4096
#define CHECK_BUDGET (2 * MS) /* of every 20 ms: with very many held calls a signal is noticed later, and the rest of the tree goes on */

static struct call *calls, *finished, *next_check;
static unsigned count, asking;
/* Filled when somebody looks for a call: its id and cookie are set just after call_hold, and never change. */
static struct call *unindexed, *by_id[BUCKETS], *by_cookie[BUCKETS];

/* How long the session may take, at most: no call waits for ever but those that natively do. */
static uint64_t limit_of(enum kind kind) {
    switch (kind) {
    case HELD_CONNECT: case HELD_UNIX: return config.limit_ms.connect * MS;
    case HELD_LISTEN: return config.limit_ms.listen * MS;
    case HELD_FILE: return config.limit_ms.file * MS;
    case HELD_DATAGRAM: return config.limit_ms.datagram * MS;
    default: return 0;
    }
}
static bool asks(const struct call *c) { return limit_of(c->kind) != 0 || c->kind == HELD_RELAY; }
static void ready(struct watcher *w, uint32_t events) {
    (void)events;
    calls_ready((struct call *)w);
}
struct call *call_hold(enum kind kind, const notif *n, int fd, uint32_t watch) {
    struct call *c = calloc(1, sizeof *c);
    uint64_t limit = limit_of(kind);
    if (!c) abort();
    c->watcher.ready = ready;
    c->kind = kind;
    c->n = *n;
    c->attached = true;
    c->fd = fd;
    if (limit) c->limit = now_ns() + limit;
    c->next = calls;
    if (calls) calls->previous = c;
    calls = c;
    count++;
    asking += asks(c);
    c->id_next = unindexed;
    unindexed = c;
    if (watch) call_watch(c, watch);
    return c;
}
void call_watch(struct call *c, uint32_t events) {
    if (c->fd < 0) return;
    if (!events && c->watching) epoll_forget(c->fd);
    if (events) epoll_watch(c->fd, events, &c->watcher, c->watching != 0);
    c->watching = events;
}
static void index_calls(void) {
    for (struct call *c; (c = unindexed);) {
        struct call **ids = &by_id[c->id % BUCKETS], **cookies = &by_cookie[c->cookie % BUCKETS];
        unindexed = c->id_next;
        c->id_next = NULL;
        if (c->id) {
            if ((c->id_next = *ids)) c->id_next->id_at = &c->id_next;
            *(c->id_at = ids) = c;
        }
        if (c->cookie) {
            if ((c->cookie_next = *cookies)) c->cookie_next->cookie_at = &c->cookie_next;
            *(c->cookie_at = cookies) = c;
        }
    }
}
/* The duplicate is closed at once (it keeps a port bound, a FIN unsent); the memory goes when no epoll event in hand
 * and no loop over the calls can still name it. */
void call_end(struct call *c) {
    if (c->over) return;
    call_watch(c, 0);
    if (c->fd >= 0) fd_release(c->fd);
    c->fd = -1;
    c->over = true;
    index_calls();
    if (c->id_at && (*c->id_at = c->id_next)) c->id_next->id_at = c->id_at;
    if (c->cookie_at && (*c->cookie_at = c->cookie_next)) c->cookie_next->cookie_at = c->cookie_at;
    if (c->previous) c->previous->next = c->next;
    else calls = c->next;
    if (c->next) c->next->previous = c->previous;
    if (next_check == c) next_check = c->next;
    count--;
    asking -= asks(c);
    c->finished = finished;
    finished = c;
}
struct call *call_each(struct call *previous) { /* the one given may have ended meanwhile */
    struct call *c = previous ? previous->next : calls;
    while (c && c->over) c = c->next;
    return c;
}
struct call *call_by_id(enum kind kind, uint64_t id) {
    index_calls();
    for (struct call *c = by_id[id % BUCKETS]; c; c = c->id_next)
        if (c->kind == kind && c->id == id) return c;
    return NULL;
}
struct call *call_by_cookie(enum kind kind, uint64_t cookie) {
    index_calls();
    for (struct call *c = by_cookie[cookie % BUCKETS]; c; c = c->cookie_next)
        if (c->kind == kind && c->cookie == cookie) return c;
    return NULL;
}
/* Away in a signal handler? Without WAIT_KILLABLE_RECV (before 5.19) a signal ends the notification at once, and the
 * restarted call, under a new id, may come before our tick has noticed. */
bool call_away(struct call *c) {
    if (c->attached && !notif_valid(&c->n)) {
        c->attached = false;
        c->detached_at = now_ns();
    }
    return !c->attached;
}
bool calls_any(void) { return calls != NULL; }
bool calls_asking(void) { return asking > 0; }
void calls_sweep(void) {
    for (struct call *c; (c = finished);) {
        finished = c->finished;
        free(c->text);
        free(c);
    }
}
void calls_ready(struct call *c) {
    if (c->over) return;
    switch (c->kind) {
    case HELD_ACCEPT: if (accept_attempt(c)) call_end(c); break;
    case HELD_RECEIVE: if (receive_attempt(c)) call_end(c); break;
    case HELD_RELAY: connect_progress(c); break;
    case HELD_SEND: datagram_room(c); break;
    case HELD_CONNECT: case HELD_LISTEN: case HELD_DATAGRAM: case HELD_UNIX: case HELD_FILE: break; /* not watched */
    }
}

/* A signal waits for a thread that we hold: natively the call would be interrupted. accept and receive restart or give
 * EINTR by the handler's SA_RESTART. connect and listen are already under way in the session and cannot be given back
 * half-done, so they always restart, and find their question again. */
static void meet_signal(struct call *c) {
    enum pending pending = killable ? signal_pending(c->n.pid) : PENDING_NONE;
    if (pending == PENDING_NONE) return;
    bool interruptible = c->kind == HELD_ACCEPT || c->kind == HELD_RECEIVE || c->kind == HELD_SEND;
    if (pending == PENDING_MAYBE && !interruptible) return;
    if (interruptible) { /* a call with a timeout is never restarted (signal(7)) */
        if (c->received) answer_value(&c->n, c->received); /* recvmmsg(2): what came so far */
        else answer_error(&c->n, pending == PENDING_CERTAIN && !c->deadline ? ERESTARTSYS_KERNEL : EINTR);
        call_end(c);
        return;
    }
    answer_error(&c->n, ERESTARTNOINTR_KERNEL);
    c->attached = false;
    c->detached_at = now_ns();
    uint64_t patience = now_ns() + config.hold_ms * MS;
    if (c->kind == HELD_CONNECT && (!c->deadline || c->deadline > patience)) c->deadline = patience;
}
static void gone(struct call *c) {
    if (c->kind == HELD_CONNECT && !c->done) connect_gone(c);
    if (c->kind == HELD_FILE) file_gone(c);
    else if (c->kind == HELD_UNIX) unix_gone(c);
    else call_end(c);
}
/* The session has not answered in time. */
static void expire(struct call *c) {
    switch (c->kind) {
    case HELD_CONNECT: case HELD_RELAY: connect_expired(c); break;
    case HELD_DATAGRAM: datagram_expired(c); break;
    case HELD_LISTEN: listen_expired(c); break;
    case HELD_UNIX: unix_expired(c, ETIMEDOUT); break;
    case HELD_FILE: file_expired(c); break;
    case HELD_ACCEPT: case HELD_RECEIVE: case HELD_SEND: break; /* no limit */
    }
}
/* Only reads our own memory: for every call. True: the call is to be left alone. */
static bool check_time(struct call *c, uint64_t now) {
    if (!c->attached) { /* the handler may have jumped out of the call, or the process died */
        if (now - c->detached_at > 2000 * MS) gone(c);
        return true;
    }
    if (c->limit && now >= c->limit) {
        expire(c);
        return true;
    }
    if (c->kind == HELD_UNIX && c->answered) { /* the relay's backlog was full */
        unix_progress(c);
        if (c->over) return true;
    }
    if (!c->deadline || now < c->deadline) return false;
    if (c->kind == HELD_UNIX) {
        unix_expired(c, EAGAIN); /* as natively for SO_SNDTIMEO and a full backlog */
        return true;
    }
    if (c->kind == HELD_CONNECT && !c->hurried) {
        c->hurried = true;
        put_begin(MSG_CONNECT_HURRY);
        put_u64(c->id);
        put_end();
    } else if (c->kind == HELD_ACCEPT || c->kind == HELD_RECEIVE || c->kind == HELD_SEND) {
        if (c->received) answer_value(&c->n, c->received);
        else answer_error(&c->n, EAGAIN);
        call_end(c);
        return true;
    }
    return false;
}
/* Asks the kernel: a cancelled call gives no event on the listener. */
static void check_caller(struct call *c, uint64_t now) {
    if (!c->attached) return;
    if (!notif_valid(&c->n)) {
        /* Interruptible waits (no WAIT_KILLABLE_RECV): the restarted call comes with a new id. */
        if (!killable && (c->kind == HELD_CONNECT || c->kind == HELD_RELAY || c->kind == HELD_LISTEN || c->kind == HELD_UNIX || c->kind == HELD_FILE)) c->attached = false, c->detached_at = now;
        else gone(c);
        return;
    }
    /* The relay is on this machine: its handshake is a matter of microseconds. Disk I/O knows no signals, remote files neither. */
    if (c->kind != HELD_RELAY && c->kind != HELD_FILE) meet_signal(c);
}
/* Every 20 ms while calls are held. The kernel looks a notification up in a list of all, so with 10,000 held calls a look at each takes
 * seconds: they take turns within the budget. */
void calls_tick(void) {
    uint64_t now = now_ns();
    for (struct call *c = call_each(NULL); c; c = call_each(c)) check_time(c, now);
    for (unsigned left = count; left > 0 && now_ns() - now < CHECK_BUDGET; left--) {
        struct call *c = next_check ? next_check : calls;
        if (!c) break;
        next_check = c->next;
        check_caller(c, now);
    }
}
