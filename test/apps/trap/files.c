/* files COMMAND ARGUMENT... - each command makes system calls about files and prints one line of what came back. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

static const char *error(void) { return strerrorname_np(errno); }
static struct iovec *volatile nowhere;
static int at = AT_FDCWD; /* directory of the relative paths: dir PATH */

static int flags_of(const char *text) {
    static const struct { char letter; int flag; } all[] = {{'w', O_WRONLY}, {'b', O_RDWR}, {'c', O_CREAT}, {'t', O_TRUNC}, {'a', O_APPEND}, {'x', O_EXCL},
        {'d', O_DIRECTORY}, {'n', O_NOFOLLOW}, {'p', O_PATH}, {'e', O_CLOEXEC}, {'T', O_TMPFILE}, {'k', O_NONBLOCK}};
    int flags = 0;
    for (; *text; text++)
        for (size_t i = 0; i < sizeof all / sizeof *all; i++)
            if (all[i].letter == *text) flags |= all[i].flag;
    return flags;
}
static void print_content(int fd) {
    char text[4096];
    ssize_t k = read(fd, text, sizeof text - 1);
    if (k < 0) {
        printf("%s\n", error());
        return;
    }
    text[k] = 0;
    text[strcspn(text, "\n")] = 0;
    printf("%s\n", text);
}
static void print_mode(const struct stat *s, const struct stat *other) {
    printf("%o %d:%d links %d size %d blocks %d mtime %d%s\n", s->st_mode, (int)s->st_uid, (int)s->st_gid, (int)s->st_nlink, (int)s->st_size, (int)s->st_blocks,
           (int)s->st_mtime, other && (s->st_dev != other->st_dev || s->st_ino != other->st_ino) ? " OTHER INODE" : "");
}
static int compare(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }
static void list(int fd) {
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    char *names[256];
    size_t n = 0;
    if (!d) {
        printf("%s\n", error());
        return;
    }
    for (struct dirent *e; (e = readdir(d)) && n < 256;)
        if (asprintf(&names[n++], "%s%s", e->d_name, e->d_type == DT_DIR ? "/" : e->d_type == DT_LNK ? "@" : "") < 0) abort();
    qsort(names, n, sizeof *names, compare);
    for (size_t i = 0; i < n; i++) printf("%s%s", i ? " " : "", names[i]);
    printf("\n");
}
static char *racing;
static volatile sig_atomic_t race_over;
static void *change(void *both) {
    for (unsigned i = 0; !race_over; i++) strcpy(racing, ((const char *const *)both)[i & 1]);
    return NULL;
}
static volatile sig_atomic_t alarms;
static void on_alarm(int number) {
    (void)number;
    alarms++;
}
static long millis(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}
static const char *thread_path;
static pthread_barrier_t barrier;
static void *reader(void *number) {
    char path[PATH_MAX], text[64] = "";
    snprintf(path, sizeof path, thread_path, (int)(intptr_t)number);
    pthread_barrier_wait(&barrier);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t k = fd < 0 ? -1 : read(fd, text, sizeof text);
    if (fd >= 0) close(fd);
    return (void *)(intptr_t)(k > 0);
}
static void threads(int n, const char *path) {
    pthread_t all[1000];
    int good = 0;
    void *r;
    thread_path = path;
    pthread_barrier_init(&barrier, NULL, (unsigned)n);
    for (int i = 0; i < n; i++)
        if (pthread_create(&all[i], NULL, reader, (void *)(intptr_t)i)) abort();
    for (int i = 0; i < n; i++) {
        pthread_join(all[i], &r);
        good += r != NULL;
    }
    printf("%d of %d\n", good, n);
}
/* A string whose last byte is the last of its page; the next page is not there. */
static char *at_the_edge(const char *text) {
    char *pages = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    munmap(pages + 4096, 4096);
    return strcpy(pages + 4096 - strlen(text) - 1, text);
}
static void on(const char *word, const char *path) {
    struct stat s, f;
    struct statx x;
    struct statfs v;
    char text[PATH_MAX];
    int fd;
    ssize_t k;
    if (!strcmp(word, "cat")) {
        fd = openat(at, path, O_RDONLY | O_CLOEXEC);
        if (fd < 0) printf("%s\n", error());
        else print_content(fd), close(fd);
    } else if (!strncmp(word, "open=", 5)) {
        fd = openat(at, path, flags_of(word + 5), 0666);
        if (fd < 0) printf("%s\n", error());
        else printf("fd %d cloexec %d flags %o\n", fd, fcntl(fd, F_GETFD) & FD_CLOEXEC, fcntl(fd, F_GETFL) & (O_ACCMODE | O_APPEND | O_NONBLOCK | O_PATH));
    } else if (!strncmp(word, "resolve=", 8)) {
        struct open_how how = {.flags = O_RDONLY, .resolve = (uint64_t)atoi(word + 8)};
        fd = (int)syscall(SYS_openat2, at, path, &how, sizeof how);
        if (fd < 0) printf("%s\n", error());
        else print_content(fd), close(fd);
    } else if (!strcmp(word, "stat") || !strcmp(word, "lstat")) {
        int r = fstatat(at, path, &s, *word == 'l' ? AT_SYMLINK_NOFOLLOW : 0);
        if (r) printf("%s\n", error());
        else print_mode(&s, NULL);
    } else if (!strcmp(word, "statx")) {
        if (statx(at, path, 0, STATX_BASIC_STATS, &x)) printf("%s\n", error());
        else printf("%o %d:%d links %d size %d mtime %d\n", x.stx_mode, (int)x.stx_uid, (int)x.stx_gid, (int)x.stx_nlink, (int)x.stx_size, (int)x.stx_mtime.tv_sec);
    } else if (!strcmp(word, "agree")) { /* stat before, fstat after open, statx by descriptor */
        int r = fstatat(at, path, &s, 0);
        fd = openat(at, path, O_RDONLY);
        if (r || fd < 0 || fstat(fd, &f) || statx(fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS, &x)) printf("%s\n", error());
        else printf("%s\n", s.st_ino == f.st_ino && s.st_dev == f.st_dev && s.st_size == f.st_size && s.st_mtime == f.st_mtime && x.stx_ino == s.st_ino ? "yes" : "no");
        close(fd);
    } else if (!strncmp(word, "access=", 7)) printf("%s\n", faccessat(at, path, atoi(word + 7), 0) ? error() : "0");
    else if (!strcmp(word, "readlink")) {
        k = readlinkat(at, path, text, sizeof text - 1);
        printf("%.*s\n", k < 0 ? 99 : (int)k, k < 0 ? error() : text);
    } else if (!strcmp(word, "realpath")) printf("%s\n", realpath(path, text) ? text : error());
    else if (!strcmp(word, "ls")) list(openat(at, path, O_RDONLY | O_DIRECTORY));
    else if (!strcmp(word, "dir")) {
        if (at >= 0) close(at);
        at = openat(AT_FDCWD, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        printf("%s\n", at < 0 ? error() : "open");
    } else if (!strcmp(word, "cd")) printf("%s\n", chdir(path) ? error() : getcwd(text, sizeof text) ? text : error());
    else if (!strcmp(word, "chroot")) printf("%s\n", chroot(path) ? error() : "0");
    else if (!strcmp(word, "setuid")) printf("%s\n", setgid((gid_t)atoi(path)) || setuid((uid_t)atoi(path)) ? error() : "0");
    else if (!strcmp(word, "statfs")) {
        if (statfs(path, &v)) printf("%s\n", error());
        else printf("%lx %ld %lu\n", (long)v.f_type, (long)v.f_bsize, (long)v.f_blocks);
        fd = open(path, O_RDONLY);
        if (fd >= 0 && !fstatfs(fd, &v)) printf("%lx %ld %lu\n", (long)v.f_type, (long)v.f_bsize, (long)v.f_blocks);
        close(fd);
    } else if (!strcmp(word, "xattr")) {
        k = getxattr(path, "user.x", text, sizeof text);
        printf("%s", k < 0 ? error() : "value");
        k = llistxattr(path, text, sizeof text);
        printf(" %s\n", k < 0 ? error() : k ? "some" : "none");
    } else if (!strcmp(word, "proc")) { /* what the links of /proc say of an open file and of its directory */
        char name[64];
        fd = openat(at, path, O_RDONLY);
        snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
        k = readlink(name, text, sizeof text - 1);
        printf("%.*s", (int)k, text);
        snprintf(name, sizeof name, "/proc/%d/fd/%d", getpid(), fd);
        k = readlink(name, text, sizeof text - 1);
        printf(" %.*s", (int)k, text);
        k = readlink("/proc/thread-self/cwd", text, sizeof text - 1);
        printf(" %.*s\n", (int)k, text);
        close(fd);
    } else if (!strcmp(word, "native")) { /* everything that the kernel does with an ordinary descriptor */
        char a[5] = "", b[8] = "", *map;
        fd = openat(at, path, O_RDONLY);
        if (fd < 0 || fstat(fd, &s)) {
            printf("%s\n", error());
            return;
        }
        map = mmap(NULL, (size_t)s.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        struct iovec v[2] = {{a, 4}, {b, 7}};
        k = readv(fd, v, 2);
        printf("%zd [%s][%s] map %.4s", k, a, b, map == MAP_FAILED ? "no" : map);
        lseek(fd, 1, SEEK_SET);
        int copy = dup(fd);
        close(fd);
        pid_t child = fork();
        if (child == 0) close(copy), _exit(0);
        waitpid(child, NULL, 0);
        k = read(copy, a, 4);
        printf(" seek+dup %.4s", k == 4 ? a : "no");
        k = pread(copy, a, 4, 2);
        printf(" pread %.4s", k == 4 ? a : "no");
        fflush(stdout);
        printf(" sync %d %d\n", fsync(copy), fdatasync(copy));
        fflush(stdout);
        off_t offset = 0;
        k = sendfile(1, copy, &offset, 4);
        printf("\nsendfile %zd, NULL vector %s\n", k, readv(copy, nowhere, 2) < 0 ? error() : "0");
        close(copy);
    } else if (!strcmp(word, "pointers")) { /* each must be the program's own mistake, not ours */
        printf("%s", syscall(SYS_openat, AT_FDCWD, (char *)8, O_RDONLY) < 0 ? error() : "open");
        printf(" %s", syscall(SYS_newfstatat, AT_FDCWD, path, (void *)8, 0) ? error() : "0");
        printf(" %s", syscall(SYS_statx, AT_FDCWD, path, 0, STATX_BASIC_STATS, (void *)8) ? error() : "0");
        printf(" %s", syscall(SYS_readlinkat, AT_FDCWD, path, (void *)8, 10) < 0 ? error() : "0");
        printf(" %s", syscall(SYS_openat2, AT_FDCWD, path, (void *)8, 24) < 0 ? error() : "0");
        fd = open(at_the_edge(path), O_RDONLY);
        printf(" %s\n", fd < 0 ? error() : "edge");
        close(fd);
    } else if (!strcmp(word, "fork")) {
        fflush(stdout);
        pid_t child = fork();
        int status = 0;
        if (child == 0) {
            on("cat", path);
            fflush(stdout);
            _exit(0);
        }
        waitpid(child, &status, 0);
        printf("child %d\n", WEXITSTATUS(status));
    } else if (!strncmp(word, "threads=", 8)) threads(atoi(word + 8), path);
    else if (!strcmp(word, "race")) { /* the path changes while the supervisor looks at it: it is one or the other, never a mixture */
        static const char *const both[] = {"/app/test.txt", "/usr/lib/os-release"};
        pthread_t changer;
        int neither = 0;
        struct stat kinds[2] = {0};
        racing = strdup("/usr/lib/os-release.......");
        for (int i = 0; i < 2; i++)
            if (stat(both[i], &kinds[i])) printf("%s ", error());
        pthread_create(&changer, NULL, change, (void *)both);
        for (int i = 0; i < atoi(path); i++) {
            fd = open(racing, O_RDONLY | O_CLOEXEC);
            if (fd < 0 && errno == ENOENT) continue; /* a mixture of the bytes, which is no file */
            if (fd < 0 || fstat(fd, &f) || (f.st_ino != kinds[0].st_ino && f.st_ino != kinds[1].st_ino)) neither++;
            close(fd);
        }
        race_over = 1;
        pthread_join(changer, NULL);
        printf("%d\n", neither);
    } else if (!strcmp(word, "alarm")) { /* signals arrive while the answer is on its way */
        struct sigaction action = {.sa_handler = on_alarm, .sa_flags = SA_RESTART};
        struct itimerval every = {{0, 5000}, {0, 5000}}, never = {{0, 0}, {0, 0}};
        sigaction(SIGALRM, &action, NULL);
        setitimer(ITIMER_REAL, &every, NULL);
        fd = openat(at, path, O_RDONLY);
        setitimer(ITIMER_REAL, &never, NULL);
        if (fd < 0) printf("%s\n", error());
        else print_content(fd), close(fd);
        printf("%s\n", alarms ? "signals" : "none");
    } else if (!strcmp(word, "killed")) { /* a child that waits for an answer is killed */
        int pipes[2];
        if (pipe(pipes)) abort();
        pid_t child = fork();
        if (child == 0) {
            if (write(pipes[1], "x", 1) != 1) abort();
            _exit(open(path, O_RDONLY) >= 0);
        }
        if (read(pipes[0], text, 1) != 1) abort();
        printf("child waits\n");
        fflush(stdout);
        if (read(0, text, 1) != 1) abort();
        kill(child, SIGKILL);
        long from = millis();
        waitpid(child, NULL, 0);
        printf("%s\n", millis() - from < 5000 ? "ended" : "LATE");
    } else printf("what is %s?\n", word);
}
int main(int argc, char **argv) {
    for (int i = 1; i + 1 < argc; i += 2) on(argv[i], argv[i + 1]), fflush(stdout);
    return 0;
}
