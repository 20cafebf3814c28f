/* write.c - the calls that change remote files, by path and by descriptor. The session does each in the target before it is answered. */
#include "trap.h"
#include <linux/fs.h>
#include <sys/time.h>
#include <sys/xattr.h>
#include <utime.h>

#ifndef SYS_fchmodat2
#define SYS_fchmodat2 452 /* kernel 6.6 */
#endif
#define NOTHING 1 /* a change that changes nothing: 0 */

/* fchownat(2) and others with AT_EMPTY_PATH and "": the descriptor itself. */
static bool is_empty(const notif *n, int flags) {
    char path[2];
    return n->data.args[flags] & AT_EMPTY_PATH && mem_string(n->pid, n->data.args[1], path, sizeof path) == 0;
}
static bool on_descriptor(const notif *n) {
    switch (n->data.nr) {
    case SYS_fchmod: case SYS_fchown: case SYS_fsync: case SYS_fdatasync: case SYS_sync_file_range: case SYS_fsetxattr: case SYS_fremovexattr:
    case SYS_close: case SYS_dup3:
#ifdef SYS_dup2
    case SYS_dup2:
#endif
        return true;
    case SYS_utimensat: return !n->data.args[1] || is_empty(n, 3);
    case SYS_fchmodat2: return is_empty(n, 3);
    case SYS_fchownat: return is_empty(n, 4);
#ifdef SYS_futimesat
    case SYS_futimesat: return !n->data.args[1];
#endif
    default: return false;
    }
}
static bool closes(const notif *n) {
#ifdef SYS_dup2
    if (n->data.nr == SYS_dup2) return true;
#endif
    return n->data.nr == SYS_close || n->data.nr == SYS_dup3;
}
static bool syncs(const notif *n) { return n->data.nr == SYS_fsync || n->data.nr == SYS_fdatasync || n->data.nr == SYS_sync_file_range; }
static int descriptor(const notif *n) { return (int)n->data.args[closes(n) && n->data.nr != SYS_close ? 1 : 0]; }

