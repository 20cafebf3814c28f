/* wait.c - waiting for the next notification, or for anything else.
 *
 * The kernel wakes a reader of the listener on the processor of the calling thread (SYNC_WAKE_UP), but one that polls it wherever it likes: an
 * idle processor costs five times as much as the notification itself. So while nothing of ours is outstanding we wait in the ioctl that
 * receives. What else may happen is watched by a second thread, which does nothing but interrupt that ioctl: everything is still done by the first.
 * As long as an answer of the session is awaited, or other events come between, we poll: then no second thread lies in between. */
#include "trap.h"
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>

#define STREAK 8 /* notifications in a row before we wait for the next one in the ioctl */
#define KICK SIGUSR1

static int others = -1, timer = -1; /* everything but the listener; a member of it: the deadline while we are in the ioctl */
static struct watcher timer_watcher;
static uint64_t timer_at = UINT64_MAX;
static bool direct, no_watch, listener_over;
static unsigned streak;
static pid_t us;
static _Atomic uint32_t armed; /* 1: the second thread may interrupt us, once; whoever takes it back decides whether it has */
static _Atomic bool parked;
static volatile sig_atomic_t receiving, kicked;
static sigjmp_buf out;

void epoll_watch(int fd, uint32_t events, struct watcher *w, bool change) {
    struct epoll_event e = {.events = events, .data = {.ptr = w}};
    if (epoll_ctl(others, change ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, &e)) warn("a descriptor cannot be watched: %s", strerror(errno));
}
void epoll_forget(int fd) { epoll_ctl(others, EPOLL_CTL_DEL, fd, NULL); }

/* ---- the second thread ---- */

static void *watch(void *unused) {
    struct pollfd p = {.fd = others, .events = POLLIN};
    (void)unused;
    for (;;) {
        parked = true;
        while (!armed) syscall(SYS_futex, &armed, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0);
        parked = false;
        if (poll(&p, 1, -1) > 0 && __atomic_exchange_n(&armed, 0, __ATOMIC_SEQ_CST)) syscall(SYS_tgkill, getpid(), us, KICK);
    }
    return NULL;
}
/* EINTR alone would not do: the signal may come just before the ioctl begins. */
static void on_kick(int number) {
    (void)number;
    kicked = 1;
    if (receiving) siglongjmp(out, 1);
}
static void timer_over(struct watcher *w, uint32_t events) {
    uint64_t times;
    (void)w, (void)events;
    timer_at = UINT64_MAX;
    if (read(timer, &times, sizeof times) < 0) return;
}
bool wait_open(void) {
    others = epoll_create1(EPOLL_CLOEXEC);
    timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    if (others < 0 || timer < 0) return false;
    timer_watcher.ready = timer_over;
    epoll_watch(timer, EPOLLIN, &timer_watcher, false);
    return true;
}
/* After the program has been started: its processes are made by one thread alone. */
void wait_start(void) {
    struct sigaction action = {.sa_handler = on_kick, .sa_flags = SA_RESTART | SA_NODEFER};
    sigset_t all, before;
    pthread_attr_t attributes;
    pthread_t thread;
    us = getpid();
    sigaction(KICK, &action, NULL);
    sigfillset(&all);
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = pthread_create(&thread, &attributes, watch, NULL);
    sigdelset(&before, KICK);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    no_watch = error != 0;
    if (error) warn("mirrord-trap cannot make a second thread (%s): intercepted calls take longer", strerror(error));
}

/* ---- the first ---- */

static void timer_set(uint64_t deadline) {
    if (deadline == timer_at) return;
    struct itimerspec when = {.it_value = {.tv_sec = (time_t)(deadline / 1000000000), .tv_nsec = (long)(deadline % 1000000000)}};
    if (deadline == UINT64_MAX) when.it_value = (struct timespec){0, 0};
    timerfd_settime(timer, TFD_TIMER_ABSTIME, &when, NULL);
    timer_at = deadline;
}
/* In the ioctl; false: interrupted. No signal is left over afterwards: it would end the ioctl that hands a descriptor over, whose caller would then
 * get 0. What was received counts even when the signal came on the way back. */
static bool receive(notif *n) {
    memset(n, 0, sizeof *n);
    kicked = 0;
    armed = 1;
    if (parked) syscall(SYS_futex, &armed, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
    if (sigsetjmp(out, 0) == 0) {
        receiving = 1;
        if (!kicked) notif_receive(n);
    }
    receiving = 0;
    bool interrupted = !__atomic_exchange_n(&armed, 0, __ATOMIC_SEQ_CST);
    while (interrupted && !kicked) sched_yield();
    if (!interrupted && n->id) return true;
    direct = false; /* without a kick: the caller left, or no task has the filter any more, which polling tells apart */
    streak = 0;
    return n->id != 0;
}
static int other_events(struct epoll_event *events, int max, int timeout) {
    int n = epoll_wait(others, events, max, timeout);
    return n < 0 ? 0 : n;
}
int wait_next(struct epoll_event *events, int max, uint64_t deadline, bool quiet, notif *n) {
    n->id = 0;
    if (!quiet) direct = false;
    else if (streak >= STREAK && !no_watch && !listener_over) direct = true;
    if (direct) {
        timer_set(deadline);
        return receive(n) ? 0 : other_events(events, max, 0);
    }
    struct pollfd p[2] = {{.fd = listener_over ? -1 : listener_fd, .events = POLLIN}, {.fd = others, .events = POLLIN}};
    uint64_t now = now_ns(), left = deadline == UINT64_MAX ? 0 : deadline > now ? deadline - now : 0;
    struct timespec timeout = {.tv_sec = (time_t)(left / 1000000000), .tv_nsec = (long)(left % 1000000000)};
    if (ppoll(p, 2, deadline == UINT64_MAX ? NULL : &timeout, NULL) <= 0) return 0;
    if (p[0].revents & POLLIN) {
        if (notif_receive(n)) streak++;
        else n->id = 0;
    } else if (p[0].revents) listener_over = true; /* POLLHUP: no task has the filter any more */
    if (!p[1].revents) return 0;
    streak = 0;
    return other_events(events, max, 0);
}
