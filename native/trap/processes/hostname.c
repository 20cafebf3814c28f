/* hostname.c - uname(2), so gethostname(3) too, shows the pod's host name. */
#include "trap.h"
#include <sys/personality.h>
#include <sys/utsname.h>

/* Whoever made a UTS namespace, or named this machine anew, shall see that. */
static bool named_otherwise(pid_t tid, const struct utsname *now) {
    static char first[sizeof now->nodename];
    char path[40];
    struct stat ours, its;
    if (!first[0]) memcpy(first, now->nodename, sizeof first);
    if (strcmp(first, now->nodename)) return true;
    snprintf(path, sizeof path, "/proc/%d/ns/uts", tid);
    return stat("/proc/self/ns/uts", &ours) || stat(path, &its) || ours.st_ino != its.st_ino;
}
static unsigned long personality_of(pid_t tid) {
    const char *text = proc_text(tid, "personality");
    return text ? strtoul(text, NULL, 16) : 0;
}
/* The caller's personality decides on machine and release (setarch(8)): we take it on for our own call. */
static bool uname_as(pid_t tid, struct utsname *u) {
    unsigned long its = personality_of(tid);
    bool special = (its & PER_MASK) != PER_LINUX || (its & UNAME26);
    int own = special ? personality(its) : 0;
    bool done = uname(u) == 0;
    if (special) personality((unsigned long)own);
    return done;
}
bool on_hostname(const notif *n) {
    struct utsname u;
    memset(&u, 0, sizeof u);
    if (!uname_as(n->pid, &u) || named_otherwise(n->pid, &u)) return false;
    memset(u.nodename, 0, sizeof u.nodename);
    memcpy(u.nodename, config.hostname, strlen(config.hostname)); /* config_read: at most 64 of 65 bytes */
    ssize_t k = mem_write(n->pid, n->data.args[0], &u, sizeof u);
    if (k < 0 && k != -EFAULT) return false;
    answer_result(n, k < 0 ? k : 0);
    return true;
}
