/* stat.c - stat, lstat, newfstatat, statx, access, faccessat, faccessat2. A remote file is shown by its copy (or the placeholder that becomes
 * its copy), so that what stat says of a path agrees with fstat of its descriptor; type, mode, owner and links are the target's. */
#include "trap.h"
#include <linux/stat.h>
#include <sys/sysmacros.h>

static void ask_stat(struct file_call *fc);

/* The kernel's own structures: raw calls, so no libc form gets in between. */
union native { struct stat st; struct statx stx; uint8_t bytes[512]; };

static bool is_statx(const struct file_call *fc) { return fc->n.data.nr == SYS_statx; }
static int64_t show(struct file_call *fc, const union native *v) {
    const __u64 *a = fc->n.data.args;
    uint64_t to = is_statx(fc) ? a[4] : fc->n.data.nr == SYS_newfstatat ? a[2] : a[1];
    return mem_write(fc->n.pid, to, v, is_statx(fc) ? sizeof v->stx : sizeof v->st) < 0 ? -EFAULT : 0;
}
static int read_native(struct file_call *fc, const char *path, int flags, union native *v) {
    memset(v, 0, sizeof *v);
    long r = is_statx(fc) ? syscall(SYS_statx, AT_FDCWD, path, flags, (unsigned)fc->n.data.args[3], v) : syscall(SYS_newfstatat, AT_FDCWD, path, v, flags);
    return r ? -errno : 0;
}
static void stat_answered(struct file_call *fc, const struct file_answer *a) {
    union native v;
    int error = -a->error;
    if (file_is_here(fc, a)) return;
    if (!error && fc->place[0].slash && !S_ISDIR(a->mode)) error = -ENOTDIR;
    if (!error) error = read_native(fc, a->source, AT_SYMLINK_NOFOLLOW | ((int)fc->flags & AT_STATX_SYNC_TYPE), &v);
    if (error == -ENOENT && !a->error && fc->tries++ == 0) { /* an answer kept, whose copy the session has taken away since */
        cache_drop();
        ask_stat(fc);
        return;
    }
    if (error) {
        file_result(fc, error);
        return;
    }
    if (is_statx(fc)) {
        v.stx.stx_mode = (uint16_t)a->mode;
        v.stx.stx_uid = a->uid;
        v.stx.stx_gid = a->gid;
        v.stx.stx_nlink = (uint32_t)a->links;
        v.stx.stx_blocks = a->blocks;
        v.stx.stx_rdev_major = major(a->rdev);
        v.stx.stx_rdev_minor = minor(a->rdev);
    } else {
        v.st.st_mode = a->mode;
        v.st.st_uid = a->uid;
        v.st.st_gid = a->gid;
        v.st.st_nlink = (nlink_t)a->links;
        v.st.st_blocks = (blkcnt_t)a->blocks;
        v.st.st_rdev = a->rdev;
    }
    file_result(fc, show(fc, &v));
}
static void ask_stat(struct file_call *fc) { file_lookup(fc, &fc->place[0], !(fc->flags & AT_SYMLINK_NOFOLLOW), stat_answered); }
void run_stat(struct file_call *fc) {
    const __u64 *a = fc->n.data.args;
    uint32_t allowed = AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_EMPTY_PATH;
    switch (fc->n.data.nr) {
#ifdef SYS_stat
    case SYS_stat: fc->flags = 0; break;
    case SYS_lstat: fc->flags = AT_SYMLINK_NOFOLLOW; break;
#endif
    case SYS_newfstatat: fc->flags = (uint32_t)a[3]; break;
    default:
        fc->flags = (uint32_t)a[2];
        allowed |= AT_STATX_SYNC_TYPE;
        if ((fc->flags & AT_STATX_SYNC_TYPE) == AT_STATX_SYNC_TYPE || (uint32_t)a[3] & STATX__RESERVED) allowed = 0, fc->flags |= 1;
    }
    if (fc->flags & ~(uint64_t)allowed) file_result(fc, -EINVAL);
    else if (place_remote(&fc->place[0])) {
        if (fc->flags & AT_STATX_FORCE_SYNC) cache_drop();
        ask_stat(fc);
    } else {
        union native v;
        char path[PATH_MAX + 32];
        place_real(fc->n.pid, &fc->place[0], path);
        caller_begin_at(fc->n.pid, &fc->place[0]);
        int error = read_native(fc, path, (int)fc->flags & ~AT_EMPTY_PATH, &v);
        caller_end();
        file_result(fc, error ? error : show(fc, &v));
    }
}

/* What the target refuses to its agent shows when the file is opened; whether it can be run is seen from its mode. */
static void access_answered(struct file_call *fc, const struct file_answer *a) {
    int error = -a->error;
    if (file_is_here(fc, a)) return;
    if (!error && fc->place[0].slash && !S_ISDIR(a->mode)) error = -ENOTDIR;
    if (!error && (fc->mode & X_OK) && !S_ISDIR(a->mode) && !(a->mode & 0111)) error = -EACCES;
    file_result(fc, error);
}
void run_access(struct file_call *fc) {
    const __u64 *a = fc->n.data.args;
    struct place *p = &fc->place[0];
    bool at = fc->n.data.nr == SYS_faccessat || fc->n.data.nr == SYS_faccessat2;
    fc->mode = (uint32_t)(at ? a[2] : a[1]);
    fc->flags = fc->n.data.nr == SYS_faccessat2 ? (uint32_t)a[3] : 0;
    if (fc->mode & ~(uint32_t)(R_OK | W_OK | X_OK) || fc->flags & ~(uint64_t)(AT_EACCESS | AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH)) {
        file_result(fc, -EINVAL);
        return;
    }
    if ((fc->mode & W_OK) && p->class != PLACE_OVERLAY) place_for_write(p);
    if (p->class == PLACE_LOCAL) file_continue(fc);
    else if (place_remote(p)) file_lookup(fc, p, !(fc->flags & AT_SYMLINK_NOFOLLOW), access_answered);
    else {
        char path[PATH_MAX + 32];
        place_real(fc->n.pid, p, path);
        caller_begin_at(fc->n.pid, &fc->place[0]); /* AT_EACCESS: by the identity that we act with */
        long r = syscall(SYS_faccessat2, AT_FDCWD, path, (int)fc->mode, AT_EACCESS | ((int)fc->flags & AT_SYMLINK_NOFOLLOW)) ? -errno : 0;
        caller_end();
        file_result(fc, r);
    }
}
