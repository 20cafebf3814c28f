/* robust MODE - what a supervisor must not stumble over.
 *   flip: accept and connect of sockets whose O_NONBLOCK another thread changes all the time · linger: a child ends while its last data is not
 *   taken, with SO_LINGER of a minute · pointer: accept with a bad pointer · errnos: bad pointers of socket calls · child: SIGCHLD of a child that
 *   another thread than the first has forked, while both are in held calls · exhausted PORT: accept again and again without a free descriptor */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static const char *name_of(long r) { return r < 0 ? strerrorname_np(errno) : "ok"; }
static struct sockaddr_in own;
static socklen_t own_length = sizeof own;
static int listening(void) {
    int s = socket(AF_INET, SOCK_STREAM, 0);
    own.sin_family = AF_INET;
    own.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (bind(s, (void *)&own, sizeof own) || listen(s, 128) || getsockname(s, (void *)&own, &own_length)) exit(3);
    return s;
}
static void rest(long ms) { nanosleep(&(struct timespec){ms / 1000, ms % 1000 * 1000000}, NULL); }

/* ---- flip ---- */
static volatile int flipped = -1;
static void *flip(void *unused) {
    for (;;) {
        int fd = flipped;
        fcntl(fd, F_SETFL, O_NONBLOCK);
        fcntl(fd, F_SETFL, 0);
    }
    return unused;
}
static void *accepting(void *s) {
    for (;;) {
        struct sockaddr_in peer;
        socklen_t n = sizeof peer;
        accept4(*(int *)s, (void *)&peer, &n, 0); /* waits, where it is a blocking one at that moment */
    }
    return NULL;
}

/* ---- child ---- */
static volatile sig_atomic_t children;
static int first_listener;
static void on_child(int s) { (void)s, children++; }
static void *forking(void *unused) {
    char data[9];
    int u = socket(AF_INET, SOCK_DGRAM, 0);
    struct sockaddr_in peer = {.sin_family = AF_INET};
    socklen_t n = sizeof peer;
    bind(u, (void *)&peer, n);
    rest(100); /* the first thread is in its accept */
    if (!fork()) {
        rest(200);
        _exit(0);
    }
    long r = recvfrom(u, data, sizeof data, 0, (void *)&peer, &n);
    printf("recvfrom %s children %d\n", name_of(r), (int)children);
    own_length = sizeof own;
    getsockname(first_listener, (void *)&own, &own_length);
    if (connect(socket(AF_INET, SOCK_STREAM, 0), (void *)&own, sizeof own)) printf("connect %s\n", name_of(-1));
    return unused;
}

