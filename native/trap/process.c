/* process.c - descriptors, thread groups and pending signals of the tree. */
#include "trap.h"
#include <dirent.h>
#include <sys/time.h>
#include <time.h>

#ifndef PIDFD_THREAD
#define PIDFD_THREAD O_EXCL /* kernel 6.9 */
#endif

struct status { unsigned long long own, shared, blocked, ignored; int threads, tgid, tracer; char state; };

static unsigned long long signals(const char *text, const char *name) {
    const char *at = proc_field(text, name);
    return at ? strtoull(at, NULL, 16) : 0;
}
static int number(const char *text, const char *name) {
    const char *at = proc_field(text, name);
    return at ? atoi(at) : 0;
}
static bool status_read(pid_t tid, struct status *s) {
    const char *text = proc_text(tid, "status"), *state = text ? proc_field(text, "\nState:\t") : NULL;
    memset(s, 0, sizeof *s);
    if (!state) return false;
    s->state = *state;
    s->tgid = number(text, "\nTgid:");
    s->tracer = number(text, "\nTracerPid:");
    s->threads = number(text, "\nThreads:");
    s->own = signals(text, "\nSigPnd:");
    s->shared = signals(text, "\nShdPnd:");
    s->blocked = signals(text, "\nSigBlk:");
    s->ignored = signals(text, "\nSigIgn:");
    return true;
}
bool process_ended(pid_t tid) { /* or about to: a zombie has no descriptors */
    struct status s;
    return !status_read(tid, &s) || s.state == 'Z' || s.state == 'X';
}
pid_t process_of(pid_t tid) {
    struct status s;
    if (syscall(SYS_tgkill, tid, tid, 0) == 0 || errno == EPERM) return tid; /* its first thread: a twentieth of what reading costs */
    return status_read(tid, &s) && s.tgid ? s.tgid : tid;
}
bool process_image(pid_t process, struct image *i) {
    char path[40];
    const char *at = proc_stat(process);
    struct stat exe;
    memset(i, 0, sizeof *i);
    if (!at) return false;
    for (int field = 3; field <= 48 && at; field++, at = strchr(at, ' '), at = at ? at + 1 : NULL) {
        if (field == 4) i->parent = atoi(at);
        else if (field == 22) i->started = strtoull(at, NULL, 10);
        else if (field == 28) i->stack = strtoull(at, NULL, 10);
        else if (field == 48) i->arguments = strtoull(at, NULL, 10);
    }
    snprintf(path, sizeof path, "/proc/%d/exe", process);
    if (stat(path, &exe) == 0) i->device = exe.st_dev, i->inode = exe.st_ino;
    return true;
}
void process_name(pid_t process, char *to, size_t cap) {
    const char *text = proc_text(process, "comm");
    snprintf(to, cap, "%.*s", text ? (int)strcspn(text, "\n") : 0, text ? text : "");
}
pid_t tracer_of(pid_t tid) {
    struct status s;
    return status_read(tid, &s) ? s.tracer : 0;
}
int fd_duplicate(pid_t tid, int fd) {
    if (without_getfd) return made_duplicate(tid, fd);
    static bool no_thread_pidfd;
    int p = no_thread_pidfd ? -1 : (int)syscall(SYS_pidfd_open, tid, PIDFD_THREAD);
    if (p < 0 && (no_thread_pidfd || errno == EINVAL)) {
        no_thread_pidfd = true;
        p = (int)syscall(SYS_pidfd_open, process_of(tid), 0);
    }
    if (p < 0) return -errno;
    int d = (int)syscall(SYS_pidfd_getfd, p, fd, 0), e = errno;
    close(p);
    return d < 0 ? -e : d;
}
/* A free number in a window, or -1. From the top: the kernel hands out the lowest, so nobody else is about to take ours. Descriptors come in a row:
 * the search goes on below the last one, and a full window is not searched again at once. */
