/* deny WHAT[,WHAT...] PROGRAM ARGUMENTS - runs the program where some calls are refused.
 *   getfd: pidfd_getfd EPERM · docker: what Docker's default profile refuses without SYS_PTRACE · vm: process_vm_readv and writev EPERM ·
 *   memory: /proc/PID/mem too, as Yama does · seccomp: seccomp(2) EACCES · old: seccomp(2) EINVAL for a listener · listener: this process
 *   holds a listener already · killable: WAIT_KILLABLE_RECV is unknown (before 5.19) · wake: so is SYNC_WAKE_UP (before 6.6) */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SECCOMP_IOCTL_NOTIF_SET_FLAGS
#define SECCOMP_IOCTL_NOTIF_SET_FLAGS SECCOMP_IOW(4, __u64)
#endif
/* argument 0: always; else where that argument (of those from 1 on) equals `value`, or has its bits. */
struct rule { const char *name; unsigned number, error, argument, compare, value; };
static const struct rule rules[] = {
    {"getfd", SYS_pidfd_getfd, EPERM, 0, 0, 0},
    {"docker", SYS_pidfd_getfd, EPERM, 0, 0, 0},
    {"docker", SYS_kcmp, EPERM, 0, 0, 0},
    {"docker", SYS_process_madvise, EPERM, 0, 0, 0},
    {"docker", SYS_clone3, ENOSYS, 0, 0, 0},
    {"docker", SYS_unshare, EPERM, 0, 0, 0},
    {"docker", SYS_mount, EPERM, 0, 0, 0},
    {"docker", SYS_setns, EPERM, 0, 0, 0},
    {"vm", SYS_process_vm_readv, EPERM, 0, 0, 0},
    {"vm", SYS_process_vm_writev, EPERM, 0, 0, 0},
    {"memory", SYS_process_vm_readv, EPERM, 0, 0, 0},
    {"memory", SYS_process_vm_writev, EPERM, 0, 0, 0},
    {"memory", SYS_ptrace, EPERM, 0, 0, 0},
    {"memory", SYS_preadv, EPERM, 0, 0, 0},
    {"memory", SYS_pwritev, EPERM, 0, 0, 0},
    {"seccomp", SYS_seccomp, EACCES, 0, 0, 0},
    {"old", SYS_seccomp, EINVAL, 0, 0, 0},
    {"killable", SYS_seccomp, EINVAL, 1, BPF_JSET, 1u << 5},
    {"wake", SYS_ioctl, EINVAL, 1, BPF_JEQ, (unsigned)SECCOMP_IOCTL_NOTIF_SET_FLAGS},
};

int main(int argc, char **argv) {
    if (argc < 3) return 2;
    static struct sock_filter f[200];
    unsigned short n = 0;
    unsigned flags = 0;
    f[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
    for (char *what = strtok(argv[1], ","); what; what = strtok(NULL, ",")) {
        int known = !strcmp(what, "listener");
        if (known) flags = SECCOMP_FILTER_FLAG_NEW_LISTENER;
        for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++) {
            const struct rule *r = &rules[i];
            if (strcmp(r->name, what)) continue;
            known = 1;
            f[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, r->number, 0, r->argument ? 4 : 1);
            if (r->argument) {
                f[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args) + 8 * r->argument);
                f[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | r->compare | BPF_K, r->value, 0, 1);
            }
            f[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | r->error);
            if (r->argument) f[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
        }
        if (!known) {
            fprintf(stderr, "deny: %s is not known\n", what);
            return 2;
        }
    }
    f[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    struct sock_fprog p = {n, f};
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
