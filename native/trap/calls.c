/* calls.c - held calls: found again by readiness of their duplicate, by the session's answer, or by the tick. */
#include "trap.h"
#include <sys/epoll.h>

static struct call *calls;

struct call *call_hold(enum kind kind, const notif *n, int fd, uint32_t watch) {
    struct call *c = calloc(1, sizeof *c);
    if (!c) abort();
    c->kind = kind;
    c->n = *n;
    c->attached = true;
    c->fd = fd;
    c->next = calls;
    calls = c;
    if (watch) call_watch(c, watch);
    return c;
}
void call_watch(struct call *c, uint32_t events) {
    if (c->fd < 0) return;
    if (!events && c->watching) epoll_forget(c->fd);
    if (events) epoll_watch(c->fd, events, c, c->watching != 0);
    c->watching = events;
}
/* The duplicate is closed at once (it keeps a port bound, a FIN unsent); the memory goes when no epoll event in hand
 * can still name it. */
void call_end(struct call *c) {
    call_watch(c, 0);
    if (c->fd >= 0) close(c->fd);
    c->fd = -1;
    c->over = true;
}
struct call *call_each(struct call *previous) {
    struct call *c = previous ? previous->next : calls;
    while (c && c->over) c = c->next;
    return c;
}
struct call *call_by_id(enum kind kind, uint64_t id) {
    for (struct call *c = call_each(NULL); c; c = call_each(c))
        if (c->kind == kind && c->id == id) return c;
    return NULL;
}
struct call *call_by_cookie(enum kind kind, uint64_t cookie) {
    for (struct call *c = call_each(NULL); c; c = call_each(c))
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
bool calls_any(void) { return call_each(NULL) != NULL; }
void calls_sweep(void) {
    struct call **at = &calls, *c;
    while ((c = *at)) {
        if (!c->over) {
            at = &c->next;
            continue;
        }
        *at = c->next;
        free(c);
    }
}
void calls_ready(struct call *c) {
    if (c->over) return;
    switch (c->kind) {
    case HELD_ACCEPT: if (accept_attempt(c)) call_end(c); break;
    case HELD_RECEIVE: if (receive_attempt(c)) call_end(c); break;
    case HELD_RELAY: connect_progress(c); break;
    case HELD_CONNECT: case HELD_LISTEN: case HELD_DATAGRAM: break; /* not watched */
    }
}

/* A signal waits for a thread that we hold: natively the call would be interrupted. accept and receive restart or give
 * EINTR by the handler's SA_RESTART. connect and listen are already under way in the session and cannot be given back
 * half-done, so they always restart, and find their question again. */
static void meet_signal(struct call *c) {
    enum pending pending = killable ? signal_pending(c->n.pid) : PENDING_NONE;
    if (pending == PENDING_NONE) return;
    bool interruptible = c->kind == HELD_ACCEPT || c->kind == HELD_RECEIVE;
    if (pending == PENDING_MAYBE && !interruptible) return;
    if (interruptible) {
        answer_error(&c->n, pending == PENDING_CERTAIN ? ERESTARTSYS_KERNEL : EINTR);
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
    if (c->kind == HELD_CONNECT) connect_gone(c);
    call_end(c);
}
/* Every 20 ms while calls are held: a cancelled call gives no event on the listener. */
void calls_tick(void) {
    uint64_t now = now_ns();
    for (struct call *c = call_each(NULL); c; c = call_each(c)) {
        if (!c->attached) { /* the handler may have jumped out of the call, or the process died */
            if (now - c->detached_at > 2000 * MS) gone(c);
            continue;
        }
        if (!notif_valid(&c->n)) {
            /* Interruptible waits (no WAIT_KILLABLE_RECV): the restarted call comes with a new id. */
            if (!killable && (c->kind == HELD_CONNECT || c->kind == HELD_LISTEN)) c->attached = false, c->detached_at = now;
            else gone(c);
            continue;
        }
        if (c->deadline && now >= c->deadline) {
            if (c->kind == HELD_CONNECT) {
                if (!c->hurried) {
                    c->hurried = true;
                    put_begin(MSG_CONNECT_HURRY);
                    put_u64(c->id);
                    put_end();
                }
            } else if (c->kind == HELD_ACCEPT || c->kind == HELD_RECEIVE) {
                answer_error(&c->n, EAGAIN);
                call_end(c);
                continue;
            }
        }
        if (c->kind != HELD_RELAY) meet_signal(c); /* the relay is on this machine: its handshake is a matter of microseconds */
    }
}
