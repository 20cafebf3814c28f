/* names.c - readlink, readlinkat, getcwd, and the extended attributes, of which remote files show none. The links of /proc name the copy of a
 * remote file: the program gets the remote path. */
#include "trap.h"
#include <sys/xattr.h>

static int64_t give_text(const notif *n, uint64_t to, uint64_t size, const char *text, size_t length) {
    if (length > size) length = size;
    return mem_write(n->pid, to, text, length) < 0 ? -EFAULT : (int64_t)length;
}
static void arguments(const notif *n, uint64_t *to, int *size) {
    const __u64 *a = n->data.args;
    bool at = n->data.nr == SYS_readlinkat;
    *to = a[at ? 2 : 1];
    *size = (int)a[at ? 3 : 2];
}
static void link_answered(struct file_call *fc, const struct file_answer *a) {
    uint64_t to;
    int size;
    arguments(&fc->n, &to, &size);
    if (file_is_here(fc, a)) return;
    if (a->error) file_result(fc, -a->error);
    else if (!S_ISLNK(a->mode)) file_result(fc, fc->place[0].slash && !S_ISDIR(a->mode) ? -ENOTDIR : -EINVAL);
    else file_result(fc, give_text(&fc->n, to, (uint64_t)size, a->text, strlen(a->text)));
}
void run_readlink(struct file_call *fc) {
    struct place *p = &fc->place[0];
    uint64_t to;
    int size;
    arguments(&fc->n, &to, &size);
    if (size <= 0 || p->class == PLACE_OVERLAY) file_result(fc, -EINVAL); /* an overlay is a plain file: realpath(3) stays at its path */
    else if (place_remote(p)) file_lookup(fc, p, false, link_answered);
    else {
        char path[PATH_MAX + 32], text[PATH_MAX];
        place_real(fc->n.pid, p, path);
        caller_begin_at(fc->n.pid, &fc->place[0]);
        ssize_t k = readlink(path, text, sizeof text);
        int64_t r = k < 0 ? -errno : 0;
        caller_end();
        file_result(fc, r < 0 ? r : give_text(&fc->n, to, (uint64_t)size, text, (size_t)k));
    }
}
/* /proc/self/fd/5, /proc/PID/exe, /proc/thread-self/cwd of a copy. */
bool local_readlink(const notif *n, const struct place *p) {
    char name[24], link[PATH_MAX];
    pid_t owner;
    uint64_t to;
    int size;
    if (!files_given || strncmp(p->path, "/proc/", 6)) return false;
    const char *rest = path_magic(n->pid, p->path, &owner, name);
    const char *remote = rest && !*rest && path_link(owner, name, link) > 0 ? path_below_files(link) : NULL;
    arguments(n, &to, &size);
    if (!remote || size <= 0) return false;
    answer_result(n, give_text(n, to, (uint64_t)size, remote, strlen(remote)));
    return true;
}
bool local_getcwd(const notif *n, const struct place *p) {
    char link[PATH_MAX];
    (void)p;
    const char *remote = files_given && path_link(n->pid, "cwd", link) > 0 ? path_below_files(link) : NULL;
    if (!remote) return false;
    size_t length = strlen(remote) + 1;
    if (length > n->data.args[1]) answer_error(n, ERANGE);
    else answer_result(n, mem_write(n->pid, n->data.args[0], remote, length) < 0 ? -EFAULT : (int64_t)length);
    return true;
}

static bool is_list(const struct file_call *fc) { return fc->n.data.nr == SYS_listxattr || fc->n.data.nr == SYS_llistxattr; }
static bool is_link(const struct file_call *fc) { return fc->n.data.nr == SYS_lgetxattr || fc->n.data.nr == SYS_llistxattr; }
static void xattr_answered(struct file_call *fc, const struct file_answer *a) {
    if (!file_is_here(fc, a)) file_result(fc, a->error ? -a->error : is_list(fc) ? 0 : -ENODATA);
}
void run_xattr(struct file_call *fc) {
    const __u64 *a = fc->n.data.args;
    char path[PATH_MAX + 32], name[256];
    static char value[65536]; /* XATTR_SIZE_MAX, XATTR_LIST_MAX */
    if (place_remote(&fc->place[0])) {
        file_lookup(fc, &fc->place[0], !is_link(fc), xattr_answered);
        return;
    }
    uint64_t to = a[is_list(fc) ? 1 : 2], size = a[is_list(fc) ? 2 : 3];
    if (size > sizeof value) size = sizeof value;
    if (!is_list(fc)) {
        ssize_t k = mem_string(fc->n.pid, a[1], name, sizeof name);
        if (k <= 0) {
            file_result(fc, k == -EFAULT ? -EFAULT : -ERANGE);
            return;
        }
    }
    place_real(fc->n.pid, &fc->place[0], path);
    caller_begin_at(fc->n.pid, &fc->place[0]);
    ssize_t k = is_list(fc) ? (is_link(fc) ? llistxattr(path, value, size) : listxattr(path, value, size))
                            : (is_link(fc) ? lgetxattr(path, name, value, size) : getxattr(path, name, value, size));
    int error = k < 0 ? -errno : 0;
    caller_end();
    if (!error && size && mem_write(fc->n.pid, to, value, (size_t)k) < 0) error = -EFAULT;
    file_result(fc, error ? error : k);
}