/* ---- arguments ---- */
static int times_ns(const notif *n, uint64_t at, struct file_question *q, int64_t to[4]) { /* two timespec */
    struct timespec t[2] = {{0, UTIME_NOW}, {0, UTIME_NOW}};
    if (at && mem_read(n->pid, at, t, sizeof t) < 0) return -EFAULT;
    for (int i = 0; i < 2; i++) {
        if (t[i].tv_nsec != UTIME_NOW && t[i].tv_nsec != UTIME_OMIT && (t[i].tv_nsec < 0 || t[i].tv_nsec > 999999999)) return -EINVAL;
        to[2 * i] = t[i].tv_sec;
        to[2 * i + 1] = t[i].tv_nsec;
    }
    q->count = 4;
    return t[0].tv_nsec == UTIME_OMIT && t[1].tv_nsec == UTIME_OMIT ? NOTHING : 0;
}
#ifdef SYS_utimes
static int times_us(const notif *n, uint64_t at, struct file_question *q, int64_t to[4]) { /* two timeval */
    struct timeval t[2];
    if (!at) return times_ns(n, 0, q, to);
    if (mem_read(n->pid, at, t, sizeof t) < 0) return -EFAULT;
    for (int i = 0; i < 2; i++) {
        if (t[i].tv_usec < 0 || t[i].tv_usec > 999999) return -EINVAL;
        to[2 * i] = t[i].tv_sec;
        to[2 * i + 1] = t[i].tv_usec * 1000;
    }
    q->count = 4;
    return 0;
}
static int times_s(const notif *n, uint64_t at, struct file_question *q, int64_t to[4]) { /* utimbuf */
    struct utimbuf t;
    if (!at) return times_ns(n, 0, q, to);
    if (mem_read(n->pid, at, &t, sizeof t) < 0) return -EFAULT;
    to[0] = t.actime, to[2] = t.modtime, to[1] = to[3] = 0;
    q->count = 4;
    return 0;
}
#endif
static int owner(uint64_t uid, uint64_t gid, struct file_question *q, int64_t to[4]) {
    to[0] = (int32_t)uid; /* (uid_t)-1 keeps */
    to[1] = (int32_t)gid;
    if ((uint32_t)uid != ~0u) to[0] = (uint32_t)uid;
    if ((uint32_t)gid != ~0u) to[1] = (uint32_t)gid;
    q->count = 2;
    return to[0] == -1 && to[1] == -1 ? NOTHING : 0;
}
static int make(struct file_call *fc, struct file_question *q, enum file_operation operation, uint64_t mode) {
    q->operation = operation;
    q->mode = (uint32_t)mode & 07777 & ~caller_umask(fc->n.pid);
    return 0;
}
static int change_mode(struct file_question *q, uint64_t mode, uint64_t flags) {
    q->operation = FILE_CHMOD;
    q->mode = (uint32_t)mode & 07777;
    q->flags = (uint32_t)flags;
    return flags & ~(uint64_t)(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH) ? -EINVAL : 0;
}
static int rename_to(struct file_question *q, uint64_t flags) {
    q->operation = FILE_RENAME;
    q->flags = (uint32_t)flags;
    return flags & ~7ull || ((flags & RENAME_EXCHANGE) && (flags & (RENAME_NOREPLACE | RENAME_WHITEOUT))) ? -EINVAL : 0;
}
static int text(struct file_call *fc, struct file_question *q, uint64_t at) {
    q->operation = FILE_SYMLINK;
    if (!fc->data && !(fc->data = malloc(PATH_MAX))) abort();
    ssize_t k = mem_string(fc->n.pid, at, fc->data, PATH_MAX);
    q->other = fc->data;
    return k < 0 ? (int)k : k == 0 ? -ENOENT : 0;
}
/* The question that the call's arguments make, without paths. Negative: -errno. */
static int decode(struct file_call *fc, struct file_question *q, int64_t numbers[4]) {
    const notif *n = &fc->n;
    const __u64 *a = n->data.args;
    switch (n->data.nr) {
#ifdef SYS_mkdir
    case SYS_mkdir: return make(fc, q, FILE_MKDIR, a[1]);
    case SYS_rmdir: q->operation = FILE_RMDIR; return 0;
    case SYS_unlink: q->operation = FILE_UNLINK; return 0;
    case SYS_rename: return rename_to(q, 0);
    case SYS_chmod: return change_mode(q, a[1], 0);
    case SYS_chown: q->operation = FILE_CHOWN; return owner(a[1], a[2], q, numbers);
    case SYS_lchown: q->operation = FILE_CHOWN; q->flags = AT_SYMLINK_NOFOLLOW; return owner(a[1], a[2], q, numbers);
    case SYS_utime: q->operation = FILE_UTIMENS; return times_s(n, a[1], q, numbers);
    case SYS_utimes: q->operation = FILE_UTIMENS; return times_us(n, a[1], q, numbers);
    case SYS_futimesat: q->operation = FILE_UTIMENS; return times_us(n, a[2], q, numbers);
    case SYS_link: q->operation = FILE_LINK; return 0;
    case SYS_symlink: return text(fc, q, a[0]);
#endif
    case SYS_mkdirat: return make(fc, q, FILE_MKDIR, a[2]);
    case SYS_unlinkat:
        q->operation = a[2] & AT_REMOVEDIR ? FILE_RMDIR : FILE_UNLINK;
        return (uint32_t)a[2] & ~(uint32_t)AT_REMOVEDIR ? -EINVAL : 0;
#ifdef SYS_renameat
    case SYS_renameat: return rename_to(q, 0);
#endif
    case SYS_renameat2: return rename_to(q, (uint32_t)a[4]);
    case SYS_fchmodat: return change_mode(q, a[2], 0);
    case SYS_fchmodat2: return change_mode(q, a[2], (uint32_t)a[3]);
    case SYS_fchmod: return change_mode(q, a[1], 0);
    case SYS_fchownat:
        q->operation = FILE_CHOWN;
        q->flags = (uint32_t)a[4];
        return q->flags & ~(uint32_t)(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH) ? -EINVAL : owner(a[2], a[3], q, numbers);
    case SYS_fchown: q->operation = FILE_CHOWN; return owner(a[1], a[2], q, numbers);
    case SYS_utimensat:
        q->operation = FILE_UTIMENS;
        q->flags = (uint32_t)a[3];
        return q->flags & ~(uint32_t)(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH) ? -EINVAL : times_ns(n, a[2], q, numbers);
    case SYS_truncate:
        q->operation = FILE_TRUNCATE;
        numbers[0] = (int64_t)a[1];
        q->count = 1;
        return numbers[0] < 0 ? -EINVAL : 0;
    case SYS_linkat:
        q->operation = FILE_LINK;
        q->flags = (uint32_t)a[4];
        return q->flags & ~(uint32_t)(AT_SYMLINK_FOLLOW | AT_EMPTY_PATH) ? -EINVAL : 0;
    case SYS_symlinkat: return text(fc, q, a[0]);
    case SYS_fsync: case SYS_fdatasync: case SYS_sync_file_range: q->operation = FILE_SYNC; return 0;
    case SYS_setxattr: case SYS_lsetxattr: case SYS_removexattr: case SYS_lremovexattr: case SYS_fsetxattr: case SYS_fremovexattr: return -EOPNOTSUPP;
    default: q->operation = FILE_CLOSE; return 0; /* close, dup2, dup3 */
    }
}
static bool is_mknod(const notif *n) {
#ifdef SYS_mknod
    if (n->data.nr == SYS_mknod) return true;
#endif
    return n->data.nr == SYS_mknodat;
}