int main(int argc, char **argv) {
    setvbuf(stdout, NULL, _IOLBF, 0);
    const char *mode = argc > 1 ? argv[1] : "";
    struct sockaddr_in peer;
    socklen_t n = sizeof peer;
    pthread_t t;
    signal(SIGPIPE, SIG_IGN);
    if (!strcmp(mode, "flip")) {
        static int s;
        s = listening();
        flipped = s;
        pthread_create(&t, NULL, flip, NULL);
        for (int i = 0; i < 4; i++) pthread_create(&t, NULL, accepting, &s);
        for (int i = 0; i < 200; i++) {
            own_length = sizeof own;
            if (getsockname(s, (void *)&own, &own_length)) return 4; /* answered by the supervisor */
            rest(2);
        }
        printf("flipped\n");
        _exit(0);
    } else if (!strcmp(mode, "linger")) {
        int s = listening();
        if (!fork()) {
            static char data[1 << 16];
            int c = socket(AF_INET, SOCK_STREAM, 0);
            struct linger minute = {1, 60};
            setsockopt(c, SOL_SOCKET, SO_LINGER, &minute, sizeof minute);
            if (connect(c, (void *)&own, sizeof own)) _exit(5);
            while (send(c, data, sizeof data, MSG_DONTWAIT) > 0) continue;
            _exit(0);
        }
        int c = accept(s, NULL, NULL), status;
        wait(&status);
        rest(300);
        n = sizeof peer;
        printf("after %d %s\n", WEXITSTATUS(status), name_of(getsockname(c, (void *)&peer, &n)));
    } else if (!strcmp(mode, "pointer")) {
        char c;
        int s = listening(), out = socket(AF_INET, SOCK_STREAM, 0);
        if (connect(out, (void *)&own, sizeof own)) return 5;
        printf("accept %s\n", name_of(accept(s, (void *)8, (void *)8)));
        printf("read %zd\n", recv(out, &c, 1, 0));
        printf("again %s\n", (fcntl(s, F_SETFL, O_NONBLOCK), name_of(accept(s, (void *)&peer, &n))));
    } else if (!strcmp(mode, "errnos")) {
        int s = listening(), u = socket(AF_INET, SOCK_DGRAM, 0);
        struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        bind(u, (void *)&to, sizeof to);
        getsockname(u, (void *)&to, &n);
        static char data[100];
        void *bad[] = {(void *)8, (void *)0x7ffffffff000, (void *)0xffff800000000000, (void *)-4096l};
        for (int i = 0; i < 4; i++) {
            struct iovec v = {data, 4}, odd = {data, (size_t)-5};
            struct msghdr h = {&to, sizeof to, &v, 1, NULL, 0, 0}, name = {bad[i], sizeof to, &v, 1, NULL, 0, 0}, vector = {&to, sizeof to, bad[i], 1, NULL, 0, 0},
                          long_name = {&to, (socklen_t)-1, &v, 1, NULL, 0, 0}, negative = {&to, sizeof to, &odd, 1, NULL, 0, 0};
            socklen_t negative_length = (socklen_t)-1;
            printf("%d", i);
#define TRY(call) printf(" %s", name_of(call))
            TRY(connect(s, bad[i], 16));
            TRY(bind(socket(AF_INET, SOCK_STREAM, 0), bad[i], 16));
            TRY(getsockname(s, bad[i], &n));
            TRY(getsockname(s, (void *)&peer, bad[i]));
            TRY(getsockname(s, (void *)&peer, &negative_length));
            TRY(sendto(u, data, 4, 0, bad[i], 16));
            TRY(sendto(u, bad[i], 4, 0, (void *)&to, sizeof to));
            TRY(sendmsg(u, bad[i], 0));
            TRY(sendmsg(u, &name, 0));
            TRY(sendmsg(u, &vector, 0));
            TRY(sendmsg(u, &long_name, 0));
            TRY(sendmsg(u, &negative, 0));
            for (int k = 0; k < 8; k++)
                if (sendto(u, "data", 4, 0, (void *)&to, sizeof to) != 4) return 6;
            TRY(recvfrom(u, bad[i], 4, MSG_DONTWAIT, (void *)&peer, &n));
            TRY(recvfrom(u, data, 4, MSG_DONTWAIT, bad[i], &n));
            TRY(recvfrom(u, data, 4, MSG_DONTWAIT, (void *)&peer, bad[i]));
            TRY(recvmsg(u, bad[i], MSG_DONTWAIT));
            TRY(recvmsg(u, &name, MSG_DONTWAIT));
            TRY(recvmsg(u, &vector, MSG_DONTWAIT));
            TRY(recvmsg(u, &long_name, MSG_DONTWAIT));
            TRY(recvmsg(u, &negative, MSG_DONTWAIT));
            TRY(recvmsg(u, &h, MSG_DONTWAIT));
            printf("\n");
            while (recv(u, data, sizeof data, MSG_DONTWAIT) >= 0) continue;
            n = sizeof peer;
        }
    } else if (!strcmp(mode, "child")) {
        struct sigaction a = {.sa_handler = on_child}; /* no SA_RESTART */
        sigaction(SIGCHLD, &a, NULL);
        first_listener = listening();
        pthread_create(&t, NULL, forking, NULL);
        printf("accept %s\n", name_of(accept(first_listener, (void *)&peer, &n)));
        pthread_join(t, NULL);
    } else if (!strcmp(mode, "exhausted")) {
        int s = listening(), out = socket(AF_INET, SOCK_STREAM, 0), last;
        struct rlimit few = {40, 40};
        setrlimit(RLIMIT_NOFILE, &few);
        if (connect(out, (void *)&own, sizeof own) || send(out, "data", 4, 0) != 4) return 5;
        while ((last = dup(0)) >= 0) continue;
        fcntl(s, F_SETFL, O_NONBLOCK);
        for (int i = 0, times = atoi(argv[2]); i < times; rest(120)) {
            n = sizeof peer;
            if (accept(s, (void *)&peer, &n) >= 0) return 6;
            i += errno == EMFILE;
        }
        printf("exhausted\n");
        if (getchar() == EOF) return 7;
        close(39);
        fcntl(s, F_SETFL, 0);
        char data[5] = "";
        n = sizeof peer;
        int c = accept(s, (void *)&peer, &n);
        printf("accept %s", name_of(c));
        printf(" %s\n", recv(c, data, 4, MSG_WAITALL) == 4 ? data : name_of(-1));
    } else return 2;
    return 0;
}
