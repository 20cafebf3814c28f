/* calls.c - system calls that concern processes as a whole. */
#include "trap.h"

void processes_filter(struct filter *f) {
    filter_refuse(f, SYS_io_uring_setup, ENOSYS); /* its operations pass no filter: runtimes fall back to ordinary calls */
    filter_trap_bits(f, SYS_seccomp, 1, SECCOMP_FILTER_FLAG_NEW_LISTENER);
    if (config.hostname[0]) filter_trap(f, SYS_uname);
    if (config.nskip) filter_trap_exec(f);
}
/* A task has one listener, which is ours: the kernel would say EBUSY too, but tell nobody. */
static void refuse_listener(const notif *n) {
    static pid_t told;
    char name[64];
    pid_t process = process_of(n->pid);
    process_name(process, name, sizeof name);
    if (told != process)
        warn("process %d (%s) wants to supervise system calls itself (seccomp user notification), which cannot be had below mirrord: it gets EBUSY. "
             "Run it without that, or name it in skip_processes if it goes on without; filters that need no supervisor work", process, name);
    told = process;
    answer_error(n, EBUSY);
}
bool on_process(const notif *n) {
    switch (n->data.nr) {
    case SYS_uname: return on_hostname(n);
    case SYS_seccomp: refuse_listener(n); return true;
    default: return false;
    }
}