int fd_free(pid_t tid, int low, int high) {
    static struct recent { pid_t tid; int low, last; uint64_t full_until; } windows[4];
    struct recent *r = windows;
    while (r->low && r->low != low && r < &windows[3]) r++;
    if (r->low != low || r->tid != tid) *r = (struct recent){tid, low, low, 0};
    if (now_ns() < r->full_until) return -1;
    int size = high - low, start = r->last - low + size - 1;
    for (int i = 0; i < size; i++) {
        int at = low + (start - i) % size;
        char path[40];
        struct stat st;
        snprintf(path, sizeof path, "/proc/%d/fd/%d", tid, at);
        if (lstat(path, &st) == 0) continue;
        if (errno != ENOENT) return -1;
        r->last = at;
        return at;
    }
    r->full_until = now_ns() + 50 * MS;
    return -1;
}
/* One leader is asked about for each of its held threads, on the same tick. */
static const struct status *leader_status(pid_t tgid) {
    static struct status leader;
    static uint64_t at;
    uint64_t now = now_ns();
    if (leader.tgid != tgid || now - at > 2 * MS) {
        at = now;
        if (!status_read(tgid, &leader)) leader.tgid = 0;
    }
    return leader.tgid ? &leader : NULL;
}
/* SIGCHLD goes to the thread that made the child, not to the main one (do_notify_parent() in kernel/signal.c). */
#define CHILD (1ull << (SIGCHLD - 1))
static bool has_children(pid_t tid) {
    char name[40];
    snprintf(name, sizeof name, "task/%d/children", tid);
    return proc_text(tid, name) != NULL;
}
static enum pending child_pending(pid_t tid, pid_t tgid) {
    char path[40];
    struct dirent *e;
    bool mine = has_children(tid), others = false;
    struct status s;
    snprintf(path, sizeof path, "/proc/%d/task", tgid);
    DIR *tasks = opendir(path);
    while (tasks && !others && (e = readdir(tasks))) {
        pid_t other = (pid_t)atoi(e->d_name);
        others = other > 0 && other != tid && has_children(other) && status_read(other, &s) && !(s.blocked & CHILD);
    }
    if (tasks) closedir(tasks);
    if (mine) return others ? PENDING_MAYBE : PENDING_CERTAIN;
    return others || tid != tgid ? PENDING_NONE : PENDING_MAYBE;
}
/* A signal sent to the process goes to its main thread unless that one blocks it: only then can it be another's.
 * PENDING_CERTAIN matters: a restart code without a pending signal would leak errno 512 to the program. */
enum pending signal_pending(pid_t tid) {
    struct status s;
    if (!status_read(tid, &s)) return PENDING_NONE;
    const struct status *leader = tid == s.tgid ? NULL : leader_status(s.tgid);
    /* Stopped (SIGSTOP, ^Z): the kernel wants every thread to stop, which no field shows, and only then tells the parent. */
    if (leader && leader->state == 'T') return PENDING_CERTAIN;
    if (s.own & ~s.blocked & ~s.ignored) return PENDING_CERTAIN;
    unsigned long long shared = s.shared & ~s.blocked & ~s.ignored;
    if (!shared) return PENDING_NONE;
    if (s.threads == 1) return PENDING_CERTAIN;
    if (shared == CHILD) {
        enum pending child = child_pending(tid, s.tgid);
        if (child != PENDING_NONE || tid == s.tgid) return child;
    }
    if (tid == s.tgid) return PENDING_CERTAIN;
    return leader && (shared & leader->blocked) ? PENDING_MAYBE : PENDING_NONE;
}

uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000ull + (uint64_t)t.tv_nsec;
}

static void on_alarm(int number) { (void)number; }
/* Repeating, so that a tick between arming and the call is not the only one; its handler lacks SA_RESTART. Not timer_create(2), which fails when
 * the user's queue of signals is full (RLIMIT_SIGPENDING), and the program can fill it. */
void interrupt_begin(void) {
    static bool ready;
    struct sigaction action = {.sa_handler = on_alarm};
    if (!ready) ready = sigaction(SIGALRM, &action, NULL) == 0;
    setitimer(ITIMER_REAL, &(struct itimerval){{0, 5000}, {0, 5000}}, NULL);
}
void interrupt_end(void) { setitimer(ITIMER_REAL, &(struct itimerval){{0, 0}, {0, 0}}, NULL); }
void fd_release(int fd) {
    struct linger l = {0, 0};
    socklen_t n = sizeof l;
    bool lingers = getsockopt(fd, SOL_SOCKET, SO_LINGER, &l, &n) == 0 && l.l_onoff && l.l_linger;
    if (lingers) interrupt_begin();
    close(fd);
    if (lingers) interrupt_end();
}
