/* access.c - the ways into a process of the tree that this machine allows, found by trying them on one. Docker's default seccomp profile denies
 * pidfd_getfd(2); others deny process_vm_readv(2) too; Yama (kernel.yama.ptrace_scope 2 and 3) denies the memory as such. */
#include "trap.h"
#include <sys/prctl.h>
#include <sys/wait.h>

bool without_getfd;

/* `at` is readable in it, and `fd` is open. 0, or -errno: its memory is closed to us, so nothing of its calls could be understood. */
int access_try(pid_t pid, int fd, const void *at) {
    uint64_t word;
    without_getfd = memory_by_file = false;
    int duplicate = fd_duplicate(pid, fd);
    if (duplicate >= 0) close(duplicate);
    ssize_t k = mem_read(pid, (uint64_t)at, &word, sizeof word);
    if (k < 0) {
        memory_by_file = true;
        if (mem_read(pid, (uint64_t)at, &word, sizeof word) >= 0) k = 0;
    }
    without_getfd = duplicate < 0;
    return k < 0 ? (int)k : 0;
}
/* On a child that does nothing: Yama judges children, not ourselves. */
int access_find(void) {
    static const uint64_t word = 1;
    pid_t supervisor = getpid(), child = fork();
    if (child < 0) return -errno;
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
        while (getppid() == supervisor) pause();
        _exit(0);
    }
    int error = access_try(child, wire_fd, &word);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    return error;
}
