/* supervisor.c - the inner process: one loop over the listener, its children, the reaper, the session and the
 * sockets of held calls. */
#include "trap.h"
#include <linux/audit.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/wait.h>

#define TICK (20 * MS)            /* held calls */
#define LISTENER_CHECK (150 * MS) /* listeners that closed */

static int reaper_fd = -1, children_fd = -1;
static pid_t program;
static bool killing, program_ended;
/* Tags of the epoll set; any other one knows itself what to do. */
static struct watcher tag_children, tag_reaper, tag_session;

void kill_tree(void) { killing = true; }

static void on_connect_answer(struct reader *r) {
    uint64_t id = get_u64(r);
    uint8_t outcome = get_u8(r);
    int32_t error = (int32_t)get_u32(r);
    struct addr relay = get_addr(r), local = get_addr(r);
    if (outcome > OUTCOME_PENDING || ((outcome == OUTCOME_RELAY || outcome == OUTCOME_PENDING) && !relay.family) || (outcome == OUTCOME_ERRNO && (error < 1 || error > 133))) r->bad = true;
    if (r->bad || pending_answered(id, outcome, error, &local)) return;
    struct call *c = call_by_id(HELD_CONNECT, id);
    if (!c) { /* of datagrams, or gone meanwhile: the session was told */
        datagram_answered(id, outcome, error, &relay);
        return;
    }
    c->outcome = outcome;
    c->error = error;
    c->relay = relay;
    c->local = local;
    connect_answered(c);
}
void wire_dispatch(uint8_t type, struct reader *r) {
    switch (type) {
    case MSG_CONNECT_ANSWER: on_connect_answer(r); break;
    case MSG_LISTEN_ANSWER: {
        uint64_t id = get_u64(r);
        int32_t error = (int32_t)get_u32(r);
        if (error < 0 || error > 133) r->bad = true;
        if (!r->bad) listen_answered(id, error);
        break;
    }
    case MSG_PEER: {
        struct addr source = get_addr(r), peer = get_addr(r), local = get_addr(r);
        if (!source.family || !peer.family) r->bad = true;
        if (!r->bad) peer_register(&source, &peer, &local);
        break;
    }
    case MSG_PEER_GONE: {
        struct addr source = get_addr(r);
        if (!r->bad) peer_forget(&source);
        break;
    }
    case MSG_SIGNAL_TREE: {
        int signal = get_u8(r);
        if (signal < 1 || signal >= NSIG) r->bad = true;
        if (!r->bad) tree_signal(getpid(), signal);
        break;
    }
    case MSG_SIGNAL_PROGRAM: {
        int signal = get_u8(r);
        if (signal < 1 || signal >= NSIG) r->bad = true;
        if (!r->bad && !program_ended) kill(program, signal); /* not collected yet: the number is still its own */
        break;
    }
    case MSG_KILL_TREE: kill_tree(); break;
    case MSG_FILE_ANSWER: file_answered(r); break;
    case MSG_CONNECT_UNIX_ANSWER: unix_answered(r); break;
    case MSG_FILES_CHANGED: files_changed(); break;
    case MSG_FILE_BUSY: {
        uint64_t id = get_u64(r);
        if (!r->bad) file_busy(id);
        break;
    }
    default: r->bad = true;
    }
}

