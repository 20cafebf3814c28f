/* chdir.c - chdir into a remote directory: the program's thread makes an fchdir of the copy's descriptor in its place (processes/restart.c). */
#include "trap.h"

static void enter(struct file_call *fc, int fd) {
    base_changed();
    int r = fd < 0 ? fd : restart_as_fchdir(&fc->n, fd);
    if (fd >= 0) close(fd);
    if (r) file_result(fc, r);
    else file_drop(fc); /* it is answered with the result of the fchdir */
}
static int directory(const char *path) {
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}
static void answered(struct file_call *fc, const struct file_answer *a) {
    if (file_is_here(fc, a)) return;
    int fd = a->error ? -a->error : S_ISDIR(a->mode) ? directory(a->source) : -ENOTDIR;
    if (fd >= 0) files_given = true;
    enter(fc, fd);
}
void run_chdir(struct file_call *fc) {
    struct place *p = &fc->place[0];
    char path[PATH_MAX + 32];
    if (place_remote(p)) {
        file_lookup(fc, p, true, answered);
        return;
    }
    place_real(fc->n.pid, p, path);
    caller_begin_at(fc->n.pid, &fc->place[0]);
    int fd = directory(path);
    caller_end();
    enter(fc, fd);
}
