/* main.c - two processes: the outer only waits (and ends what the inner leaves), the inner supervises. Each ends the tree when the other
 * is killed. Only what does not run a program is read from the command line: the session's first message says what to run. */
#include "trap.h"
#include <sys/prctl.h>
#include <sys/un.h>
#include <linux/close_range.h>

static void keep_from_program(void) { /* whatever we inherited from 3 on */
    if (syscall(SYS_close_range, 3, ~0u, CLOSE_RANGE_CLOEXEC) == 0) return;
    for (int fd = 3; fd < 65536; fd++) fcntl(fd, F_SETFD, FD_CLOEXEC); /* kernel before 5.11 */
}
/* In a container nobody can hand us a descriptor: the session listens on a socket that is mounted in, and becomes descriptor 3. */
static bool connect_session(const char *path) {
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof to.sun_path) {
        errno = ENAMETOOLONG;
        return false;
    }
    strcpy(to.sun_path, path);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof to)) return false;
    if (fd == 3) return true;
    if (dup2(fd, 3) < 0) return false;
    close(fd);
    return true;
}
int main(int argc, char **argv) {
    /* Signals of the terminal, of a job runner and of who signals the whole process group are for the program; the session says when to end. */
    static const int kept[] = {SIGCHLD, SIGCONT, SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGTRAP, SIGSYS};
    if (argc == 2 && !strcmp(argv[1], "--probe")) return probe();
    if (argc == 2 && !strcmp(argv[1], "--attributes")) return attributes();
    if (argc == 3 && !strcmp(argv[1], "--seqpacket")) return bridge(argv[2]);
    if (argc == 4 && !strcmp(argv[1], "--copy")) return copy(argv[2], argv[3]);
    bool connects = argc == 3 && !strcmp(argv[1], "--connect");
    if (!connects && (argc != 1 || fcntl(3, F_GETFD) < 0)) {
        fputs("mirrord-trap is started by mirrord; on its own it takes only --probe, --attributes, --seqpacket ADDRESS, --copy FILE LIMIT, --connect SOCKET\n", stderr);
        return 2;
    }
    if (connects && !connect_session(argv[2])) {
        fprintf(stderr, "mirrord-trap: the session does not answer at %s: %s\n", argv[2], strerror(errno));
        return 1;
    }
    for (int i = 1; i < NSIG; i++) signal(i, SIG_IGN); /* EINVAL: libc's own */
    for (size_t i = 0; i < sizeof kept / sizeof kept[0]; i++) signal(kept[i], SIG_DFL);
    keep_from_program();
    prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    int self = (int)syscall(SYS_pidfd_open, getpid(), 0);
    if (self < 0) return 1;
    pid_t supervisor = fork();
    if (supervisor < 0) return 1;
    if (supervisor == 0) _exit(supervise(self));
    close(self);
    close(3);
    setsid(); /* in the foreground: a SIGKILL for the terminal's process group must leave somebody who ends the tree */
    int null = open("/dev/null", O_RDWR);
    for (int i = 0; i < 3; i++) dup2(null, i);
    if (null > 2) close(null);
    return reap_all_of(supervisor);
}
