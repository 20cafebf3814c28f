/* caller.c - acting on local files for a process of the tree: with its file system user, groups and umask. setfsuid(2) and the raw
 * setgroups(2) concern the calling thread only, and drop the capabilities that root's access to files needs. */
#include "trap.h"
#include <grp.h>
#include <sys/fsuid.h>

struct identity { uid_t fsuid; gid_t fsgid; uint32_t umask; int count; gid_t groups[64]; };
static struct identity ours;
static bool begun, changed;

static bool read_identity(pid_t tid, struct identity *i) {
    char path[40], text[4096], *at;
    memset(i, 0, sizeof *i);
    snprintf(path, sizeof path, "/proc/%d/status", tid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return false;
    ssize_t n = read(fd, text, sizeof text - 1);
    close(fd);
    if (n <= 0) return false;
    text[n] = 0;
    if ((at = strstr(text, "\nUmask:"))) i->umask = (uint32_t)strtoul(at + 7, NULL, 8);
    if (!(at = strstr(text, "\nUid:")) || sscanf(at + 5, "%*u %*u %*u %u", &i->fsuid) != 1) return false;
    if (!(at = strstr(text, "\nGid:")) || sscanf(at + 5, "%*u %*u %*u %u", &i->fsgid) != 1) return false;
    if ((at = strstr(text, "\nGroups:"))) {
        at += 8;
        while (i->count < 64) {
            char *end;
            unsigned long group = strtoul(at, &end, 10);
            if (end == at || memchr(at, '\n', (size_t)(end - at))) break;
            i->groups[i->count++] = (gid_t)group;
            at = end;
            if (*at == '\n' || (*at == ' ' && at[1] == '\n')) break;
        }
    }
    return true;
}
uint32_t caller_umask(pid_t tid) {
    struct identity i;
    return read_identity(tid, &i) ? i.umask : 0;
}
void caller_begin(pid_t tid) {
    struct identity i;
    if (!read_identity(tid, &i)) return; /* it ended: whatever we do has no effect any more */
    begun = true;
    ours.umask = umask((mode_t)i.umask);
    ours.fsuid = geteuid();
    ours.fsgid = getegid();
    ours.count = getgroups(64, ours.groups);
    changed = geteuid() == 0 && (i.fsuid != ours.fsuid || i.fsgid != ours.fsgid);
    if (!changed) return;
    syscall(SYS_setgroups, (size_t)i.count, i.groups);
    setfsgid(i.fsgid);
    setfsuid(i.fsuid);
}
void caller_begin_at(pid_t tid, const struct place *p) {
    if (p->class != PLACE_OVERLAY) caller_begin(tid);
}
void caller_end(void) {
    if (!begun) return;
    begun = false;
    umask((mode_t)ours.umask);
    if (!changed) return;
    setfsuid(ours.fsuid);
    setfsgid(ours.fsgid);
    syscall(SYS_setgroups, (size_t)(ours.count < 0 ? 0 : ours.count), ours.groups);
    changed = false;
}
