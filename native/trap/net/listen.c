/* listen.c - listen(2): the session knows the port before the call returns. */
#include "trap.h"

static unsigned tracked, by_address; /* the latter: those known by their address only */

/* The listener of this tree that `destination` (loopback or unspecified) reaches by the port it asked for. */
struct sock *listener_for(const struct addr *destination) {
    if (!tracked || !(addr_loopback(destination) || addr_unspecified(destination))) return NULL;
    struct sock *any = NULL;
    for (struct sock *s = sock_each(NULL); s; s = sock_each(s)) {
        if (!s->listening) continue;
        uint16_t port = s->asked.port ? s->asked.port : s->actual.port;
        if (port != destination->port) continue;
        if (addr_same_ip(&s->actual, destination)) return s;
        if (addr_unspecified(&s->actual) && (s->actual.family == destination->family || s->actual.family == 6)) any = s;
    }
    return any;
}
bool listeners_any(void) { return tracked > 0; }

/* Marks the listeners found in one of the kernel's tables. It lists listeners first (net/ipv4/tcp_ipv4.c:
 * TCP_SEQ_STATE_LISTENING), so reading ends at the first line that is not one: cheap with any number of connections. */
static void mark(const char *path, bool ipv6, const struct sock *wanted, bool *found) {
    spare_keep(false);
    FILE *f = fopen(path, "re");
    char line[512];
    bool heading = true;
    while (f && fgets(line, sizeof line, f)) {
        char ip[40];
        unsigned port, state;
        unsigned long long inode;
        if (heading) {
            heading = false;
            continue;
        }
        if (sscanf(line, " %*d: %39[0-9A-F]:%x %*s %x %*s %*s %*s %*s %*s %llu", ip, &port, &state, &inode) != 4) continue;
        if (state != 0x0a) break;
        if (wanted) {
            *found |= inode == wanted->inode;
            continue;
        }
        struct sock *known = sock_find_inode(inode);
        if (known && !known->by_address) known->listen_seen = true;
        for (struct sock *s = by_address ? sock_each(NULL) : NULL; s; s = sock_each(s))
            if (s->listening && s->by_address && s->actual.port == port && (ipv6 || s->actual.family == 4)) s->listen_seen = true;
    }
    if (f) fclose(f);
    spare_keep(true);
}
static bool listed(const struct sock *s) {
    bool found = false;
    mark("/proc/self/net/tcp", false, s, &found);
    mark("/proc/self/net/tcp6", true, s, &found);
    return found;
}
static void forget(struct sock *s) {
    s->listening = false;
    tracked--;
    by_address -= s->by_address;
}
static void hold(const notif *n, const struct sock *s) {
    struct call *c = call_hold(HELD_LISTEN, n, -1, 0);
    c->id = s->listener_id;
    c->cookie = s->cookie;
}
static void report(const notif *n, struct sock *s, const struct info *i) {
    s->listening = true;
    s->by_address = i->protocol != IPPROTO_TCP && !listed(s); /* MPTCP listeners show the inode of their inner socket: those go by their port */
    s->listener_id = next_id();
    tracked++;
    by_address += s->by_address;
    put_begin(MSG_LISTEN);
    put_u64(s->listener_id);
    put_u32((uint32_t)process_of(n->pid));
    put_u8(config.incoming);
    put_addr(&s->asked);
    put_addr(&s->actual);
    put_end();
}
void on_listen(const notif *n) {
    struct info i;
    struct addr name;
    int fd = fd_duplicate(n->pid, (int)n->data.args[0]);
    if (fd < 0) mem_refused(n->pid, fd, "listen");
    int64_t inode = fd == -NOT_MADE ? socket_inode(n->pid, (int)n->data.args[0]) : -1;
    if (inode >= 0 && !inode_is_unix((uint64_t)inode)) made_elsewhere(n->pid, "listens on", "Its port is not reported");
    /* A socket that was never bound listens where the kernel likes: nobody can ask for it by port. */
    if (fd < 0 || !sock_info(fd, &i) || !info_is_tcp(&i) || !sock_kernel_name(fd, &name) || name.port == 0) {
        if (fd >= 0) fd_release(fd);
        answer_continue(n);
        return;
    }
    struct sock *known = sock_find(i.cookie);
    if (known && known->listening) {
        struct call *earlier = call_by_cookie(HELD_LISTEN, i.cookie);
        if (earlier && call_away(earlier)) { /* back from a signal handler */
            earlier->n = *n;
            earlier->attached = true;
            if (earlier->answered) {
                answer_result(n, earlier->error);
                call_end(earlier);
            }
            fd_release(fd);
            return;
        }
        if (earlier) { /* another thread: the same outcome */
            hold(n, known);
            fd_release(fd);
            return;
        }
        fd_release(fd);
        answer_continue(n); /* a new backlog */
        return;
    }
    if (!notif_valid(n)) {
        fd_release(fd);
        return;
    }
    int error = listen(fd, (int)n->data.args[1]) ? errno : 0;
    fd_release(fd); /* a duplicate kept longer would keep the port after the program's close */
    if (error) {
        answer_error(n, error);
        return;
    }
    struct sock *s = sock_make(&i);
    if (!s->bound) {
        s->bound = true;
        s->asked = s->actual = name;
    }
    report(n, s, &i);
    if (config.incoming) hold(n, s);
    else answer_value(n, 0);
}
/* Refused by the session: the program's socket stops listening again, as after a listen(2) that failed. */
static void undo(const struct call *c) {
    int fd = fd_duplicate(c->n.pid, (int)c->n.data.args[0]);
    struct info i;
    if (fd >= 0 && sock_info(fd, &i) && i.cookie == c->cookie) shutdown(fd, SHUT_RD); /* tcp(7): a listener becomes idle */
    if (fd >= 0) fd_release(fd);
}
void listen_answered(uint64_t id, int error) {
    bool undone = false;
    for (struct call *c = call_each(NULL); c; c = call_each(c)) {
        if (c->kind != HELD_LISTEN || c->id != id) continue;
        struct sock *s = sock_find(c->cookie);
        if (error && !undone) {
            undo(c);
            undone = true;
            if (s && s->listening && s->listener_id == id) forget(s);
        }
        if (call_away(c)) {
            c->answered = true;
            c->error = -error;
            continue;
        }
        answer_result(&c->n, -error);
        call_end(c);
    }
}

