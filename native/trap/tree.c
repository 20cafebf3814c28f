/* tree.c - every process below us: signals to all, and the end of all. Both processes of the trap are subreapers, so a
 * daemon that forked twice and made its own session is still a descendant. */
#include "trap.h"
#include <dirent.h>
#include <sys/wait.h>
#include <time.h>

struct process { pid_t pid, parent; bool mine; };

pid_t parent_of(pid_t pid) {
    const char *fields = proc_stat(pid);
    int parent;
    return fields && sscanf(fields, "%*c %d", &parent) == 1 ? parent : -1;
}
/* From /proc as a whole: /proc/PID/task/TID/children needs CONFIG_PROC_CHILDREN and is not complete while processes end. */
static struct process *snapshot(size_t *count) {
    size_t n = 0, cap = 1024;
    struct process *all = malloc(cap * sizeof *all);
    DIR *proc = opendir("/proc");
    struct dirent *e;
    while (proc && all && (e = readdir(proc))) {
        if (e->d_name[0] < '1' || e->d_name[0] > '9') continue;
        pid_t pid = (pid_t)atoi(e->d_name), parent = parent_of(pid);
        if (parent < 0) continue;
        if (n == cap) {
            struct process *more = realloc(all, (cap *= 2) * sizeof *all);
            if (!more) break;
            all = more;
        }
        all[n++] = (struct process){pid, parent, false};
    }
    if (proc) closedir(proc);
    *count = all ? n : 0;
    return all;
}
static int by_pid(const void *a, const void *b) {
    return ((const struct process *)a)->pid - ((const struct process *)b)->pid;
}
void tree_signal(pid_t root, int signal) {
    size_t n;
    spare_keep(false);
    struct process *all = snapshot(&n);
    spare_keep(true);
    bool more = true;
    if (!all) return;
    qsort(all, n, sizeof *all, by_pid);
    while (more) {
        more = false;
        for (size_t i = 0; i < n; i++) {
            if (all[i].mine) continue;
            struct process key = {all[i].parent, 0, false}, *parent = bsearch(&key, all, n, sizeof *all, by_pid);
            if (all[i].parent != root && !(parent && parent->mine)) continue;
            all[i].mine = more = true;
        }
    }
    for (size_t i = 0; i < n; i++)
        if (all[i].mine) kill(all[i].pid, signal);
    free(all);
}
/* The outer process: waits; when the supervisor is gone, whatever it had is ours, and ends. A process with a SIGKILL
 * pending cannot fork, so each round leaves only what was born since its snapshot. */
int reap_all_of(pid_t supervisor) {
    int status = 0, result = 70;
    for (pid_t p; (p = waitpid(-1, &status, 0)) != supervisor;)
        if (p < 0 && errno == ECHILD) return result;
    if (WIFEXITED(status)) result = WEXITSTATUS(status);
    for (;;) {
        pid_t p = waitpid(-1, NULL, WNOHANG);
        if (p < 0 && errno == ECHILD) return result;
        if (p > 0) continue;
        tree_signal(getpid(), SIGKILL);
        nanosleep(&(struct timespec){0, 2 * (long)MS}, NULL);
    }
}
