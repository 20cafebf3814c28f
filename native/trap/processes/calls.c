/* calls.c - system calls that concern processes as a whole. */
#include "trap.h"

void processes_filter(struct filter *f) {
    filter_refuse(f, SYS_io_uring_setup, ENOSYS); /* its operations pass no filter: runtimes fall back to ordinary calls */
}
bool on_process(const notif *n) {
    (void)n;
    return false;
}