/* ---- local files that the kernel would not find ---- */
static int set_xattr(const notif *n, const char *path) {
    static char value[65536];
    char name[256];
    const __u64 *a = n->data.args;
    bool link = n->data.nr == SYS_lsetxattr || n->data.nr == SYS_lremovexattr;
    if (mem_string(n->pid, a[1], name, sizeof name) <= 0) return errno = ERANGE, -1;
    if (n->data.nr == SYS_removexattr || n->data.nr == SYS_lremovexattr) return link ? lremovexattr(path, name) : removexattr(path, name);
    if (a[3] > sizeof value) return errno = E2BIG, -1;
    if (mem_read(n->pid, a[2], value, a[3]) < 0) return errno = EFAULT, -1;
    return link ? lsetxattr(path, name, value, a[3], (int)a[4]) : setxattr(path, name, value, a[3], (int)a[4]);
}
static int act(struct file_call *fc, const struct file_question *q, const int64_t v[4], const char *path, const char *other) {
    const notif *n = &fc->n;
    const struct timespec t[2] = {{v[0], v[1]}, {v[2], v[3]}};
    switch (q->operation) {
    case FILE_MKDIR: return mkdir(path, q->mode);
    case FILE_RMDIR: return rmdir(path);
    case FILE_UNLINK: return unlink(path);
    case FILE_RENAME: return (int)syscall(SYS_renameat2, AT_FDCWD, path, AT_FDCWD, other, q->flags);
    case FILE_CHMOD: return q->flags & AT_SYMLINK_NOFOLLOW ? (int)syscall(SYS_fchmodat2, AT_FDCWD, path, q->mode, q->flags) : chmod(path, q->mode);
    case FILE_CHOWN: return fchownat(AT_FDCWD, path, (uid_t)v[0], (gid_t)v[1], (int)q->flags & AT_SYMLINK_NOFOLLOW);
    case FILE_UTIMENS: return utimensat(AT_FDCWD, path, t, (int)q->flags & AT_SYMLINK_NOFOLLOW);
    case FILE_TRUNCATE: return truncate(path, v[0]);
    case FILE_LINK: return linkat(AT_FDCWD, path, AT_FDCWD, other, (int)q->flags & AT_SYMLINK_FOLLOW);
    case FILE_SYMLINK: return symlink(q->other, path);
    default: break;
    }
    if (is_mknod(n)) {
        bool at = n->data.nr == SYS_mknodat;
        return mknod(path, (mode_t)n->data.args[at ? 2 : 1], (dev_t)n->data.args[at ? 3 : 2]);
    }
    return set_xattr(n, path);
}
static void change_local(struct file_call *fc, const struct file_question *q, const int64_t numbers[4]) {
    char path[PATH_MAX + 32], other[PATH_MAX + 32] = "";
    const struct place *p = fc->place;
    place_real(fc->n.pid, &p[0], path);
    if (fc->row->path2 != NO_PATH) place_real(fc->n.pid, &p[1], other);
    caller_begin(fc->n.pid);
    int error = act(fc, q, numbers, path, other) ? errno : 0;
    caller_end();
    file_result(fc, -error);
}

