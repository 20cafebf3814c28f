/* processes MODE ARGUMENTS - what processes do to themselves; each mode prints what came of it. A connect is to ARGUMENTS[0]:ARGUMENTS[1]. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

static char **words;
static int connected(const char *ip, const char *port) {
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port))};
    inet_pton(AF_INET, ip, &a.sin_addr);
    int s = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (s < 0) return -1;
    int r = connect(s, (void *)&a, sizeof a), e = errno;
    if (r) close(s);
    errno = e;
    return r ? -1 : s;
}
static void try_connect(const char *who) {
    int s = connected(words[0], words[1]);
    printf("%s %s\n", who, s < 0 ? strerrorname_np(errno) : "connected");
    if (s >= 0) close(s);
}
static void *exec_words(void *unused) {
    (void)unused;
    execv(words[0], words);
    perror("execv");
    exit(1);
}
static void wait_for(pid_t p, const char *who) {
    int status;
    waitpid(p, &status, 0);
    if (WIFSIGNALED(status)) printf("%s signal %d%s\n", who, WTERMSIG(status), WCOREDUMP(status) ? " core" : "");
    else printf("%s exit %d\n", who, WEXITSTATUS(status));
}
static int filter(unsigned flags, unsigned number, unsigned error) {
    struct sock_filter f[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog p = {sizeof f / sizeof f[0], f};
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &p);
}
/* A child whose connect is held; `thread`: in a thread that is not its first. */
static void *connect_thread(void *unused) {
    (void)unused;
    try_connect("connect");
    exit(0);
}
static pid_t connecting(bool thread) {
    pid_t p = fork();
    if (p) return p;
    pthread_t t;
    if (!thread) connect_thread(NULL);
    pthread_create(&t, NULL, connect_thread, NULL);
    for (;;) pause();
}
/* The child stops while the test withholds the answer, and goes on. */
static void stop_and_go(pid_t p) {
    int status;
    if (waitpid(p, &status, WUNTRACED) != p || !WIFSTOPPED(status)) exit(4);
    printf("stopped by %s\n", sigabbrev_np(WSTOPSIG(status)));
    kill(p, SIGCONT);
    if (waitpid(p, &status, WCONTINUED) != p || !WIFCONTINUED(status)) exit(5);
    printf("continued\n");
    wait_for(p, "child");
}
static void say_when(void) { /* the test writes when the connect is held */
    char c;
    if (read(0, &c, 1) != 1) exit(6);
}
static volatile int urgent;
static void on_urgent(int s) {
    (void)s;
    urgent++;
}
static int in_use(void) { /* descriptors */
    int n = 0;
    for (int i = 0; i < 20000; i++) n += fcntl(i, F_GETFD) >= 0;
    return n;
}
static void *connect_one(void *at) {
    int s = connected(words[0], words[1]);
    char c;
    *(int *)at = s >= 0 && recv(s, &c, 1, 0) == 1;
    if (s >= 0) close(s);
    return NULL;
}
static void *sleeping_connect(void *unused) {
    (void)unused;
    connected(words[0], words[1]);
    return NULL;
}

