/* hostile MODE IP PORT DIRECTORY SEED COUNT - a program that tries to crash or confuse the supervisor. IP:PORT is a destination that is asked about.
 *   pointers: every call, every argument a bad pointer in turn · fuzz: random calls with random arguments, in threads of processes, some of which
 *   are killed at random moments · racing: memory changes and descriptors close during calls · pending: calls that nobody answers, held all at once
 *   fine: an ordinary program, to see that all is well afterwards */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Everything that may be trapped, with what each argument is: f descriptor, p pointer, s path, a sockaddr, l length, i any number. */
static const struct call { int number; const char *arguments; } table[] = {
    {SYS_connect, "fal"}, {SYS_bind, "fal"}, {SYS_listen, "fi"}, {SYS_accept, "fpp"}, {SYS_accept4, "fppi"}, {SYS_getpeername, "fpp"},
    {SYS_getsockname, "fpp"}, {SYS_socket, "iii"}, {SYS_sendto, "fplial"}, {SYS_recvfrom, "fplipp"}, {SYS_sendmsg, "fmi"}, {SYS_recvmsg, "fmi"},
    {SYS_sendmmsg, "fmli"}, {SYS_recvmmsg, "fmlip"}, {SYS_openat, "dsoi"}, {SYS_openat2, "dspl"}, {SYS_newfstatat, "dspi"}, {SYS_statx, "dsiip"},
    {SYS_faccessat, "dsi"}, {SYS_faccessat2, "dsii"}, {SYS_readlinkat, "dspl"}, {SYS_getxattr, "sspl"}, {SYS_lgetxattr, "sspl"}, {SYS_listxattr, "spl"},
    {SYS_llistxattr, "spl"}, {SYS_statfs, "sp"}, {SYS_fstatfs, "fp"}, {SYS_getcwd, "pl"}, {SYS_chdir, "s"}, {SYS_execve, "Xpp"}, {SYS_execveat, "dXppi"},
    {SYS_uname, "p"}, {SYS_seccomp, "1Fp"}, {SYS_mkdirat, "dsi"}, {SYS_unlinkat, "dsi"}, {SYS_renameat2, "dsdsi"}, {SYS_linkat, "dsdsi"},
    {SYS_symlinkat, "sds"}, {SYS_fchmodat, "dsi"}, {SYS_fchownat, "dsiii"}, {SYS_utimensat, "dspi"}, {SYS_truncate, "si"}, {SYS_inotify_add_watch, "fsi"},
    {SYS_getdents64, "fpl"}, {SYS_fsync, "f"}, {SYS_ftruncate, "fl"}, {SYS_close, "w"}, {SYS_dup3, "fwi"}, {SYS_fchmod, "fi"}, {SYS_fchdir, "f"},
#ifdef SYS_open
    {SYS_open, "soi"}, {SYS_stat, "sp"}, {SYS_lstat, "sp"}, {SYS_access, "si"}, {SYS_readlink, "spl"}, {SYS_creat, "si"}, {SYS_mkdir, "si"},
    {SYS_rmdir, "s"}, {SYS_unlink, "s"}, {SYS_rename, "ss"}, {SYS_link, "ss"}, {SYS_symlink, "ss"}, {SYS_chmod, "si"}, {SYS_dup2, "fw"},
#endif
};
#define CALLS (sizeof table / sizeof table[0])

static const char *ip, *port, *directory;
static uint8_t *page;      /* 3 pages: read-write, read-only, and nothing behind */
static struct sockaddr_storage addresses[8];
static socklen_t lengths[8];
static char paths[12][8200];
static int fds[16];
static __thread uint64_t state;

static uint64_t any(void) { /* xorshift64* */
    state ^= state >> 12, state ^= state << 25, state ^= state >> 27;
    return state * 2685821657736338717ull;
}
static uint64_t below(uint64_t n) { return any() % n; }

