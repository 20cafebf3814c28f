/* objects.c - the copies that the program has open for writing. What is written to one goes to the target at fsync and close, for which the
 * program waits, and when its last writer is gone without that: killed, close_range(2), a descriptor outside of the window. */
#include "trap.h"
#include <sys/epoll.h>
#include <sys/inotify.h>

/* opens: answers of the session for this object since it was last told of a close; it counts them too, and so knows of one under way.
 * again, pause: when it is looked at once more (0: not), and how long after that, in ns. */
struct object { struct object *next; uint64_t object; dev_t device; uint32_t opens; int fd, watch; char *path; uint64_t again, pause; };
static struct object *objects;
static int inotify_fd = -1;
static uint64_t due; /* the first `again`; 0: none */
#define FIRST_PAUSE (1 * MS)
#define LAST_PAUSE (1000 * MS)

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
 * system knows no leases each close is taken for the last one, and the next one is heard as well.
 * It tells inotify of a close before it counts the writer out (__fput in fs/file_table.c, kernel 6.18), and nothing of the latter: a look that
 * finds a writer may have come in between, and is repeated, after ever longer pauses. */
static void look(struct object *o) {
    int r = o->fd < 0 ? -1 : fcntl(o->fd, F_SETLEASE, F_RDLCK), error = o->fd < 0 ? EINVAL : errno;
    o->again = 0;
    if (r < 0 && error == EAGAIN) {
        o->again = o->pause <= LAST_PAUSE ? now_ns() + o->pause : 0;
        o->pause *= 2;
        if (o->again && (!due || o->again < due)) due = o->again;
        return;
    }
    if (r == 0) fcntl(o->fd, F_SETLEASE, F_UNLCK);
    say_closed(o->object, o->opens);
    o->opens = 0;
    if (r == 0) forget(o);
}
static void writer_gone(struct object *o) {
    o->pause = FIRST_PAUSE;
    look(o);
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
                if (e->mask & IN_Q_OVERFLOW || (o->watch == e->wd && e->mask & IN_CLOSE_WRITE)) writer_gone(o);
            }
        }
}
uint64_t objects_due(void) { return due; }
void objects_tick(uint64_t now) {
    due = 0;
    for (struct object *o = objects, *next; o; o = next) {
        next = o->next;
        if (!o->again) continue;
        if (o->again <= now) look(o);
        else if (!due || o->again < due) due = o->again;
    }
}
void objects_end(void) {
    for (struct object *o = objects, *next; o; o = next) {
        next = o->next;
        look(o);
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
    char link[40], own[40];
    struct stat st;
    struct object *o = find(object);
    if (o) {
        o->opens++;
        return;
    }
    snprintf(link, sizeof link, "/proc/%d/fd/%d", tid, number);
    int fd = open(link, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if ((fd < 0 ? stat(link, &st) : fstat(fd, &st)) || object_of(&st) != object) { /* closed already, or killed */
        if (fd >= 0) close(fd);
        object_lost(object, path);
        return;
    }
    o = calloc(1, sizeof *o);
    if (!o || !(o->path = strdup(path))) abort();
    o->object = object;
    o->opens = 1;
    o->device = st.st_dev;
    o->fd = fd;
    if (fd >= 0) snprintf(own, sizeof own, "/proc/self/fd/%d", fd); /* the caller may be killed at any time */
    o->watch = listening() ? inotify_add_watch(inotify_fd, fd < 0 ? link : own, IN_CLOSE_WRITE) : -1;
    int error = errno;
    o->next = objects;
    objects = o;
    bool gone = stat(link, &st) || object_of(&st) != object;
    if (o->watch < 0 && !gone)
        warn("%s cannot be watched (%s): what is written to it by a process that is killed reaches the target when the session ends, not before; raise "
             "fs.inotify.max_user_instances or fs.inotify.max_user_watches", path, strerror(error));
    if (gone) writer_gone(o); /* before the watch */
    if (gone && fd < 0) forget(o); /* which look() leaves, unable to tell */
}
void object_lost(uint64_t object, const char *path) {
    (void)path;
    struct object *o = find(object);
    if (!o) {
        say_closed(object, 1);
        return;
    }
    o->opens++;
    writer_gone(o); /* others may have it open */
}