static void foreign(const notif *n) {
    static pid_t told;
    pid_t process = process_of(n->pid);
    if (told != process) warn("process %d runs a program of another architecture, which cannot be intercepted: its system calls fail", process);
    told = process;
    answer_error(n, ENOSYS);
}
static void handle(const notif *n) {
#if defined(__x86_64__)
    if (n->data.arch != AUDIT_ARCH_X86_64) {
#else
    if (n->data.arch != AUDIT_ARCH_AARCH64) {
#endif
        foreign(n);
        return;
    }
    if (restart_passes(n)) return;
    if (process_skipped(n) && n->data.nr != SYS_seccomp) {
        answer_continue(n);
        return;
    }
    if (on_process(n) || on_net(n) || on_file(n)) return;
    answer_continue(n);
}

static void report_exit(int status) {
    program_ended = true;
    put_begin(MSG_EXITED);
    put_u32((uint32_t)program);
    put_u32(WIFEXITED(status) ? (uint32_t)WEXITSTATUS(status) : 0);
    put_u8(WIFSIGNALED(status) ? (uint8_t)WTERMSIG(status) : 0);
    put_end();
}
/* Job control: whoever started the program stops and goes on with it. Signal 0: it goes on. */
static void report_stop(int signal) {
    put_begin(MSG_STOPPED);
    put_u8((uint8_t)signal);
    put_end();
}
static bool reap(void) { /* false: no children left, so no tree */
    for (;;) {
        int status;
        pid_t p = waitpid(-1, &status, WNOHANG | WUNTRACED | WCONTINUED);
        if (p == 0) return true;
        if (p < 0) return errno != ECHILD;
        if (WIFCONTINUED(status)) {
            if (p == program) report_stop(0);
            continue;
        }
        if (WIFSTOPPED(status)) {
            if (!restart_stopped(p, status) && p == program) report_stop(WSTOPSIG(status));
            continue;
        }
        restart_ended(p);
        if (p == program && !program_ended) report_exit(status);
    }
}

/* Of a container: the session's relays and our listeners are on loopback addresses, so both must mean the same ones. */
static bool same_network(void) {
    char own[64];
    if (!*config.network) return true;
    ssize_t n = readlink("/proc/self/ns/net", own, sizeof own - 1);
    return n > 0 && (size_t)n == strlen(config.network) && !memcmp(own, config.network, (size_t)n);
}
static bool start(void) {
    static struct filter f;
    struct spawned s = {.stage = STAGE_MEMORY};
    if (!same_network()) {
        s.stage = STAGE_NETWORK;
        s.error = ENETUNREACH;
    } else if (config.intercept) s.error = -access_find();
    if (s.error) goto failed;
    filter_program(&f);
    spawn(&s, &f);
    if (s.error) goto failed;
    program = s.pid;
    listener_fd = s.listener;
    killable = s.killable;
    process_first(program);
    put_begin(MSG_STARTED);
    put_u32((uint32_t)program);
    put_u8((uint8_t)((s.killable ? STARTED_KILLABLE : 0) | (s.sync_wake ? STARTED_SYNC_WAKE_UP : 0) | (without_getfd ? STARTED_WITHOUT_GETFD : 0)));
    put_end();
    return true;
failed:
    put_begin(MSG_FAILED);
    put_u8((uint8_t)s.stage);
    put_u32((uint32_t)s.error);
    put_end();
    return false;
}
static void settle(void) { /* after the program has its own copies of all of this */
    struct rlimit limit;
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    for (int i = 0; i < 3 && null >= 0; i++) dup2(null, i); /* our copies would keep the program's pipes open */
    if (null > 2) close(null);
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
    /* A call that we have not received yet is one that a signal may interrupt: for root, before others on a busy machine. */
    setpriority(PRIO_PROCESS, 0, -10);
    spare_keep(true);
}
static bool hello(void) {
    uint8_t type;
    struct reader r;
    if (!wire_next(&type, &r)) return false;
    if (type == MSG_HELLO && config_read(&r)) return true;
    put_begin(MSG_FATAL);
    put_string("a malformed hello");
    put_end();
    wire_flush();
    return false;
}
static uint64_t next_deadline(uint64_t next_tick, uint64_t next_check) {
    uint64_t now = now_ns(), next = UINT64_MAX;
    if (killing) return now + 3 * MS;
    if (kept_any()) return now + 5 * MS;
    if (listeners_any()) next = next_check;
    if (calls_any() && next_tick < next) next = next_tick;
    if (made_due() && made_due() < next) next = made_due();
    if (objects_due() && objects_due() < next) next = objects_due();
    return next;
}
static void session_writable(bool wanted) {
    static bool watching;
    if (wire_fd < 0 || wanted == watching) return;
    epoll_watch(wire_fd, wanted ? EPOLLIN | EPOLLOUT : EPOLLIN, &tag_session, true);
    watching = wanted;
}

static void session_lost(void) { /* without it every answer would be missing: nothing runs on unconnected */
    if (wire_fd < 0) return;
    epoll_forget(wire_fd);
    wire_close();
    kill_tree();
}
static void on_event(struct watcher *tag, uint32_t events) {
    if (tag == &tag_session) {
        if (!wire_receive(false)) session_lost();
    } else if (tag == &tag_reaper) {
        epoll_forget(reaper_fd);
        kill_tree();
    } else if (tag != &tag_children) tag->ready(tag, events);
}

/* The last words. The session closes when it has read them; if we closed first, a message of its own on the way would
 * fail, and take what it has not read yet with it. */
static void farewell(void) {
    objects_end();
    listeners_end();
    bridges_end();
    put_begin(MSG_TREE_EMPTY);
    put_end();
    epoll_forget(children_fd);
    epoll_forget(reaper_fd);
    for (uint64_t until = now_ns() + 10000 * MS; wire_fd >= 0 && now_ns() < until;) {
        if (!wire_flush()) return;
        struct pollfd session = {.fd = wire_fd, .events = (short)(wire_pending() ? POLLIN | POLLOUT : POLLIN)};
        if (poll(&session, 1, 1000) == 1 && (session.revents & ~POLLOUT) && !wire_receive(false)) return;
    }
}
int supervise(int reaper_pidfd) {
    sigset_t child;
    struct epoll_event events[64];
    reaper_fd = reaper_pidfd;
    wire_open(3);
    prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    if (!hello()) return 1;
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    sigprocmask(SIG_BLOCK, &child, NULL);
    children_fd = signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK);
    if (!wait_open() || children_fd < 0) return 1;
    if (!start()) {
        wire_flush();
        return 0;
    }
    settle();
    epoll_watch(children_fd, EPOLLIN, &tag_children, false);
    epoll_watch(reaper_fd, EPOLLIN, &tag_reaper, false);
    epoll_watch(wire_fd, EPOLLIN, &tag_session, false);
    if (listener_fd >= 0) wait_start();

    uint64_t next_tick = 0, next_check = 0;
    if (!wire_receive(false)) session_lost(); /* what came together with the hello gives no event any more */
    for (bool ended = false;;) {
        if (!wire_flush() && wire_fd >= 0) session_lost();
        session_writable(wire_pending());
        notif call;
        int n = wait_next(events, 64, next_deadline(next_tick, next_check), !killing && !kept_any() && !calls_asking(), &call);
        if (call.id) handle(&call);
        for (int i = 0; i < n; i++) {
            if (events[i].data.ptr == &tag_children) {
                struct signalfd_siginfo info;
                while (read(children_fd, &info, sizeof info) == sizeof info) continue;
                ended = true;
            } else on_event(events[i].data.ptr, events[i].events);
        }
        uint64_t now = now_ns();
        if (now >= next_tick) {
            calls_tick();
            next_tick = now + TICK;
        }
        if (now >= next_check) {
            listeners_check();
            next_check = now + LISTENER_CHECK;
        }
        if (ended) made_soon();
        if (made_due() && now >= made_due()) made_tick();
        if (objects_due() && now >= objects_due()) objects_tick(now);
        if (kept_any()) kept_tick();
        calls_sweep();
        bridges_sweep();
        /* Not on every turn: whatever comes between an answer and our sleep delays the answered process. */
        if ((ended || killing) && !reap()) break;
        ended = false;
        if (killing) tree_signal(getpid(), SIGKILL);
    }
    farewell();
    return 0;
}
