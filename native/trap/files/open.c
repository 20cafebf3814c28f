/* open.c - open, openat, openat2, creat. The session names a complete local copy; we open it with the program's flags and hand the real
 * descriptor over, so that read, mmap, seek and fstat are the kernel's own. */
#include "trap.h"
#include <linux/openat2.h>

#define TMPFILE (O_TMPFILE & ~O_DIRECTORY)

static void open_remote(struct file_call *fc);

static bool writing(uint64_t flags) {
    return (flags & O_ACCMODE) != O_RDONLY || flags & (O_CREAT | O_TRUNC | O_APPEND | TMPFILE);
}
/* Never waits: a FIFO or a device is opened without waiting for its other end, and then made as asked. */
static int open_now(const char *path, uint64_t flags, uint32_t mode) {
    bool added = !(flags & O_NONBLOCK);
    int fd = open(path, (int)flags | O_CLOEXEC | O_NOCTTY | (added ? O_NONBLOCK : 0), mode);
    if (fd < 0) return -errno;
    if (added) fcntl(fd, F_SETFL, (int)flags & ~O_NONBLOCK);
    return fd;
}
static void give(struct file_call *fc, int fd) {
    if (fd < 0) file_result(fc, fd);
    else file_inject(fc, fd, fc->flags & O_CLOEXEC);
}
static void open_local(struct file_call *fc) {
    char path[PATH_MAX + 32];
    place_real(fc->n.pid, &fc->place[0], path);
    caller_begin_at(fc->n.pid, &fc->place[0]);
    int fd = open_now(path, fc->flags, fc->mode);
    caller_end();
    give(fc, fd);
}

/* A descriptor that writes lives in the window, so that its close is heard. */
static void give_writable(struct file_call *fc, int fd, const struct file_answer *a) {
    const char *path = fc->place[0].path;
    bool cloexec = fc->flags & O_CLOEXEC;
    int at = fd_free(fc->n.pid, WINDOW_FILE_LOW, WINDOW_FILE_HIGH);
    int r = at < 0 ? -EBADF : inject(&fc->n, fd, cloexec, at);
    if (r == -EBADF) r = inject(&fc->n, fd, cloexec, -1);
    close(fd);
    if (r >= 0) object_opened(fc->n.pid, r, a->object, path);
    else object_lost(a->object, path);
    if (r < 0 && r != -ENOENT) answer_error(&fc->n, -r);
    file_drop(fc);
}
static void opened(struct file_call *fc, const struct file_answer *a) {
    bool writes = writing(fc->flags);
    if (!writes && file_is_here(fc, a)) return;
    if (a->error) {
        file_result(fc, -a->error);
        return;
    }
    uint64_t flags = (fc->flags & ~(uint64_t)(O_CREAT | O_EXCL | O_TRUNC | O_DIRECT)) | O_NOFOLLOW; /* what a link leads to is the session's to say */
    if (fc->place[0].slash) flags |= O_DIRECTORY;
    int fd = open_now(a->source, flags, 0);
    if (fd == -ENOENT && !writes && fc->tries++ == 0) { /* an answer kept, whose copy the session has taken away since */
        cache_drop();
        open_remote(fc);
        return;
    }
    if (fd >= 0) files_given = true;
    if (fd >= 0 && writes && a->object) give_writable(fc, fd, a);
    else {
        if (writes && a->object) object_lost(a->object, fc->place[0].path);
        give(fc, fd);
    }
}
static void open_remote(struct file_call *fc) {
    const struct place *p = &fc->place[0];
    struct file_question q = {.operation = FILE_OPEN, .flags = (uint32_t)fc->flags & ~(uint32_t)O_CLOEXEC, .path = p->path};
    if (p->slash) q.flags = (q.flags | O_DIRECTORY) & ~(uint32_t)O_NOFOLLOW;
    if (fc->flags & O_CREAT) q.mode = fc->mode & 07777 & ~caller_umask(fc->n.pid);
    file_ask(fc, &q, opened);
}

/* ---- openat2 with `resolve` ----
 * Only the target can follow its links, so what the program gave may hold none: each component is looked at first. A path that the kernel would
 * perhaps allow (a link, or "..", that stays below the directory) is refused with what it says of those that do not. */
