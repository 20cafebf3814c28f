/* main.c - two processes: the outer only waits (and ends what the inner leaves), the inner supervises. Each ends the tree when the other
 * is killed. Only what does not run a program is read from the command line: the session's first message says what to run. */
#include "trap.h"
#include <sys/prctl.h>
#include <linux/close_range.h>

static void keep_from_program(void) { /* whatever we inherited from 3 on */
    if (syscall(SYS_close_range, 3, ~0u, CLOSE_RANGE_CLOEXEC) == 0) return;
    for (int fd = 3; fd < 65536; fd++) fcntl(fd, F_SETFD, FD_CLOEXEC); /* kernel before 5.11 */
}
int main(int argc, char **argv) {
    /* Signals of the terminal and of a job runner are for the program; the session says when to end. */
    static const int ignored[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP, SIGTTIN, SIGTTOU, SIGPIPE};
    if (argc == 2 && !strcmp(argv[1], "--probe")) return probe();
    if (argc == 2 && !strcmp(argv[1], "--attributes")) return attributes();
    if (argc == 3 && !strcmp(argv[1], "--seqpacket")) return bridge(argv[2]);
    if (argc != 1 || fcntl(3, F_GETFD) < 0) {
        fputs("mirrord-trap is started by mirrord; on its own it takes only --probe, --attributes, --seqpacket ADDRESS\n", stderr);
        return 2;
    }
    for (size_t i = 0; i < sizeof ignored / sizeof ignored[0]; i++) signal(ignored[i], SIG_IGN);
    keep_from_program();
    prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    int self = (int)syscall(SYS_pidfd_open, getpid(), 0);
    if (self < 0) return 1;
    pid_t supervisor = fork();
    if (supervisor < 0) return 1;
    if (supervisor == 0) _exit(supervise(self));
    close(self);
    close(3);
    int null = open("/dev/null", O_RDWR);
    for (int i = 0; i < 3; i++) dup2(null, i);
    if (null > 2) close(null);
    return reap_all_of(supervisor);
}