static void prepare(void) {
    size_t size = (size_t)sysconf(_SC_PAGESIZE);
    page = mmap(NULL, 4 * size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    munmap(page + 3 * size, size);
    mprotect(page + 2 * size, size, PROT_NONE);
    mprotect(page + size, size, PROT_READ);
    /* Only addresses that are asked about or of this machine: nothing leaves it whatever the trap does. */
    struct sockaddr_in *in = (void *)addresses;
    static const char *const targets[] = {"127.0.0.1", "10.1.2.3", "127.1.2.3", "0.0.0.0"};
    for (int i = 0; i < 4; i++) {
        in = (void *)&addresses[i];
        in->sin_family = AF_INET;
        in->sin_port = htons((uint16_t)(i == 2 ? 53 : atoi(port)));
        inet_pton(AF_INET, i == 1 ? ip : targets[i], &in->sin_addr);
        lengths[i] = sizeof *in;
    }
    struct sockaddr_in6 *in6 = (void *)&addresses[4];
    in6->sin6_family = AF_INET6;
    in6->sin6_port = htons((uint16_t)atoi(port));
    inet_pton(AF_INET6, "::ffff:127.0.0.1", &in6->sin6_addr);
    lengths[4] = sizeof *in6;
    in6 = (void *)&addresses[5];
    in6->sin6_family = AF_INET6;
    inet_pton(AF_INET6, "::1", &in6->sin6_addr);
    lengths[5] = sizeof *in6;
    struct sockaddr_un *un = (void *)&addresses[6];
    un->sun_family = AF_UNIX;
    snprintf(un->sun_path, sizeof un->sun_path, "/app/socket");
    lengths[6] = sizeof *un;
    lengths[7] = 2; /* AF_UNSPEC */
    const char *names[] = {"", "/app/test.txt", "/app", "/app/missing", "relative", "..", "/app/sub/../link", "/proc/self/fd/0", "/etc/resolv.conf"};
    for (int i = 0; i < 9; i++) snprintf(paths[i], sizeof paths[i], "%s", names[i]);
    memset(paths[9], 'a', 4096);
    for (int i = 0; i < 8192; i += 2) memcpy(paths[10] + i, "./", 2);
    snprintf(paths[11], sizeof paths[11], "%s/own", directory);
    for (int i = 0; i < 16; i++) {
        static const int types[] = {SOCK_STREAM, SOCK_DGRAM, SOCK_STREAM, SOCK_SEQPACKET};
        fds[i] = socket(i % 4 < 2 ? i & 8 ? AF_INET6 : AF_INET : AF_UNIX, types[i % 4] | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    }
    close(fds[15]);
    fds[15] = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    close(fds[14]);
    fds[14] = open("/app/test.txt", O_RDONLY | O_CLOEXEC);
}

/* ---- pointers ---- */

static uint64_t bad_pointer(unsigned i) {
    uint64_t size = (uint64_t)sysconf(_SC_PAGESIZE), at = (uint64_t)page;
    const uint64_t bad[] = {0, 1, 8, at + 2 * size, at + 2 * size - 1, at + 2 * size - 8, at + size, at + size - 1, at + 3 * size, at + 3 * size - 4,
                            0x00007fffffffffff, 0x0000800000000000, 0xffff800000000000, 0xffffffff81000000, ~0ull, ~0ull - 4095, (uint64_t)INT64_MAX};
    return bad[i % (sizeof bad / sizeof bad[0])];
}
#define BAD 17
static uint64_t good(char kind) {
    static struct { struct msghdr h; struct iovec v[4]; } message[4];
    static uint8_t data[1 << 16];
    switch (kind) {
    case 'f': return (uint64_t)fds[below(16)];
    case 'd': return below(2) ? (uint64_t)AT_FDCWD : (uint64_t)fds[15];
    case 'w': return below(4) ? 400 + below(640) : 3 + below(40);
    case 'a': return (uint64_t)&addresses[below(8)];
    case 's': return (uint64_t)paths[below(12)];
    case 'X': return (uint64_t)"/nonexistent/program";
    case 'o': return below(4) ? O_RDONLY : any() & (O_WRONLY | O_CREAT | O_EXCL | O_DIRECTORY | O_CLOEXEC | O_PATH | O_TMPFILE);
    case 'm': {
        unsigned i = (unsigned)below(4);
        message[i].v[0] = (struct iovec){data, below(3) ? below(2000) : any()};
        message[i].v[1] = (struct iovec){data + 100, below(2000)}; /* overlaps */
        message[i].v[2] = (struct iovec){(void *)bad_pointer((unsigned)below(BAD)), below(5000)};
        message[i].h = (struct msghdr){&addresses[below(8)], (socklen_t)(below(2) ? 16 : any()), message[i].v, below(4) ? below(4) : any(), data, below(3) ? 0 : below(4000), (int)any()};
        return (uint64_t)&message[i].h;
    }
    case 'l': {
        static const uint64_t special[] = {0, 1, 2, 15, 16, 28, 110, 128, 4095, 4096, 65536, INT32_MAX, UINT32_MAX, INT64_MAX, UINT64_MAX};
        return below(2) ? 16 : special[below(15)];
    }
    case 'F': return 8; /* SECCOMP_FILTER_FLAG_NEW_LISTENER: always refused */
    case '1': return 1;
    case 'i': return below(3) ? below(64) : any();
    default: return (uint64_t)data + below(sizeof data / 2);
    }
}
static bool is_pointer(char kind) { return strchr("pasmX", kind) != NULL; }
static void once(const struct call *c, const uint64_t a[6]) { syscall(c->number, a[0], a[1], a[2], a[3], a[4], a[5]); }

static void pointers(void) {
    unsigned count = 0;
    for (size_t c = 0; c < CALLS; c++)
        for (unsigned argument = 0; argument < strlen(table[c].arguments); argument++) {
            if (!is_pointer(table[c].arguments[argument])) continue;
            for (unsigned i = 0; i < BAD; i++) {
                uint64_t a[6] = {0};
                for (unsigned k = 0; k < strlen(table[c].arguments); k++) a[k] = good(table[c].arguments[k]);
                a[argument] = bad_pointer(i);
                once(&table[c], a);
                count++;
            }
        }
    printf("pointers %s\n", count > 500 ? "done" : "too few");
}

/* ---- fuzz ---- */

static int rounds;
static void nothing(int s) { (void)s; }
static void *fuzz_thread(void *seed) {
    state = (uint64_t)seed * 0x9e3779b97f4a7c15ull + 1;
    for (int i = 0; i < rounds; i++) {
        const struct call *c = &table[below(CALLS)];
        uint64_t a[6];
        for (unsigned k = 0; k < 6; k++) {
            char kind = k < strlen(c->arguments) ? c->arguments[k] : 'i';
            a[k] = good(kind);
            if (is_pointer(kind) && below(6) == 0) a[k] = bad_pointer((unsigned)below(BAD));
            else if (strchr("fdl", kind) && below(12) == 0) a[k] = any();
        }
        once(c, a);
    }
    return NULL;
}
static void fuzz(unsigned seed, int processes) {
    int finished = 0, killed = 0;
    pid_t pids[processes];
    fflush(stdout);
    for (int i = 0; i < processes; i++) {
        if ((pids[i] = fork())) continue;
        /* What blocks (a descriptor of which O_NONBLOCK went) is interrupted. */
        struct sigaction action = {.sa_handler = nothing};
        struct itimerval every = {{0, 20000}, {0, 20000}};
        pthread_t t[3];
        if (!freopen("/dev/null", "w", stdout)) _exit(1);
        sigaction(SIGALRM, &action, NULL);
        setitimer(ITIMER_REAL, &every, NULL);
        for (uint64_t k = 0; k < 3; k++) pthread_create(&t[k], NULL, fuzz_thread, (void *)(seed + (uint64_t)i * 3 + k));
        sigset_t alarms;
        sigemptyset(&alarms);
        sigaddset(&alarms, SIGALRM);
        pthread_sigmask(SIG_BLOCK, &alarms, NULL); /* for the threads */
        for (int k = 0; k < 3; k++) pthread_join(t[k], NULL);
        _exit(0);
    }
    for (int i = 0; i < processes; i++) {
        int status;
        if (i % 2) { /* at a random moment */
            nanosleep(&(struct timespec){0, (long)below(3000000)}, NULL);
            kill(pids[i], SIGKILL);
        } else { /* a thread that waits in a call which no signal reaches must not keep us */
            struct pollfd p = {(int)syscall(SYS_pidfd_open, pids[i], 0), POLLIN, 0};
            if (poll(&p, 1, 20000) != 1) kill(pids[i], SIGKILL);
            close(p.fd);
        }
        waitpid(pids[i], &status, 0);
        if (WIFSIGNALED(status)) killed++;
        else finished++;
    }
    printf("fuzz %d ended\n", finished + killed);
}

/* ---- racing ---- */

static struct { struct sockaddr_storage address; socklen_t length; struct msghdr message; struct iovec vector[2]; char path[64]; } shared;
static volatile bool over;
static void *change(void *seed) {
    state = (uint64_t)seed;
    while (!over) {
        unsigned i = (unsigned)below(8);
        shared.address = addresses[i];
        shared.length = below(3) ? lengths[i] : (socklen_t)any();
        shared.vector[below(2)] = (struct iovec){page + below(9000), below(3) ? below(4096) : any()};
        shared.message = (struct msghdr){&shared.address, lengths[i], shared.vector, below(3), NULL, below(8) ? 0 : any(), 0};
        memcpy(shared.path, paths[below(9)], sizeof shared.path);
    }
    return NULL;
}
static void *replace(void *seed) { /* close, dup2 and accept over the very descriptors in use */
    state = (uint64_t)seed;
    while (!over) {
        int at = fds[below(14)];
        if (below(2)) dup2(fds[below(16)], at);
        else close(at);
        int s = socket(below(2) ? AF_INET : AF_INET6, (below(2) ? SOCK_STREAM : SOCK_DGRAM) | SOCK_NONBLOCK, 0);
        if (s >= 0 && s != at) {
            dup2(s, at);
            close(s);
        }
    }
    return NULL;
}
static void *use(void *seed) {
    state = (uint64_t)seed;
    for (int i = 0; i < rounds; i++) {
        int fd = fds[below(14)];
        struct stat st;
        switch (below(8)) {
        case 0: connect(fd, (void *)&shared.address, shared.length); break;
        case 1: sendmsg(fd, &shared.message, MSG_DONTWAIT | MSG_NOSIGNAL); break;
        case 2: recvmsg(fd, &shared.message, MSG_DONTWAIT); break;
        case 3: getpeername(fd, (void *)&shared.address, &shared.length); break;
        case 4: bind(fd, (void *)&shared.address, shared.length); break;
        case 5: accept4(fd, (void *)&shared.address, &shared.length, SOCK_NONBLOCK); break;
        case 6: stat(shared.path, &st); break;
        default: sendto(fd, page, below(9000), MSG_DONTWAIT | MSG_NOSIGNAL, (void *)&shared.address, shared.length); break;
        }
    }
    return NULL;
}
static void racing(void) {
    pid_t p = fork();
    if (!p) { /* what is accepted is never closed: the table may fill up */
        pthread_t changing, replacing, using[3];
        pthread_create(&changing, NULL, change, (void *)1);
        pthread_create(&replacing, NULL, replace, (void *)2);
        for (uint64_t i = 0; i < 3; i++) pthread_create(&using[i], NULL, use, (void *)(3 + i));
        for (int i = 0; i < 3; i++) pthread_join(using[i], NULL);
        _exit(0);
    }
    struct pollfd wait = {(int)syscall(SYS_pidfd_open, p, 0), POLLIN, 0};
    if (poll(&wait, 1, 60000) != 1) kill(p, SIGKILL);
    close(wait.fd);
    waitpid(p, NULL, 0);
    printf("racing done\n");
}

/* ---- pending ---- */

static int listener;
static void *pend(void *which) {
    struct sockaddr_in peer = *(struct sockaddr_in *)&addresses[1];
    socklen_t n = sizeof peer;
    char data[10];
    long kind = (long)which % 3;
    if (kind == 0) accept(listener, (void *)&peer, &n);
    else if (kind == 1) { /* port 1: never answered */
        peer.sin_port = htons(1);
        connect(socket(AF_INET, SOCK_STREAM, 0), (void *)&peer, sizeof peer);
    } else recvfrom(socket(AF_INET, SOCK_DGRAM, 0), data, sizeof data, 0, (void *)&peer, &n);
    return NULL;
}
static void pending(int count) {
    struct sockaddr_in own = {.sin_family = AF_INET};
    pthread_attr_t small;
    int per = 500, made = 0;
    pid_t pids[count / per + 1];
    listener = socket(AF_INET, SOCK_STREAM, 0);
    bind(listener, (void *)&own, sizeof own);
    listen(listener, 10);
    pthread_attr_init(&small);
    pthread_attr_setstacksize(&small, 64 << 10);
    int ready[2];
    if (pipe(ready)) exit(8);
    for (; made < count; made += per) {
        fflush(stdout);
        pid_t p = fork();
        if (p < 0) break;
        if (p) {
            pids[made / per] = p;
            continue;
        }
        pthread_t t;
        int started = 0;
        for (long i = 0; i < per; i++) started += !pthread_create(&t, &small, pend, (void *)i);
        if (write(ready[1], &started, sizeof started) != sizeof started) _exit(9);
        for (;;) pause();
    }
    int sum = 0;
    for (int i = 0; i < made; i += per) {
        int started = 0;
        if (read(ready[0], &started, sizeof started) != sizeof started) exit(10);
        sum += started;
    }
    printf("pending %d\n", sum);
    char c;
    if (read(0, &c, 1) != 1) exit(11);
    for (int i = 0; i < made / per; i++) kill(pids[i], i % 2 ? SIGTERM : SIGKILL);
    while (wait(NULL) > 0) continue;
    printf("pending gone\n");
}

static void fine(void) {
    int s = socket(AF_INET, SOCK_STREAM, 0), fd = open("/app/test.txt", O_RDONLY);
    char data[20] = "", text[20] = "";
    int r = connect(s, (void *)&addresses[1], lengths[1]);
    struct sockaddr_in peer;
    socklen_t n = sizeof peer;
    if (recv(s, data, 5, MSG_WAITALL) < 0) strcpy(data, "no data");
    getpeername(s, (void *)&peer, &n);
    if (fd < 0 || read(fd, text, sizeof text - 1) < 0) strcpy(text, strerrorname_np(errno));
    printf("fine %s %s %s:%d %s\n", r ? strerrorname_np(errno) : "connected", data, inet_ntoa(peer.sin_addr), ntohs(peer.sin_port), text);
}

int main(int argc, char **argv) {
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (argc < 7) return 2;
    const char *mode = argv[1];
    unsigned seed = (unsigned)atoi(argv[5]);
    int count = atoi(argv[6]);
    ip = argv[2], port = argv[3], directory = argv[4];
    state = seed + 1;
    rounds = count;
    signal(SIGPIPE, SIG_IGN);
    prepare();
    /* Random calls must not do as root what they name: chmod("..") is one of them. */
    if (geteuid() == 0 && (chown(directory, 65534, 65534) || setresgid(65534, 65534, 65534) || setresuid(65534, 65534, 65534))) return 3;
    prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
    if (chdir(directory)) return 3;
    if (!strcmp(mode, "pointers")) pointers();
    else if (!strcmp(mode, "fuzz")) fuzz(seed, 8);
    else if (!strcmp(mode, "racing")) racing();
    else if (!strcmp(mode, "pending")) pending(count);
    else fine();
    return 0;
}