static void closed(struct sock *s);
/* The session does not know in time whether the port is to be had. The listener ends, and the session is told so: it may still subscribe. */
void listen_expired(struct call *c) {
    struct sock *s = sock_find(c->cookie);
    uint64_t id = c->id;
    warn("listen of process %d: no answer in %u s", process_of(c->n.pid), config.limit_ms.listen / 1000);
    if (s && s->listening && s->listener_id == id) closed(s);
    listen_answered(id, ETIMEDOUT);
}
static void closed(struct sock *s) {
    forget(s);
    put_begin(MSG_LISTENER_CLOSED);
    put_u64(s->listener_id);
    put_end();
}
void listeners_check(void) {
    if (!tracked) return;
    for (struct sock *s = sock_each(NULL); s; s = sock_each(s)) s->listen_seen = false;
    mark("/proc/self/net/tcp", false, NULL, NULL);
    mark("/proc/self/net/tcp6", true, NULL, NULL);
    for (struct sock *s = sock_each(NULL); s; s = sock_each(s)) {
        if (s->listening && !s->listen_seen) closed(s);
    }
}
void listeners_end(void) { /* nobody is left to hold one, but duplicates of ours that the next tick would close */
    for (struct sock *s = sock_each(NULL); s; s = sock_each(s))
        if (s->listening) closed(s);
}
