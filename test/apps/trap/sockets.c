/* sockets MODE ARGUMENTS - small socket programs, one a mode, each printing what the kernel (or the trap) told it. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static struct sockaddr_in to(const char *ip, const char *port) {
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port))};
    inet_pton(AF_INET, ip, &a.sin_addr);
    return a;
}
static const char *text(const struct sockaddr_in *a) {
    static char out[4][40];
    static int i;
    char *o = out[i++ % 4];
    snprintf(o, 40, "%s:%d", inet_ntoa(a->sin_addr), ntohs(a->sin_port));
    return o;
}
static const char *error_name(int r, int e) { return r < 0 ? strerrorname_np(e) : "ok"; }
static void names(int fd) {
    struct sockaddr_in peer, own;
    socklen_t n = sizeof peer, m = sizeof own;
    int r = getpeername(fd, (void *)&peer, &n), e = errno;
    getsockname(fd, (void *)&own, &m);
    printf("peer %s own %s\n", r ? error_name(r, e) : text(&peer), text(&own));
}
static void data(int fd) {
    char buffer[200];
    ssize_t k = recv(fd, buffer, sizeof buffer - 1, 0);
    int e = errno;
    if (k < 0) printf("data %s\n", strerrorname_np(e));
    else printf("data %.*s\n", (int)k, buffer);
}
static int so_error(int fd) {
    int e = -1;
    socklen_t n = sizeof e;
    getsockopt(fd, SOL_SOCKET, SO_ERROR, &e, &n);
    return e;
}
static struct sockaddr_in remote;
static void *one_thread(void *unused) {
    (void)unused;
    int s = socket(AF_INET, SOCK_STREAM, 0), r = connect(s, (void *)&remote, sizeof remote);
    char c;
    return (void *)(long)(r == 0 && recv(s, &c, 1, 0) == 1);
}
static volatile int alarms;
static bool loud;
static void on_alarm(int s) {
    (void)s;
    alarms++;
    if (loud && alarms == 3 && write(1, "alarm 3\n", 8) < 0) _exit(5);
}
static int listener(const char *ip, const char *port) {
    struct sockaddr_in a = to(ip, port);
    int s = socket(AF_INET, SOCK_STREAM, 0), one = 1;
    setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    int r = bind(s, (void *)&a, sizeof a);
    if (r) printf("bind %s\n", error_name(r, errno));
    r = listen(s, 16);
    printf("listen %s\n", error_name(r, errno));
    names(s);
    return s;
}
static int take(int s, const char *who, int flags) {
    struct sockaddr_in a;
    socklen_t n = sizeof a;
    int c = accept4(s, (void *)&a, &n, flags), e = errno;
    printf("%s %s\n", who, c < 0 ? error_name(c, e) : text(&a));
    if (c >= 0) names(c);
    return c;
}

int main(int argc, char **argv) {
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (argc < 4) return 2;
    const char *mode = argv[1];
    remote = to(argv[2], argv[3]);
    int s, r;
    if (!strcmp(mode, "blocking")) {
        s = socket(AF_INET, SOCK_STREAM, 0);
        r = connect(s, (void *)&remote, sizeof remote);
        printf("connect %s\n", error_name(r, errno));
        if (r) return 0;
        names(s);
        r = connect(s, (void *)&remote, sizeof remote);
        printf("again %s\n", error_name(r, errno));
        data(s);
    } else if (!strcmp(mode, "nonblocking")) { /* epoll registered before connect */
        int ep = epoll_create1(0);
        s = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        struct epoll_event e = {.events = EPOLLOUT | EPOLLET, .data.fd = s};
        epoll_ctl(ep, EPOLL_CTL_ADD, s, &e);
        epoll_wait(ep, &e, 1, 0); /* an idle socket is writable with HUP: take that edge away */
        r = connect(s, (void *)&remote, sizeof remote);
        printf("connect %s\n", r < 0 && errno == EINPROGRESS ? "ok" : error_name(r, errno));
        if (r && errno != EINPROGRESS) {
            printf("error %d\n", so_error(s));
            return 0;
        }
        r = epoll_wait(ep, &e, 1, 5000);
        printf("events %d out %d hup %d error %d\n", r, !!(e.events & EPOLLOUT), !!(e.events & EPOLLHUP), so_error(s));
        r = connect(s, (void *)&remote, sizeof remote);
        int first = r ? errno : 0;
        r = connect(s, (void *)&remote, sizeof remote);
        printf("again %s then %s\n", first ? strerrorname_np(first) : "ok", error_name(r, errno));
        fcntl(s, F_SETFL, 0);
        names(s);
        data(s);
    } else if (!strcmp(mode, "dup")) {
        s = socket(AF_INET, SOCK_STREAM, 0);
        int d = dup(s);
        r = connect(d, (void *)&remote, sizeof remote);
        printf("connect %s\n", error_name(r, errno));
        close(d);
        names(s);
        data(s);
    } else if (!strcmp(mode, "threads")) {
        pthread_t t[32];
        long good = 0;
        for (int i = 0; i < 32; i++) pthread_create(&t[i], NULL, one_thread, NULL);
        for (int i = 0; i < 32; i++) {
            void *ok;
            pthread_join(t[i], &ok);
            good += (long)ok;
        }
        printf("threads %ld\n", good);
    } else if (!strcmp(mode, "fork")) { /* the child connects the socket that the parent made, and execs */
        s = socket(AF_INET, SOCK_STREAM, 0);
        char number[12];
        snprintf(number, sizeof number, "%d", s);
        pid_t p = fork();
        if (!p) {
            r = connect(s, (void *)&remote, sizeof remote);
            printf("connect %s\n", error_name(r, errno));
            execl("/proc/self/exe", "sockets", "inherited", number, "0", NULL);
        }
        waitpid(p, NULL, 0);
        data(s);
    } else if (!strcmp(mode, "inherited")) names(atoi(argv[2]));
    else if (!strcmp(mode, "signal")) { /* a handler runs while connect is held; with argv[4]: SA_RESTART */
        struct sigaction a = {.sa_handler = on_alarm};
        struct itimerval every = {{0, 50000}, {0, 50000}};
        if (argc > 4) a.sa_flags = SA_RESTART;
        sigaction(SIGALRM, &a, NULL);
        loud = true;
        s = socket(AF_INET, SOCK_STREAM, 0);
        setitimer(ITIMER_REAL, &every, NULL);
        r = connect(s, (void *)&remote, sizeof remote);
        int e = errno;
        memset(&every, 0, sizeof every);
        setitimer(ITIMER_REAL, &every, NULL);
        printf("connect %s alarms %s\n", error_name(r, e), alarms ? "some" : "none");
        data(s);
    } else if (!strcmp(mode, "bound")) { /* bound to argv[4] first */
        struct sockaddr_in own = to(argv[4], "0");
        s = socket(AF_INET, SOCK_STREAM, 0);
        r = bind(s, (void *)&own, sizeof own);
        printf("bind %s\n", error_name(r, errno));
        r = connect(s, (void *)&remote, sizeof remote);
        printf("connect %s\n", error_name(r, errno));
        data(s);
    } else if (!strcmp(mode, "accept")) { /* two connections: blocking, then non-blocking with poll */
        s = listener(argv[2], argv[3]);
        int c = take(s, "blocking", SOCK_CLOEXEC);
        printf("cloexec %d\n", !!(fcntl(c, F_GETFD) & FD_CLOEXEC));
        fcntl(s, F_SETFL, O_NONBLOCK);
        take(s, "nonblocking", 0);
        struct pollfd p = {s, POLLIN, 0};
        poll(&p, 1, 5000);
        c = take(s, "polled", SOCK_NONBLOCK);
        printf("nonblock %d\n", !!(fcntl(c, F_GETFL) & O_NONBLOCK));
    } else if (!strcmp(mode, "accept-signal")) {
        struct sigaction a = {.sa_handler = on_alarm};
        struct itimerval once = {{0, 0}, {0, 50000}};
        sigaction(SIGALRM, &a, NULL);
        s = listener(argv[2], argv[3]);
        setitimer(ITIMER_REAL, &once, NULL);
        take(s, "interrupted", 0);
        a.sa_flags = SA_RESTART;
        sigaction(SIGALRM, &a, NULL);
        setitimer(ITIMER_REAL, &once, NULL);
        take(s, "restarted", 0);
        printf("alarms %d\n", alarms);
    } else if (!strcmp(mode, "timeout")) {
        s = listener(argv[2], argv[3]);
        struct timeval t = {0, 100000};
        setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t);
        take(s, "timeout", 0);
    } else if (!strcmp(mode, "prefork")) { /* worker 1 is killed while its accept is held; worker 2 serves */
        s = listener(argv[2], argv[3]);
        pid_t w = fork();
        if (!w) {
            take(s, "worker1", 0);
            _exit(0);
        }
        char c;
        if (read(0, &c, 1) != 1) return 3; /* the test says when: worker 1 sleeps in accept by then */
        kill(w, SIGKILL);
        waitpid(w, NULL, 0);
        printf("killed\n");
        take(s, "worker2", 0);
    } else if (!strcmp(mode, "full")) { /* accept fails with EMFILE; the connection is still there for an event loop */
        s = listener(argv[2], argv[3]);
        fcntl(s, F_SETFL, O_NONBLOCK);
        int ep = epoll_create1(0);
        struct epoll_event e = {.events = EPOLLIN};
        epoll_ctl(ep, EPOLL_CTL_ADD, s, &e);
        struct rlimit l, small;
        getrlimit(RLIMIT_NOFILE, &l);
        small = l;
        small.rlim_cur = (rlim_t)ep + 1;
        epoll_wait(ep, &e, 1, 5000);
        setrlimit(RLIMIT_NOFILE, &small);
        take(s, "full", 0);
        setrlimit(RLIMIT_NOFILE, &l);
        printf("sleeping\n");
        printf("woken %d\n", epoll_wait(ep, &e, 1, 5000));
        int c = take(s, "later", 0);
        fcntl(c, F_SETFL, 0);
        data(c);
        if (write(c, "reply", 5) != 5) return 3;
        shutdown(c, SHUT_WR);
        data(c);
    } else if (!strcmp(mode, "prefork-full")) { /* a worker cannot take the connection; another process sleeps in epoll_wait on the listener */
        s = listener(argv[2], argv[3]);
        fcntl(s, F_SETFL, O_NONBLOCK);
        int told[2], ep;
        char c;
        if (pipe(told)) return 3;
        pid_t w = fork();
        if (!w) {
            struct rlimit small = {(rlim_t)told[1] + 1, (rlim_t)told[1] + 1};
            struct pollfd p = {s, POLLIN, 0};
            poll(&p, 1, 5000);
            setrlimit(RLIMIT_NOFILE, &small);
            take(s, "full", 0);
            if (write(told[1], "x", 1) != 1) _exit(3);
            for (;;) pause();
        }
        ep = epoll_create1(0);
        struct epoll_event e = {.events = EPOLLIN};
        epoll_ctl(ep, EPOLL_CTL_ADD, s, &e);
        if (read(told[0], &c, 1) != 1) return 3;
        kill(w, SIGKILL);
        waitpid(w, NULL, 0);
        printf("at once %d\n", epoll_wait(ep, &e, 1, 0));
        printf("woken %d\n", epoll_wait(ep, &e, 1, 5000));
        take(s, "later", 0);
    } else if (!strcmp(mode, "bind-twice")) {
        int a = listener(argv[2], argv[3]), b = socket(AF_INET, SOCK_STREAM, 0);
        r = bind(b, (void *)&remote, sizeof remote);
        printf("second %s\n", error_name(r, errno));
        close(a);
        r = bind(b, (void *)&remote, sizeof remote);
        printf("after close %s\n", error_name(r, errno));
    } else if (!strcmp(mode, "relisten")) {
        s = listener(argv[2], argv[3]);
        r = listen(s, 5);
        printf("again %s\n", error_name(r, errno));
        close(s);
        printf("closed\n");
        pause();
    } else if (!strcmp(mode, "own")) { /* connect over loopback to the port that our listener asked for */
        s = listener(argv[2], argv[3]);
        int c = socket(AF_INET, SOCK_STREAM, 0);
        r = connect(c, (void *)&remote, sizeof remote);
        printf("connect %s\n", error_name(r, errno));
        names(c);
    } else if (!strcmp(mode, "udp")) { /* connected */
        s = socket(AF_INET, SOCK_DGRAM, 0);
        r = connect(s, (void *)&remote, sizeof remote);
        printf("connect %s\n", error_name(r, errno));
        names(s);
        if (send(s, "ping", 4, 0) != 4) return 3;
        char buffer[100];
        struct sockaddr_in from;
        socklen_t n = sizeof from;
        ssize_t k = recvfrom(s, buffer, sizeof buffer, 0, (void *)&from, &n);
        printf("got %.*s from %s\n", (int)k, buffer, text(&from));
    } else if (!strcmp(mode, "messages")) { /* sendmsg, recvmsg, sendmmsg, recvmmsg, unconnected */
        s = socket(AF_INET, SOCK_DGRAM, 0);
        printf("window %d\n", s >= 900 && s < 1020);
        char out[] = "ping", in[2][100];
        struct iovec v = {out, 4};
        struct msghdr h = {.msg_name = &remote, .msg_namelen = sizeof remote, .msg_iov = &v, .msg_iovlen = 1};
        if (sendmsg(s, &h, 0) != 4) return 3;
        struct sockaddr_in from[2];
        struct iovec w[2] = {{in[0], 100}, {in[1], 100}};
        struct msghdr g = {.msg_name = &from[0], .msg_namelen = sizeof from[0], .msg_iov = w, .msg_iovlen = 1};
        ssize_t k = recvmsg(s, &g, 0);
        printf("recvmsg %.*s from %s\n", (int)k, in[0], text(&from[0]));
        struct mmsghdr m[2] = {{h, 0}, {h, 0}}, q[2];
        printf("sendmmsg %d\n", sendmmsg(s, m, 2, 0));
        int got = 0;
        while (got < 2) {
            for (int i = 0; i < 2; i++) q[i] = (struct mmsghdr){.msg_hdr = {.msg_name = &from[i], .msg_namelen = sizeof from[i], .msg_iov = &w[i], .msg_iovlen = 1}};
            int i = recvmmsg(s, q, (unsigned)(2 - got), 0, NULL);
            if (i < 1) return 4;
            for (int j = 0; j < i; j++) printf("recvmmsg %.*s from %s\n", (int)q[j].msg_len, in[j], text(&from[j]));
            got += i;
        }
    } else if (!strcmp(mode, "descriptors")) {
        for (int i = 3; i < 1024; i++)
            if (fcntl(i, F_GETFD) >= 0) printf("open %d\n", i);
        printf("checked\n");
    }
    return 0;
}
