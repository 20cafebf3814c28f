/* statfs.c - statfs and fstatfs: the target's file system, also for the descriptor of a copy. */
#include "trap.h"
#include <sys/vfs.h>

static int64_t show(const notif *n, const struct statfs *s) { return mem_write(n->pid, n->data.args[1], s, sizeof *s) < 0 ? -EFAULT : 0; }
static void answered(struct file_call *fc, const struct file_answer *a) {
    struct statfs s;
    if (file_is_here(fc, a)) return;
    if (a->error || a->count < 12) {
        file_result(fc, a->error ? -a->error : -EIO);
        return;
    }
    const int64_t *v = a->numbers;
    memset(&s, 0, sizeof s);
    s.f_type = v[0], s.f_bsize = v[1];
    s.f_blocks = (fsblkcnt_t)v[2], s.f_bfree = (fsblkcnt_t)v[3], s.f_bavail = (fsblkcnt_t)v[4];
    s.f_files = (fsfilcnt_t)v[5], s.f_ffree = (fsfilcnt_t)v[6];
    s.f_fsid.__val[0] = (int)v[7], s.f_fsid.__val[1] = (int)v[8];
    s.f_namelen = v[9], s.f_frsize = v[10], s.f_flags = v[11];
    file_result(fc, show(&fc->n, &s));
}
void run_statfs(struct file_call *fc) {
    const struct place *p = &fc->place[0];
    if (place_remote(p)) {
        file_ask(fc, &(struct file_question){.operation = FILE_STATFS, .path = p->path}, answered);
        return;
    }
    struct statfs s;
    char path[PATH_MAX + 32];
    place_real(fc->n.pid, p, path);
    caller_begin_at(fc->n.pid, &fc->place[0]);
    int error = statfs(path, &s) ? -errno : 0;
    caller_end();
    file_result(fc, error ? error : show(&fc->n, &s));
}
bool local_fstatfs(const notif *n, const struct place *p) {
    char name[24], link[PATH_MAX];
    (void)p;
    if (!files_given) return false;
    snprintf(name, sizeof name, "fd/%d", (int)n->data.args[0]);
    const char *remote = path_link(n->pid, name, link) > 0 ? path_below_files(link) : NULL;
    if (!remote) return false;
    file_begin(n, &(struct place){.class = PLACE_READ, .through = true, .path = (char *)remote, .length = strlen(remote)});
    return true;
}