/* ---- remote ones ---- */
static void changed(struct file_call *fc, const struct file_answer *a) { file_result(fc, -a->error); }
static void warn_lost(const struct file_call *fc, int error) {
    warn("what process %d wrote to %s has not reached the target (%s), and its %s could not say so", process_of(fc->n.pid), fc->place[0].path, strerror(error),
         fc->n.data.nr == SYS_close ? "close" : "dup2");
}
/* The descriptor goes in any case (close(2), EIO). */
static void saved(struct file_call *fc, const struct file_answer *a) {
    struct goal g = {.nr = SYS_close, .args = {fc->n.data.args[0]}, .result = -a->error};
    if (a->error && fc->n.data.nr == SYS_close && restart_as(&fc->n, -1, &g) == 0) {
        file_drop(fc);
        return;
    }
    if (a->error) warn_lost(fc, a->error);
    file_continue(fc);
}
static void refuse_node(struct file_call *fc) {
    static bool told;
    if (!told) warn("%s: devices, FIFOs and sockets cannot be made in the target, the protocol has no request for them; the program gets EPERM", fc->place[0].path);
    told = true;
    file_result(fc, -EPERM);
}
/* "d/." and "d/.." name no entry that could be taken away; "f/" no file. 0, or -errno. */
static int last_name(const struct file_call *fc, enum file_operation operation, int which) {
    static char written[PATH_MAX];
    if (!fc->place[which].slash || (operation != FILE_RMDIR && operation != FILE_UNLINK && operation != FILE_RENAME)) return 0;
    int argument = which ? fc->row->path2 : fc->row->path;
    if (mem_string(fc->n.pid, fc->n.data.args[argument], written, sizeof written) < 0) return -EFAULT;
    const char *name = strrchr(written, '/');
    name = name ? name + 1 : written;
    if (operation == FILE_UNLINK) return *name ? -EISDIR : -ENOTDIR;
    if (!*name) return 0;
    return operation == FILE_RENAME ? -EBUSY : name[1] ? -ENOTEMPTY : -EINVAL;
}
void run_change(struct file_call *fc) {
    const struct place *p = fc->place;
    struct file_question q = {.path = p[0].path};
    int64_t numbers[4] = {0};
    bool two = fc->row->path2 != NO_PATH, remote = place_remote(&p[0]) || (two && place_remote(&p[1])), own = on_descriptor(&fc->n);
    int error = is_mknod(&fc->n) ? 0 : decode(fc, &q, numbers);
    bool nothing = error == NOTHING;
    q.numbers = numbers;
    if (two) q.other = p[1].path;
    if (error < 0 && (error != -EOPNOTSUPP || remote)) file_result(fc, error);
    else if (!remote) change_local(fc, &q, numbers);
    else if (two && !(place_remote(&p[0]) && place_remote(&p[1]))) file_result(fc, -EXDEV); /* mv copies then */
    else if (is_mknod(&fc->n)) refuse_node(fc);
    else if ((error = last_name(fc, q.operation, 0)) < 0 || (two && (error = last_name(fc, q.operation, 1)) < 0)) file_result(fc, error);
    else {
        if (own) object_at(fc->n.pid, descriptor(&fc->n), &q.object);
        if (nothing && own) file_result(fc, 0);
        else file_ask(fc, &q, q.operation == FILE_CLOSE ? saved : changed);
    }
}
/* A copy's descriptor: what is asked of it concerns the remote file. */
static bool local_descriptor(const notif *n, const struct place *places) {
    (void)places;
    uint64_t object;
    char name[24], link[PATH_MAX];
    struct place p = {.class = PLACE_WRITE};
    if (!files_given || !on_descriptor(n)) return false;
    const char *path = object_at(n->pid, descriptor(n), &object);
    bool about_content = closes(n) || syncs(n);
    if (!path && about_content) return false;
    if (!path) {
        snprintf(name, sizeof name, "fd/%d", descriptor(n));
        path = path_link(n->pid, name, link) > 0 ? path_below_files(link) : NULL;
        if (!path) return false;
    }
    if (closes(n) && n->data.nr != SYS_close && n->data.args[0] == n->data.args[1]) return false;
    memmove(link, path, strlen(path) + 1);
    p.path = link;
    p.length = strlen(link);
    if (!object_at(n->pid, descriptor(n), &object)) place_judge(n, &p);
    if (p.class == PLACE_WRITE) file_begin(n, &p);
    else answer_error(n, EROFS);
    return true;
}
/* chmod("/proc/self/fd/5"): by that name the kernel would find the copy, and change no more than that. */
static bool local_name(const notif *n, const struct place *places) {
    char name[24], link[PATH_MAX];
    pid_t owner;
    if (!files_given) return false;
    if (on_descriptor(n)) return local_descriptor(n, places);
    const char *rest = path_magic(n->pid, places[0].path, &owner, name);
    const char *path = rest && !*rest && path_link(owner, name, link) > 0 ? path_below_files(link) : NULL;
    if (!path) return false;
    struct place p = {.path = (char *)path, .length = strlen(path), .through = true};
    place_judge(n, &p);
    if (p.class == PLACE_WRITE) file_begin(n, &p);
    else answer_error(n, EROFS);
    return true;
}

