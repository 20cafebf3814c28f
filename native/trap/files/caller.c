/* caller.c - acting on local files for a process of the tree: with its file system user, groups, capabilities and umask. setfsuid(2), the raw
 * setgroups(2) and capset(2) concern the calling thread only. */
#include "trap.h"
#include <grp.h>
#include <linux/capability.h>
#include <sys/fsuid.h>

#define GROUPS 65536 /* NGROUPS_MAX */
struct identity { uid_t fsuid; gid_t fsgid; uint32_t umask; uint64_t capabilities; int count; gid_t groups[GROUPS]; };
static struct identity ours, its;
static bool begun, changed;

/* setfsuid alone leaves the capabilities that are not about files: CAP_SYS_PTRACE opens anybody's /proc/PID/mem. */
static struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
static uint64_t permitted(void) {
    struct __user_cap_data_struct d[2] = {{0}, {0}};
    syscall(SYS_capget, &header, d);
    return d[0].permitted | (uint64_t)d[1].permitted << 32;
}
static void take_effect(uint64_t effective, uint64_t all) {
    struct __user_cap_data_struct d[2] = {{(uint32_t)effective, (uint32_t)all, 0}, {(uint32_t)(effective >> 32), (uint32_t)(all >> 32), 0}};
    syscall(SYS_capset, &header, d);
}
static bool own_user_namespace(pid_t tid) { /* capabilities of a namespace of its own mean nothing for files of ours */
    char path[40];
    struct stat ns, all;
    snprintf(path, sizeof path, "/proc/%d/ns/user", tid);
    return stat("/proc/self/ns/user", &all) || stat(path, &ns) || ns.st_ino != all.st_ino;
}
static bool read_identity(pid_t tid, struct identity *i) {
    const char *text = proc_text(tid, "status"), *at;
    i->count = 0;
    if (!text || !(at = proc_field(text, "\nUmask:"))) return false;
    i->umask = (uint32_t)strtoul(at, NULL, 8);
    if (!(at = proc_field(text, "\nUid:")) || sscanf(at, "%*u %*u %*u %u", &i->fsuid) != 1) return false;
    if (!(at = proc_field(text, "\nGid:")) || sscanf(at, "%*u %*u %*u %u", &i->fsgid) != 1) return false;
    if (!(at = proc_field(text, "\nCapEff:"))) return false;
    i->capabilities = strtoull(at, NULL, 16);
    if (!(at = proc_field(text, "\nGroups:"))) return false;
    while (i->count < GROUPS) {
        while (*at == ' ' || *at == '\t') at++;
        if (*at < '0' || *at > '9') break;
        char *end;
        i->groups[i->count++] = (gid_t)strtoul(at, &end, 10);
        at = end;
    }
    return true;
}
uint32_t caller_umask(pid_t tid) {
    const char *text = proc_text(tid, "status"), *at = text ? proc_field(text, "\nUmask:") : NULL;
    return at ? (uint32_t)strtoul(at, NULL, 8) : 0;
}
void caller_begin(pid_t tid) {
    uint64_t all = permitted();
    if (!read_identity(tid, &its)) its.fsuid = its.fsgid = 65534, its.umask = 077, its.capabilities = 0, its.count = 0; /* it ended: with nobody's rights */
    if (its.capabilities && own_user_namespace(tid)) its.capabilities = 0;
    begun = true;
    ours.umask = umask((mode_t)its.umask);
    ours.fsuid = geteuid();
    ours.fsgid = getegid();
    ours.capabilities = all;
    its.capabilities &= all;
    changed = geteuid() == 0 && (its.fsuid != ours.fsuid || its.fsgid != ours.fsgid || its.capabilities != all);
    if (!changed) return;
    ours.count = getgroups(GROUPS, ours.groups);
    syscall(SYS_setgroups, (size_t)its.count, its.groups);
    setfsgid(its.fsgid);
    setfsuid(its.fsuid);
    take_effect(its.capabilities, all);
}
void caller_begin_at(pid_t tid, const struct place *p) {
    if (p->class != PLACE_OVERLAY) caller_begin(tid);
}
void caller_end(void) {
    if (!begun) return;
    begun = false;
    umask((mode_t)ours.umask);
    if (!changed) return;
    take_effect(ours.capabilities, ours.capabilities);
    setfsuid(ours.fsuid);
    setfsgid(ours.fsgid);
    syscall(SYS_setgroups, (size_t)(ours.count < 0 ? 0 : ours.count), ours.groups);
    changed = false;
}