static void next_component(struct file_call *fc);
static void component(struct file_call *fc, const struct file_answer *a) {
    bool links_only = fc->numbers[1];
    if (a->error) file_result(fc, -a->error);
    else if (S_ISLNK(a->mode)) file_result(fc, links_only ? -ELOOP : -EXDEV);
    else next_component(fc);
}
static void next_component(struct file_call *fc) {
    struct place *p = &fc->place[0], prefix = *p;
    char path[PATH_MAX];
    size_t done = (size_t)fc->numbers[0];
    if (done >= p->length) {
        open_remote(fc);
        return;
    }
    prefix.length = done + 1 + strcspn(p->path + done + 1, "/");
    prefix.slash = false;
    prefix.path = path;
    memcpy(path, p->path, prefix.length);
    path[prefix.length] = 0;
    fc->numbers[0] = (int64_t)prefix.length;
    if (prefix.length == p->length && (fc->flags & (O_CREAT | O_NOFOLLOW)) == (O_CREAT | O_NOFOLLOW)) open_remote(fc); /* need not be there */
    else file_lookup(fc, &prefix, false, component);
}
static void confined(struct file_call *fc, uint64_t resolve) {
    const struct place *p = &fc->place[0];
    bool below = resolve & (RESOLVE_BENEATH | RESOLVE_IN_ROOT);
    if (resolve & RESOLVE_NO_XDEV || (below && (p->absolute || p->up))) {
        file_result(fc, -EXDEV);
        return;
    }
    fc->numbers[0] = p->up ? 0 : (int64_t)p->base;
    fc->numbers[1] = !below;
    next_component(fc);
}
/* openat2(2): the struct may grow, unknown fields must be zero. 0, or -errno. */
static int read_how(struct file_call *fc, struct open_how *how) {
    uint64_t at = fc->n.data.args[2], size = fc->n.data.args[3];
    uint8_t more[4096];
    if (size < sizeof *how) return -EINVAL;
    if (size > sizeof more) return -E2BIG;
    if (mem_read(fc->n.pid, at, more, size) < 0) return -EFAULT;
    memcpy(how, more, sizeof *how);
    for (uint64_t i = sizeof *how; i < size; i++)
        if (more[i]) return -E2BIG;
    if (how->mode & ~07777ull || (how->mode && !(how->flags & (O_CREAT | TMPFILE)))) return -EINVAL;
    if (how->flags >> 32 || how->resolve & ~0x3full) return -EINVAL;
    if ((how->resolve & (RESOLVE_BENEATH | RESOLVE_IN_ROOT)) == (RESOLVE_BENEATH | RESOLVE_IN_ROOT)) return -EINVAL;
    if (how->resolve & 0x20) return -EAGAIN; /* RESOLVE_CACHED: nothing of ours is in the kernel's cache */
    return 0;
}
void run_open(struct file_call *fc) {
    const __u64 *a = fc->n.data.args;
    struct place *p = &fc->place[0];
    struct open_how how = {0};
    int error = 0;
    switch (fc->n.data.nr) {
#ifdef SYS_open
    case SYS_open: how.flags = (uint32_t)a[1], how.mode = (uint32_t)a[2]; break;
    case SYS_creat: how.flags = O_CREAT | O_WRONLY | O_TRUNC, how.mode = (uint32_t)a[1]; break;
#endif
    case SYS_openat: how.flags = (uint32_t)a[2], how.mode = (uint32_t)a[3]; break;
    default: error = read_how(fc, &how);
    }
    if (error) {
        file_result(fc, error);
        return;
    }
    /* A descriptor of O_PATH cannot be handed over (fget(), EBADF): one for reading leads as far, except to a link itself, which is ELOOP. */
    fc->flags = how.flags & O_PATH ? how.flags & (O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC) : how.flags;
    fc->mode = (uint32_t)how.mode;
    if (writing(fc->flags)) place_for_write(p);
    if (p->class == PLACE_LOCAL) file_continue(fc);
    else if (p->class == PLACE_OVERLAY && how.resolve) file_continue(fc);
    else if (!place_remote(p) && how.resolve & ~(uint64_t)RESOLVE_NO_MAGICLINKS) file_result(fc, -EXDEV);
    else if (!place_remote(p)) open_local(fc);
    else if ((fc->flags & O_TMPFILE) == O_TMPFILE) file_result(fc, -EOPNOTSUPP); /* as a file system without it says: programs then make a named one */
    else if ((fc->flags & (O_CREAT | O_DIRECTORY)) == (O_CREAT | O_DIRECTORY)) file_result(fc, -EINVAL);
    else if ((fc->flags & O_CREAT) && p->slash) file_result(fc, -EISDIR);
    else if (how.resolve & (RESOLVE_BENEATH | RESOLVE_IN_ROOT | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV)) confined(fc, how.resolve);
    else open_remote(fc);
}
