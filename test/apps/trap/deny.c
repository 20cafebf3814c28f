/* deny WHAT PROGRAM ARGUMENTS - runs the program where some calls are refused.
 *   getfd: pidfd_getfd EPERM (Docker's default profile) · seccomp: seccomp(2) EACCES · old: seccomp(2) EINVAL for a listener ·
 *   listener: this process holds a listener already · killable: WAIT_KILLABLE_RECV is unknown (kernel before 5.19) */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(int argc, char **argv) {
    if (argc < 3) return 2;
    unsigned number = SYS_seccomp, error = EACCES, flags = 0;
    if (!strcmp(argv[1], "getfd")) number = SYS_pidfd_getfd, error = EPERM;
    if (!strcmp(argv[1], "old")) error = EINVAL;
    struct sock_filter f[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[1])),
        BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, 0, 0, 1), /* always; killable tests the flag instead */
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    if (!strcmp(argv[1], "killable")) {
        error = EINVAL;
        f[3] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, 1u << 5, 0, 1);
        f[4].k = SECCOMP_RET_ERRNO | error;
    }
    if (!strcmp(argv[1], "listener")) {
        f[4].k = SECCOMP_RET_ALLOW;
        flags = SECCOMP_FILTER_FLAG_NEW_LISTENER;
    }
    struct sock_fprog p = {sizeof f / sizeof f[0], f};
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    long fd = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &p);
    if (fd < 0) {
        perror("seccomp");
        return 1;
    }
    if (flags) fcntl((int)fd, F_SETFD, 0); /* kept open across exec: a listener that is closed answers nothing */
    execv(argv[2], argv + 2);
    perror(argv[2]);
    return 127;
}