int main(int argc, char **argv) {
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (argc < 2) return 2;
    char *mode = strdup(argv[1]);
    words = calloc((size_t)argc, sizeof *words);
    for (int i = 2; i < argc; i++) words[i - 2] = strdup(argv[i]);
    if (!strcmp(mode, "connect")) {
        try_connect("connect");
        int u = socket(AF_INET, SOCK_DGRAM, 0);
        printf("window %d\n", u >= 900);
    } else if (!strcmp(mode, "title")) { /* as setproctitle: argv is written over; then children that exec nothing */
        memset(argv[0], 'x', strlen(argv[0]));
        pid_t p = fork();
        if (!p) {
            try_connect("child");
            pid_t q = fork();
            if (!q) {
                try_connect("grandchild");
                _exit(0);
            }
            waitpid(q, NULL, 0);
            _exit(0);
        }
        waitpid(p, NULL, 0);
    } else if (!strcmp(mode, "thread-exec")) {
        pthread_t t;
        pthread_create(&t, NULL, exec_words, NULL);
        for (;;) pause();
    } else if (!strcmp(mode, "failed-exec")) { /* a name that would be skipped does not exist */
        execl("/nonexistent/skipped", "skipped", NULL);
        try_connect("failed-exec");
    } else if (!strcmp(mode, "uname")) {
        struct utsname u;
        char name[65], small[1];
        uname(&u);
        gethostname(name, sizeof name);
        printf("%s %s %s %s\n", u.sysname, u.nodename, u.machine, name);
        errno = 0;
        int r = gethostname(small, 1);
        printf("small %d %s\n", r, strerrorname_np(errno));
        r = (int)syscall(SYS_uname, 8);
        printf("bad %s\n", r ? strerrorname_np(errno) : "ok");
    } else if (!strcmp(mode, "seccomp")) {
        int fd = filter(SECCOMP_FILTER_FLAG_NEW_LISTENER, SYS_getcpu, EACCES);
        printf("listener %s\n", fd < 0 ? strerrorname_np(errno) : "ok");
        fd = filter(0, SYS_connect, EACCES);
        printf("filter %s\n", fd < 0 ? strerrorname_np(errno) : "ok");
        try_connect("refused by its own filter:");
        struct sockaddr_in a = {.sin_family = AF_INET};
        int s = socket(AF_INET, SOCK_STREAM, 0);
        socklen_t n = sizeof a;
        bind(s, (void *)&a, sizeof a);
        printf("listen %s\n", listen(s, 5) ? strerrorname_np(errno) : "ok");
        getsockname(s, (void *)&a, &n);
        printf("port %d\n", ntohs(a.sin_port) != 0);
    } else if (!strcmp(mode, "wait")) printf("wait %s\n", wait(NULL) < 0 ? strerrorname_np(errno) : "a child");
    else if (!strcmp(mode, "children")) { /* every way to make a process; each child connects, the parent waits as usual */
        volatile int touched = 0;
        char *child[] = {"/proc/self/exe", "connect", words[0], words[1], NULL};
        pid_t p = fork();
        if (!p) {
            try_connect("fork");
            _exit(3);
        }
        wait_for(p, "fork");
        p = vfork();
        if (!p) {
            touched = 1; /* shared memory */
            execv(child[0], child);
            _exit(127);
        }
        printf("vfork %d\n", touched);
        wait_for(p, "vfork");
        if (posix_spawn(&p, child[0], NULL, NULL, child, environ)) return 3;
        wait_for(p, "posix_spawn");
        struct { unsigned long long flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls; } args = {.exit_signal = SIGCHLD};
        p = (pid_t)syscall(SYS_clone3, &args, sizeof args);
        if (!p) {
            try_connect("clone3");
            _exit(4);
        }
        wait_for(p, "clone3");
        fflush(stdout);
        int status = system("exit 7");
        printf("system %d\n", WEXITSTATUS(status));
    } else if (!strcmp(mode, "daemon")) { /* two forks and its own session; every descriptor but the output closed, then a new program */
        pid_t p = fork();
        if (!p) {
            setsid();
            if (fork()) _exit(0);
            if (chdir("/")) _exit(1);
            closefrom(3);
            close(0);
            open("/dev/null", O_RDONLY);
            execl("/proc/self/exe", "processes", "connect", words[0], words[1], NULL);
            _exit(127);
        }
        wait_for(p, "daemon");
    } else if (!strcmp(mode, "stop") || !strcmp(mode, "stop-thread")) {
        pid_t p = connecting(!strcmp(mode, "stop-thread"));
        say_when();
        kill(p, SIGSTOP);
        stop_and_go(p);
    } else if (!strcmp(mode, "terminal")) { /* ^Z of a terminal for its foreground process */
        int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
        grantpt(master);
        unlockpt(master);
        pid_t leader = fork();
        if (!leader) {
            setsid();
            int terminal = open(ptsname(master), O_RDWR);
            ioctl(terminal, TIOCSCTTY, 0);
            pid_t p = connecting(false);
            setpgid(p, p);
            signal(SIGTTOU, SIG_IGN);
            tcsetpgrp(terminal, p);
            say_when();
            if (write(master, "\x1a", 1) != 1) _exit(7);
            stop_and_go(p);
            _exit(0);
        }
        wait_for(leader, "leader");
    } else if (!strcmp(mode, "storm")) { /* SIGURG every 0.3 ms while calls are held: accept, connect, and a receive that a thread is in */
        struct sigaction a = {.sa_handler = on_urgent, .sa_flags = SA_RESTART};
        sigaction(SIGURG, &a, NULL);
        pid_t self = getpid(), p = fork();
        if (!p) {
            for (;;) {
                kill(self, SIGURG);
                nanosleep(&(struct timespec){0, 300000}, NULL);
            }
        }
        struct sockaddr_in own = {.sin_family = AF_INET}, peer;
        socklen_t n = sizeof own;
        int s = socket(AF_INET, SOCK_STREAM, 0), good = 0, accepted = 0;
        bind(s, (void *)&own, n);
        listen(s, 128);
        getsockname(s, (void *)&own, &n);
        for (int i = 0; i < 20; i++) {
            char c;
            int r = connected(words[0], words[1]);
            if (r < 0) printf("connect %s\n", strerrorname_np(errno));
            else if (recv(r, &c, 1, 0) == 1) good++;
            else printf("recv %s\n", strerrorname_np(errno));
            close(r);
        }
        printf("connected %d\n", good);
        printf("port %d\n", ntohs(own.sin_port));
        for (int i = 0; i < 20; i++) {
            n = sizeof peer;
            int c = accept(s, (void *)&peer, &n);
            if (c >= 0) accepted++;
            else printf("accept %s\n", strerrorname_np(errno));
            if (c >= 0 && write(c, "x", 1) != 1) return 3;
            close(c);
        }
        kill(p, SIGKILL);
        printf("accepted %d signals %s\n", accepted, urgent > 20 ? "many" : "few");
    } else if (!strcmp(mode, "nofile")) { /* with that many descriptors at most */
        rlim_t limit = (rlim_t)atol(words[2]);
        struct rlimit l = {limit, limit};
        if (setrlimit(RLIMIT_NOFILE, &l)) return 3;
        try_connect("connect");
        int u = socket(AF_INET, SOCK_DGRAM, 0), opened = 0, s = 0;
        printf("datagram %s\n", u >= 900 ? "in the window" : u >= 0 ? "outside" : strerrorname_np(errno));
        while (limit < 1000 && (s = socket(AF_INET, opened % 2 ? SOCK_DGRAM : SOCK_STREAM, 0)) >= 0) opened++;
        int e = errno;
        if (limit < 1000) printf("then %s with %d\n", strerrorname_np(e), in_use());
        closefrom(3);
        try_connect("after");
    } else if (!strcmp(mode, "many")) { /* sockets that stay open */
        int wanted = atoi(words[2]), good = 0;
        for (int i = 0; i < wanted; i++) {
            char c;
            int s = connected(words[0], words[1]);
            good += s >= 0 && recv(s, &c, 1, 0) == 1;
        }
        printf("connected %d of %d, %d open\n", good, wanted, in_use() >= wanted);
    } else if (!strcmp(mode, "threads")) {
        int n = atoi(words[2]), good = 0, ok[n];
        pthread_t t[n];
        for (int i = 0; i < n; i++) pthread_create(&t[i], NULL, connect_one, &ok[i]);
        for (int i = 0; i < n; i++) pthread_join(t[i], NULL), good += ok[i];
        printf("threads %d\n", good);
    } else if (!strcmp(mode, "exec-amid")) { /* a thread executes while others are in held calls */
        pthread_t t;
        for (int i = 0; i < 8; i++) pthread_create(&t, NULL, sleeping_connect, NULL);
        say_when();
        char *self[] = {"/proc/self/exe", "connect", words[0], "81", NULL};
        words = self;
        pthread_create(&t, NULL, exec_words, NULL);
        for (;;) pause();
    } else if (!strcmp(mode, "close")) {
        close(connected(words[0], words[1]));
        printf("closed\n");
        say_when();
    } else if (!strcmp(mode, "cycles")) { /* each call that the trap performs or takes part in, over and over */
        struct sockaddr_in own = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)}, peer, name = {.sin_family = AF_INET, .sin_port = htons(53)};
        socklen_t n = sizeof own;
        int listening = socket(AF_INET, SOCK_STREAM, 0), wanted = atoi(words[2]), out = 0, in = 0, datagrams = 0, files = 0;
        char data[100];
        inet_pton(AF_INET, words[0], &name.sin_addr);
        bind(listening, (void *)&own, n);
        listen(listening, 128);
        getsockname(listening, (void *)&own, &n);
        for (int i = -1; i < wanted; i++) {
            if (i == 0) { /* whatever is made once is there now */
                printf("ready\n");
                say_when();
                out = in = datagrams = files = 0;
            }
            struct linger reset = {1, 0};
            int s = connected(words[0], words[1]);
            out += s >= 0 && recv(s, data, 5, MSG_WAITALL) == 5;
            setsockopt(s, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
            close(s);
            s = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
            connect(s, (void *)&own, sizeof own);
            n = sizeof peer;
            int c = accept(listening, (void *)&peer, &n);
            in += c >= 0 && getpeername(c, (void *)&peer, &n) == 0;
            setsockopt(s, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
            close(s);
            close(c);
            s = socket(AF_INET, SOCK_DGRAM, 0);
            sendto(s, "ping", 4, 0, (void *)&name, sizeof name);
            n = sizeof peer;
            datagrams += recvfrom(s, data, sizeof data, 0, (void *)&peer, &n) == 4 && peer.sin_addr.s_addr == name.sin_addr.s_addr;
            close(s);
            s = open("/etc/resolv.conf", O_RDONLY);
            files += s >= 0 && read(s, data, 1) == 1;
            close(s);
        }
        printf("cycles %d %d %d %d\n", out, in, datagrams, files);
        say_when();
    } else if (!strcmp(mode, "crash")) { /* where a core file is asked for */
        struct rlimit l = {RLIM_INFINITY, RLIM_INFINITY};
        if (argc > 2) setrlimit(RLIMIT_CORE, &l);
        volatile unsigned long nowhere = 8;
        *(volatile int *)nowhere = 1;
    } else return 2;
    return 0;
}
