/* overlay.c - files of the target over local paths: exact absolute paths, for reading. */
#include "trap.h"
#include <linux/limits.h>
#include <linux/openat2.h>
#include <linux/stat.h>
#include <sys/syscall.h>

/* "." and ".." and double slashes taken out of an absolute path, in place. Symbolic links are not followed. */
static void normalise(char *path) {
    char *out = path;
    for (char *in = path; *in;) {
        while (*in == '/') in++;
        size_t n = strcspn(in, "/");
        if (n == 2 && in[0] == '.' && in[1] == '.') {
            while (out > path && *--out != '/') continue;
        } else if (n && !(n == 1 && in[0] == '.')) {
            *out++ = '/';
            memmove(out, in, n);
            out += n;
        }
        in += n;
    }
    if (out == path) *out++ = '/';
    *out = 0;
}
/* Directory that a relative path starts from. */
static ssize_t base_of(pid_t tid, int at, char *to, size_t cap) {
    char link[40];
    if (at == AT_FDCWD) snprintf(link, sizeof link, "/proc/%d/cwd", tid);
    else snprintf(link, sizeof link, "/proc/%d/fd/%d", tid, at);
    return readlink(link, to, cap);
}
static bool in_our_root(pid_t tid) { /* not chrooted */
    char link[40], root[2];
    snprintf(link, sizeof link, "/proc/%d/root", tid);
    return readlink(link, root, sizeof root) == 1 && root[0] == '/';
}
static const struct overlay *overlay_of(const notif *n, int at, uint64_t path_at) {
    char path[PATH_MAX], full[2 * PATH_MAX];
    ssize_t k = mem_string(n->pid, path_at, path, sizeof path);
    if (k < 0) mem_refused(n->pid, k, "files");
    if (k <= 0) return NULL;
    const char *name = strrchr(path, '/');
    name = name ? name + 1 : path;
    bool possible = false; /* cheap for every other path */
    for (uint32_t i = 0; i < config.noverlays; i++) possible |= !strcmp(config.overlays[i].name, name);
    if (!possible) return NULL;
    size_t used = 0;
    if (path[0] != '/') {
        ssize_t base = base_of(n->pid, at, full, PATH_MAX - 1);
        if (base <= 0 || full[0] != '/') return NULL;
        used = (size_t)base;
        full[used++] = '/';
    }
    memcpy(full + used, path, (size_t)k + 1);
    normalise(full);
    for (uint32_t i = 0; i < config.noverlays; i++)
        if (!strcmp(config.overlays[i].path, full)) return in_our_root(n->pid) ? &config.overlays[i] : NULL;
    return NULL;
}

static void open_overlay(const notif *n, const struct overlay *o, uint64_t flags) {
    if ((flags & O_ACCMODE) != O_RDONLY || (flags & (O_CREAT | O_TRUNC))) {
        if (!(flags & O_PATH)) { /* the local file, as asked */
            answer_continue(n);
            return;
        }
    }
    int fd = open(o->source, (int)flags | O_CLOEXEC);
    int r = fd < 0 ? -errno : inject(n, fd, flags & O_CLOEXEC, -1);
    if (r < 0 && r != -ENOENT) answer_error(n, -r);
    else if (fd < 0) answer_error(n, ENOENT);
    if (fd >= 0) close(fd);
}
static void open_how(const notif *n, const struct overlay *o) { /* openat2: the struct may grow, its start is fixed */
    struct open_how how;
    if (n->data.args[3] < sizeof how || mem_read(n->pid, n->data.args[2], &how, sizeof how) < 0 || how.resolve) answer_continue(n);
    else open_overlay(n, o, how.flags);
}
/* The kernel's own struct of the native call goes to the program: raw calls, so no libc form gets in between. */
static void stat_overlay(const notif *n, const struct overlay *o, uint64_t to) {
    union { struct stat st; uint8_t bytes[512]; } buffer;
    memset(&buffer, 0, sizeof buffer);
    if (syscall(SYS_newfstatat, AT_FDCWD, o->source, &buffer, 0)) answer_error(n, errno);
    else answer_result(n, mem_write(n->pid, to, &buffer, sizeof buffer.st) < 0 ? -EFAULT : 0);
}
static void statx_overlay(const notif *n, const struct overlay *o) {
    const __u64 *a = n->data.args;
    uint8_t buffer[256]; /* struct statx, fixed size */
    memset(buffer, 0, sizeof buffer);
    if (syscall(SYS_statx, AT_FDCWD, o->source, (int)a[2] & ~AT_EMPTY_PATH, (unsigned)a[3], buffer)) answer_error(n, errno);
    else answer_result(n, mem_write(n->pid, a[4], buffer, sizeof buffer) < 0 ? -EFAULT : 0);
}
static void access_overlay(const notif *n, const struct overlay *o, int mode) {
    answer_result(n, access(o->source, mode) ? -errno : 0);
}

bool files_configure(void) { return true; }
void file_answered(struct reader *r) { r->bad = true; }
void files_changed(void) {}
void files_filter(struct filter *f) {
    if (!config.noverlays) return;
#ifdef SYS_open
    filter_trap(f, SYS_open);
    filter_trap(f, SYS_stat);
    filter_trap(f, SYS_lstat);
    filter_trap(f, SYS_access);
    filter_trap(f, SYS_readlink);
#endif
    filter_trap(f, SYS_openat);
    filter_trap(f, SYS_openat2);
    filter_trap(f, SYS_newfstatat);
    filter_trap(f, SYS_statx);
    filter_trap(f, SYS_faccessat);
    filter_trap(f, SYS_faccessat2);
    filter_trap(f, SYS_readlinkat);
}
bool on_file(const notif *n) {
    const __u64 *a = n->data.args;
    const struct overlay *o;
    bool first_is_path = false;
#ifdef SYS_open
    first_is_path = n->data.nr == SYS_open || n->data.nr == SYS_stat || n->data.nr == SYS_lstat || n->data.nr == SYS_access || n->data.nr == SYS_readlink;
#endif
    switch (n->data.nr) {
#ifdef SYS_open
    case SYS_open: case SYS_stat: case SYS_lstat: case SYS_access: case SYS_readlink:
#endif
    case SYS_openat: case SYS_openat2: case SYS_newfstatat: case SYS_statx: case SYS_faccessat: case SYS_faccessat2: case SYS_readlinkat:
        o = first_is_path ? overlay_of(n, AT_FDCWD, a[0]) : overlay_of(n, (int)a[0], a[1]);
        break;
    default: return false;
    }
    if (!o) {
        answer_continue(n);
        return true;
    }
    switch (n->data.nr) {
#ifdef SYS_open
    case SYS_open: open_overlay(n, o, a[1]); break;
    case SYS_stat: case SYS_lstat: stat_overlay(n, o, a[1]); break;
    case SYS_access: access_overlay(n, o, (int)a[1]); break;
    case SYS_readlink:
#endif
    case SYS_readlinkat: answer_error(n, EINVAL); break; /* a plain file: realpath(3) stays at this path */
    case SYS_openat: open_overlay(n, o, a[2]); break;
    case SYS_openat2: open_how(n, o); break;
    case SYS_newfstatat: stat_overlay(n, o, a[2]); break;
    case SYS_statx: statx_overlay(n, o); break;
    default: access_overlay(n, o, (int)a[2]); break; /* faccessat, faccessat2 */
    }
    return true;
}
