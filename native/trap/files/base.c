/* base.c - links in /proc, and where a relative path starts from. Working directories are remembered: the link costs as much as half a
 * notification. chdir and fchdir are trapped and empty the memory; nothing is remembered until they have surely been done (another thread may
 * share the directory), and nothing for longer than a second (a directory may be renamed, a thread's number used again). */
#include "trap.h"

#define KEPT (1000 * MS)

struct directory { pid_t tid; uint32_t generation; uint64_t until; uint16_t length; char path[230]; };
static struct directory directories[512];
static uint32_t generation = 1;
static uint64_t changed_at;

ssize_t path_link(pid_t tid, const char *name, char to[PATH_MAX]) {
    char link[64];
    snprintf(link, sizeof link, "/proc/%d/%s", tid, name);
    ssize_t k = readlink(link, to, PATH_MAX - 1);
    if (k < 0) return -errno;
    to[k] = 0;
    /* The session replaces a copy when the remote file has changed: who has the former one open still means that path. */
    static const char gone[] = " (deleted)";
    struct stat st;
    if (k > (ssize_t)sizeof gone && !strcmp(to + k - (sizeof gone - 1), gone) && path_below_files(to) && lstat(to, &st)) to[k -= sizeof gone - 1] = 0;
    return k;
}
void base_changed(void) {
    generation++;
    changed_at = now_ns();
}
bool local_fchdir(const notif *n, const struct place *p) {
    (void)n, (void)p;
    base_changed();
    return false;
}
static ssize_t working_directory(pid_t tid, char to[PATH_MAX]) {
    struct directory *d = &directories[(unsigned)tid % 512];
    uint64_t now = now_ns();
    if (d->tid == tid && d->generation == generation && now < d->until) {
        memcpy(to, d->path, d->length + 1);
        return d->length;
    }
    ssize_t k = path_link(tid, "cwd", to);
    if (k <= 0 || (size_t)k >= sizeof d->path || now - changed_at < KEPT) return k;
    d->tid = tid;
    d->generation = generation;
    d->until = now + KEPT;
    d->length = (uint16_t)k;
    memcpy(d->path, to, (size_t)k + 1);
    return k;
}
ssize_t base_of(pid_t tid, int at, char to[PATH_MAX]) {
    char name[24];
    if (at == AT_FDCWD) return working_directory(tid, to);
    snprintf(name, sizeof name, "fd/%d", at);
    return path_link(tid, name, to);
}
