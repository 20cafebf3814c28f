/* objects.c - the copies that the program has open for writing. What is written to one goes to the target at fsync and close, for which the
 * program waits, and when its last writer is gone without that: killed, close_range(2), a descriptor outside of the window. */
#include "trap.h"
#include <sys/epoll.h>
#include <sys/inotify.h>

/* opens: answers of the session for this object since it was last told of a close; it counts them too, and so knows of one under way. */
struct object { struct object *next; uint64_t object; dev_t device; uint32_t opens; int fd, watch; char *path; };
static struct object *objects;
static int inotify_fd = -1;

/* What a JavaScript number holds of an inode number, as src/trap/wire.ts names it (objectOf). */
static uint64_t object_of(const struct stat *st) { return st->st_ino & ((1ull << 53) - 1); }
static struct object *find(uint64_t object) {
    for (struct object *o = objects; o; o = o->next)
        if (o->object == object) return o;
    return NULL;
}
const char *object_at(pid_t tid, int number, uint64_t *object) {
    char link[40];
    struct stat st;
    if (!objects) return NULL;
    snprintf(link, sizeof link, "/proc/%d/fd/%d", tid, number);
    struct object *o = stat(link, &st) ? NULL : find(object_of(&st));
    if (!o || o->device != st.st_dev) return NULL;
    *object = o->object;
    return o->path;
}

static void say_closed(uint64_t object, uint32_t opens) {
    put_begin(MSG_FILE_CLOSED);
    put_u64(object);
    put_u32(opens);
    put_end();
    cache_drop(); /* its size and time are others now */
}
static void forget(struct object *o) {
    for (struct object **at = &objects; *at; at = &(*at)->next)
        if (*at == o) {
            *at = o->next;
            break;
        }
    if (o->watch >= 0) inotify_rm_watch(inotify_fd, o->watch);
    if (o->fd >= 0) close(o->fd);
    free(o->path);
    free(o);
}
/* The kernel grants a lease for reading only where nobody can write (fcntl(2)), whoever holds the descriptors and mappings. Where the file
 * system knows no leases each close is taken for the last one, and the next one is heard as well. */
static void look(struct object *o) {
    int r = o->fd < 0 ? -1 : fcntl(o->fd, F_SETLEASE, F_RDLCK), error = o->fd < 0 ? EINVAL : errno;
    if (r < 0 && error == EAGAIN) return;
    if (r == 0) fcntl(o->fd, F_SETLEASE, F_UNLCK);
    say_closed(o->object, o->opens);
    o->opens = 0;
    if (r == 0) forget(o);
}
static void closed(struct watcher *w, uint32_t events) {
    (void)w, (void)events;
    union { struct inotify_event event; char bytes[4096]; } buffer;
    ssize_t n;
    while ((n = read(inotify_fd, &buffer, sizeof buffer)) > 0)
        for (char *at = buffer.bytes; at < buffer.bytes + n;) {
            struct inotify_event *e = (struct inotify_event *)at;
            at += sizeof *e + e->len;
            for (struct object *o = objects, *next; o; o = next) {
                next = o->next;
                if (e->mask & IN_Q_OVERFLOW || (o->watch == e->wd && e->mask & IN_CLOSE_WRITE)) look(o);
            }
        }
}
static bool listening(void) {
    static struct watcher watcher = {closed};
    if (inotify_fd >= 0) return true;
    signal(SIGIO, SIG_IGN); /* somebody opens the file in the moment of our lease */
    inotify_fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (inotify_fd >= 0) epoll_watch(inotify_fd, EPOLLIN, &watcher, false);
    return inotify_fd >= 0;
}
void object_opened(pid_t tid, int number, uint64_t object, const char *path) {
    char link[40];
    struct stat st;
    struct object *o = find(object);
    if (o) {
        o->opens++;
        return;
    }
    snprintf(link, sizeof link, "/proc/%d/fd/%d", tid, number);
    if (stat(link, &st) || object_of(&st) != object) { /* closed already, or killed */
        object_lost(object, path);
        return;
    }
    o = calloc(1, sizeof *o);
    if (!o || !(o->path = strdup(path))) abort();
    o->object = object;
    o->opens = 1;
    o->device = st.st_dev;
    o->fd = open(link, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    o->watch = listening() ? inotify_add_watch(inotify_fd, link, IN_CLOSE_WRITE) : -1;
    if (o->watch < 0)
        warn("%s cannot be watched (%s): what is written to it by a process that is killed reaches the target when the session ends, not before; raise "
             "fs.inotify.max_user_instances or fs.inotify.max_user_watches", path, strerror(errno));
    o->next = objects;
    objects = o;
    if (stat(link, &st) || object_of(&st) != object) look(o); /* closed before the watch */
}
void object_lost(uint64_t object, const char *path) {
    (void)path;
    struct object *o = find(object);
    if (!o) {
        say_closed(object, 1);
        return;
    }
    o->opens++;
    look(o); /* others may have it open */
}