const struct file_row file_rows_write[] = {
#ifdef SYS_mkdir
    {SYS_mkdir, NO_AT, 0, 0, NO_PATH, WRITES, run_change, NULL},
    {SYS_rmdir, NO_AT, 0, 0, NO_PATH, WRITES, run_change, NULL},
    {SYS_unlink, NO_AT, 0, 0, NO_PATH, WRITES, run_change, NULL},
    {SYS_rename, NO_AT, 0, NO_AT, 1, WRITES, run_change, NULL},
    {SYS_chmod, NO_AT, 0, 0, NO_PATH, WRITES, run_change, local_name},
    {SYS_chown, NO_AT, 0, 0, NO_PATH, WRITES, run_change, local_name},
    {SYS_lchown, NO_AT, 0, 0, NO_PATH, WRITES, run_change, NULL},
    {SYS_utime, NO_AT, 0, 0, NO_PATH, WRITES, run_change, local_name},
    {SYS_utimes, NO_AT, 0, 0, NO_PATH, WRITES, run_change, local_name},
    {SYS_futimesat, 0, 1, 0, NO_PATH, WRITES, run_change, local_name},
    {SYS_link, NO_AT, 0, NO_AT, 1, WRITES, run_change, NULL},
    {SYS_symlink, NO_AT, 1, 0, NO_PATH, WRITES, run_change, NULL},
    {SYS_mknod, NO_AT, 0, 0, NO_PATH, WRITES, run_change, NULL},
    {SYS_dup2, 0, NO_PATH, 0, NO_PATH, WHEN_WRITABLE | BY_WINDOW, run_change, local_descriptor},
#endif
    {SYS_mkdirat, 0, 1, 0, NO_PATH, WRITES, run_change, NULL},
    {SYS_unlinkat, 0, 1, 0, NO_PATH, WRITES, run_change, NULL},
#ifdef SYS_renameat
    {SYS_renameat, 0, 1, 2, 3, WRITES, run_change, NULL},
#endif
    {SYS_renameat2, 0, 1, 2, 3, WRITES, run_change, NULL},
    {SYS_fchmodat, 0, 1, 0, NO_PATH, WRITES, run_change, local_name},
    {SYS_fchmodat2, 0, 1, 0, NO_PATH, WRITES, run_change, local_name},
    {SYS_fchownat, 0, 1, 0, NO_PATH, WRITES, run_change, local_name},
    {SYS_utimensat, 0, 1, 0, NO_PATH, WRITES, run_change, local_name},
    {SYS_truncate, NO_AT, 0, 0, NO_PATH, WRITES, run_change, local_name},
    {SYS_linkat, 0, 1, 2, 3, WRITES, run_change, NULL},
    {SYS_symlinkat, 1, 2, 0, NO_PATH, WRITES, run_change, NULL},
    {SYS_mknodat, 0, 1, 0, NO_PATH, WRITES, run_change, NULL},
    {SYS_setxattr, NO_AT, 0, 0, NO_PATH, WRITES, run_change, local_name},
    {SYS_lsetxattr, NO_AT, 0, 0, NO_PATH, WRITES, run_change, NULL},
    {SYS_removexattr, NO_AT, 0, 0, NO_PATH, WRITES, run_change, local_name},
    {SYS_lremovexattr, NO_AT, 0, 0, NO_PATH, WRITES, run_change, NULL},
    {SYS_fsetxattr, 0, NO_PATH, 0, NO_PATH, 0, run_change, local_descriptor},
    {SYS_fremovexattr, 0, NO_PATH, 0, NO_PATH, 0, run_change, local_descriptor},
    {SYS_fchmod, 0, NO_PATH, 0, NO_PATH, 0, run_change, local_descriptor},
    {SYS_fchown, 0, NO_PATH, 0, NO_PATH, 0, run_change, local_descriptor},
    {SYS_fsync, 0, NO_PATH, 0, NO_PATH, WHEN_WRITABLE, run_change, local_descriptor},
    {SYS_fdatasync, 0, NO_PATH, 0, NO_PATH, WHEN_WRITABLE, run_change, local_descriptor},
    {SYS_sync_file_range, 0, NO_PATH, 0, NO_PATH, WHEN_WRITABLE, run_change, local_descriptor},
    {SYS_close, 0, NO_PATH, 0, NO_PATH, WHEN_WRITABLE | BY_WINDOW, run_change, local_descriptor},
    {SYS_dup3, 0, NO_PATH, 0, NO_PATH, WHEN_WRITABLE | BY_WINDOW, run_change, local_descriptor},
    {.number = -1},
};
