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
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
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
    } else if (!strcmp(mode, "crash")) { /* where a core file is asked for */
        struct rlimit l = {RLIM_INFINITY, RLIM_INFINITY};
        if (argc > 2) setrlimit(RLIMIT_CORE, &l);
        volatile unsigned long nowhere = 8;
        *(volatile int *)nowhere = 1;
    } else return 2;
    return 0;
}
