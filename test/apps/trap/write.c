/* write.c COMMAND [ARGUMENT]... - each command changes files and prints one line: what it returned, 0 or the name of the errno. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>
#include <utime.h>

static char **next;
static const char *word(void) { return *next ? *next++ : ""; }
static int number(void) { return (int)strtol(word(), NULL, 8); }
static void show(const char *command, long result) {
    printf("%s %s\n", command, result < 0 ? strerrorname_np(errno) : result == 0 ? "0" : "other");
    fflush(stdout);
}
/* The current descriptor: open and create set it. */
static int fd = -1;

int main(int argc, char **argv) {
    next = argv + (argc > 0);
    while (*next) {
        const char *c = word();
        struct timespec t[2] = {{1000, 5}, {2000, 6}};
        if (!strcmp(c, "mkdir")) show(c, mkdir(word(), 0750));
        else if (!strcmp(c, "rmdir")) show(c, rmdir(word()));
        else if (!strcmp(c, "unlink")) show(c, unlink(word()));
        else if (!strcmp(c, "umask")) umask((mode_t)number());
        else if (!strcmp(c, "dir")) fd = open(word(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        else if (!strcmp(c, "mkdirat")) show(c, mkdirat(fd, word(), 0777));
        else if (!strcmp(c, "unlinkat")) show(c, unlinkat(fd, word(), 0));
        else if (!strcmp(c, "rmdirat")) show(c, unlinkat(fd, word(), AT_REMOVEDIR));
        else if (!strcmp(c, "rename")) { const char *a = word(); show(c, rename(a, word())); }
        else if (!strcmp(c, "noreplace")) { const char *a = word(); show(c, renameat2(AT_FDCWD, a, AT_FDCWD, word(), RENAME_NOREPLACE)); }
        else if (!strcmp(c, "exchange")) { const char *a = word(); show(c, renameat2(AT_FDCWD, a, AT_FDCWD, word(), RENAME_EXCHANGE)); }
        else if (!strcmp(c, "chmod")) { const char *a = word(); show(c, chmod(a, (mode_t)number())); }
        else if (!strcmp(c, "chown")) show(c, chown(word(), 12, (gid_t)-1));
        else if (!strcmp(c, "lchown")) show(c, lchown(word(), (uid_t)-1, 13));
        else if (!strcmp(c, "utimens")) show(c, utimensat(AT_FDCWD, word(), t, 0));
        else if (!strcmp(c, "omit")) {
            t[0].tv_nsec = t[1].tv_nsec = UTIME_OMIT;
            show(c, utimensat(AT_FDCWD, word(), t, 0));
        } else if (!strcmp(c, "utimes")) show(c, utimes(word(), (struct timeval[2]){{1000, 7}, {3000, 8}}));
        else if (!strcmp(c, "badtimes")) show(c, utimes(word(), (struct timeval[2]){{1000, 7000000}, {3000, 8}}));
        else if (!strcmp(c, "utime")) show(c, utime(word(), &(struct utimbuf){1000, 4000}));
        else if (!strcmp(c, "truncate")) { const char *a = word(); show(c, truncate(a, number())); }
        else if (!strcmp(c, "link")) { const char *a = word(); show(c, link(a, word())); }
        else if (!strcmp(c, "symlink")) { const char *a = word(); show(c, symlink(a, word())); }
        else if (!strcmp(c, "mkfifo")) show(c, mkfifo(word(), 0600));
        else if (!strcmp(c, "setxattr")) show(c, setxattr(word(), "user.x", "y", 1, 0));
        else if (!strcmp(c, "create")) fd = open(word(), O_RDWR | O_CREAT | O_CLOEXEC, 0640), show(c, fd < 0 ? -1 : 0);
        else if (!strcmp(c, "exclusive")) fd = open(word(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0640), show(c, fd < 0 ? -1 : 0);
        else if (!strcmp(c, "append")) fd = open(word(), O_WRONLY | O_APPEND | O_CLOEXEC), show(c, fd < 0 ? -1 : 0);
        else if (!strcmp(c, "read")) fd = open(word(), O_RDONLY | O_CLOEXEC), show(c, fd < 0 ? -1 : 0);
        else if (!strcmp(c, "write")) { const char *a = word(); show(c, write(fd, a, strlen(a)) == (ssize_t)strlen(a) ? 0 : -1); }
        else if (!strcmp(c, "pwrite")) { const char *a = word(); show(c, pwrite(fd, a, strlen(a), 4) == (ssize_t)strlen(a) ? 0 : -1); }
        else if (!strcmp(c, "map")) {
            char *m = mmap(NULL, 4, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
            show(c, m == MAP_FAILED ? -1 : 0);
            if (m != MAP_FAILED) memcpy(m, "MMAP", 4);
        } else if (!strcmp(c, "ftruncate")) show(c, ftruncate(fd, number()));
        else if (!strcmp(c, "fsync")) show(c, fsync(fd));
        else if (!strcmp(c, "fdatasync")) show(c, fdatasync(fd));
        else if (!strcmp(c, "fchmod")) show(c, fchmod(fd, (mode_t)number()));
        else if (!strcmp(c, "empty")) show(c, fchownat(fd, "", 12, 13, AT_EMPTY_PATH)), show(c, utimensat(fd, "", t, AT_EMPTY_PATH));
        else if (!strcmp(c, "byname")) { /* of the descriptor, in /proc */
            char name[40];
            snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
            show(c, chmod(name, 0604));
            show(c, truncate(name, 5));
            show(c, utimensat(AT_FDCWD, name, t, 0));
        }
        else if (!strcmp(c, "bytes")) show(c, openat(fd, "\377", O_WRONLY | O_CREAT, 0600)), show(c, mkdirat(fd, "\377", 0700));
        else if (!strcmp(c, "fchown")) show(c, fchown(fd, 12, 13));
        else if (!strcmp(c, "futimens")) show(c, futimens(fd, t));
        else if (!strcmp(c, "close")) show(c, close(fd));
        else if (!strcmp(c, "isopen")) printf("isopen %s\n", fcntl(fd, F_GETFD) < 0 ? strerrorname_np(errno) : "yes");
        else if (!strcmp(c, "window")) printf("window %s\n", fd >= 512 && fd < 640 ? "yes" : "no");
        else if (!strcmp(c, "dup")) { int d = dup(fd); show(c, close(fd)); fd = d; }
        else if (!strcmp(c, "dup2")) { int null = open("/dev/null", O_RDONLY); show(c, dup2(null, fd) == fd ? 0 : -1); }
        else if (!strcmp(c, "close_range")) show(c, syscall(SYS_close_range, 3, ~0u, 0));
        else if (!strcmp(c, "few")) setrlimit(RLIMIT_NOFILE, &(struct rlimit){64, 64});
        else if (!strcmp(c, "fork")) { /* the rest in a child, which shares the description */
            pid_t child = fork();
            if (child) { int s; waitpid(child, &s, 0); return 0; }
        } else if (!strcmp(c, "kill")) raise(SIGKILL);
        else if (!strcmp(c, "stop")) { char b; show(c, read(0, &b, 1) < 0 ? -1 : 0); }
        else return printf("unknown command %s\n", c), 2;
    }
    return 0;
}
