/* watch.c - inotify_add_watch of remote files: the session lets their changes show in the local copy, and that is what the program's own
 * inotify instance watches, so numbers and events are the kernel's. */
#include "trap.h"
#include <sys/inotify.h>

/* The thread does it itself, where its descriptor cannot be had. */
static int64_t add_by_thread(struct file_call *fc, const char *source) {
    const __u64 *a = fc->n.data.args;
    struct goal g = {.nr = SYS_inotify_add_watch, .args = {a[0], SCRATCH_HEAD, a[2]}, .in_data = 2, .size = SCRATCH_HEAD + strlen(source) + 1};
    if (!(g.data = malloc(g.size))) abort();
    strcpy((char *)g.data + SCRATCH_HEAD, source);
    return restart_as(&fc->n, -1, &g);
}
static void add(struct file_call *fc, const char *source) {
    const __u64 *a = fc->n.data.args;
    int64_t result;
    int fd = fd_duplicate(fc->n.pid, (int)a[0]);
    if (fd >= 0) {
        result = inotify_add_watch(fd, source, (uint32_t)a[2]);
        if (result < 0) result = -errno;
        close(fd);
    } else if (fd == -EBADF) result = fd;
    else if ((result = add_by_thread(fc, source)) == 0) {
        file_drop(fc);
        return;
    }
    file_result(fc, result);
}
static void shown(struct file_call *fc, const struct file_answer *a) {
    static bool told;
    if (a->error == EOPNOTSUPP && !told) {
        warn("%s is watched for changes (inotify), which this target does not report: the program gets EOPNOTSUPP; let it poll, or make the path local",
             fc->place[0].path);
        told = true;
    }
    if (a->error) file_result(fc, -a->error);
    else {
        files_given = true;
        add(fc, a->source);
    }
}
void run_watch(struct file_call *fc) {
    const struct place *p = &fc->place[0];
    char path[PATH_MAX + 32];
    if (place_remote(p)) file_ask(fc, &(struct file_question){.operation = FILE_WATCH, .flags = fc->n.data.args[2] & IN_DONT_FOLLOW ? LOOKUP_NOFOLLOW : 0, .path = p->path}, shown);
    else add(fc, place_real(fc->n.pid, p, path));
}
