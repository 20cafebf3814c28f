/* files.h - the system calls that take paths, and those of remote files. Included by trap.h. */
#ifndef FILES_H
#define FILES_H
#include <linux/limits.h>

bool files_configure(void);                 /* once, after the hello; false: malformed */
void files_filter(struct filter *f);
bool on_file(const notif *n);               /* false: not one of its numbers */
void file_answered(struct reader *r);       /* MSG_FILE_ANSWER */
void file_busy(uint64_t id);                /* MSG_FILE_BUSY: still under way */
void files_changed(void);                   /* MSG_FILES_CHANGED: answers kept so far are of no more use */

/* ---- automata of patterns (rules.c), made by src/patterns ---- */
struct rules;
struct rules *rules_load(const uint8_t *data, uint32_t length);    /* copies; NULL: malformed */
unsigned rules_match(struct rules *r, const char *text, size_t n); /* label of the first pattern that matches, 0 for none */
void rules_free(struct rules *r);
bool is_utf8(const uint8_t *p, const uint8_t *end);

/* ---- what a path means (path.c) ---- */
enum place_class {
    PLACE_LOCAL,     /* the kernel does it, as asked */
    PLACE_VIA,       /* a local file that the kernel would not find by this path: we act on `path` for the caller */
    PLACE_OVERLAY,   /* read from overlay->source */
    PLACE_NOT_FOUND, /* ENOENT, whatever is asked */
    PLACE_READ,      /* remote for reading, local for writing: place_for_write */
    PLACE_WRITE,     /* remote for both */
    PLACE_MAP,       /* only inside path.c and calls.c: the session has to say what `path` is mapped to */
};
struct place {
    enum place_class class;
    bool through; /* reached through a remote directory or a copy: the kernel cannot walk there */
    bool mapped;  /* `path` is not what the program wrote */
    bool slash;   /* ended in "/", "/." or "/..": means a directory, and follows a link */
    bool up;      /* it had ".." */
    const struct overlay *overlay;
    bool absolute;
    size_t base;  /* how much of `path` is the directory that a relative one starts from */
    size_t length;
    char *path; /* absolute, normalised; "" for some that are local */
};
void place_find(const notif *n, int at, uint64_t address, struct place *p, char path[PATH_MAX]);
void place_judge(const notif *n, struct place *p);  /* again, for another path */
void place_for_write(struct place *p);              /* PLACE_READ and PLACE_OVERLAY become the local file */
bool place_above_own(pid_t tid, const struct place *p); /* a parent of the working directory, or of what was started */
bool place_remote(const struct place *p);           /* READ or WRITE */
const char *place_real(pid_t tid, const struct place *p, char buffer[PATH_MAX + 32]); /* VIA, OVERLAY: what to act on */
const char *path_magic(pid_t tid, const char *path, pid_t *owner, char name[24]); /* of /proc/self/fd/5/x: "fd/5", and "/x"; NULL: another */
bool path_normalise(char *path);                    /* absolute, in place; true: it had ".." */
bool path_foreign(pid_t tid);                       /* chroot'ed, or in another mount namespace */
const char *path_below_files(const char *path);     /* the remote path of a copy's path; NULL when it is none */
extern bool files_given; /* some process has got a descriptor of a copy: from now on relative paths may be remote */

/* ---- links in /proc (base.c) ---- */
/* "cwd", "exe", "fd/5" of a thread; the length, 0 for none, or -errno. */
ssize_t path_link(pid_t tid, const char *name, char to[PATH_MAX]);
ssize_t base_of(pid_t tid, int at, char to[PATH_MAX]); /* what a relative path starts from */
ssize_t base_directory(pid_t tid, char to[PATH_MAX]);  /* links, remembered */
ssize_t base_executable(pid_t tid, char to[PATH_MAX]);
bool base_script(pid_t tid, char to[PATH_MAX]);        /* script_of, remembered */
size_t base_installation(pid_t tid, const char *executable); /* length of the prefix of the language that it belongs to, 0: none */
void base_changed(void);                               /* a working directory, program or root is about to change */
bool local_base_changes(const notif *n, const struct place *p);
bool loader_asks(const notif *n, const char *path); /* loader.c: for a library, or about where they are */
/* script.c: `node /builds/app/dist/main.mjs`. The modules beside it belong to the build under test. Relative ones lie below the working directory,
 * or are the program's own business. */
bool script_of(pid_t tid, char script[PATH_MAX]);

/* ---- one system call about paths (calls.c) ---- */
struct file_call;
struct file_answer {
    int error;
    uint32_t valid_ms, mode, uid, gid, count;
    uint64_t object, links, blocks, rdev;
    char *source, *text;
    int64_t *numbers;
};
typedef void file_then(struct file_call *fc, const struct file_answer *a);
struct file_row {
    int number;
    signed char at, path;       /* arguments: descriptor (NO_AT: relative to the working directory), address of the path (NO_PATH) */
    signed char at2, path2;
    unsigned char when;         /* WHEN_ flags */
    void (*run)(struct file_call *fc);                          /* something is not local; ends with one of the file_ functions below */
    bool (*local)(const notif *n, const struct place *places);  /* all is local, and yet not the kernel's: true when answered */
};
#define NO_AT -1
#define NO_PATH -1
#define WHEN_OVERLAYS 1 /* needed for overlays too */
#define WHEN_WRITABLE 2 /* only where some path is read-write */
#define WHEN_KNOWN 16   /* changes what base.c remembers, of which overlays and unix paths make use too */
#define BY_WINDOW 8     /* trapped for the descriptors of the windows only (filter.c) */
#define WRITES 4        /* changes what the paths name: place_for_write is applied to them */
struct file_call {
    notif n;                    /* arguments: n.data.args */
    const struct file_row *row;
    struct place place[2];      /* paths of our own */
    uint64_t flags;             /* the handler's, until it is done */
    uint32_t mode;
    int64_t numbers[4];
    uint8_t tries;
    void *data;                 /* heap, freed at the end */
    /* ask.c */
    struct call *held;
    struct question *question;
    struct file_call *next;
    file_then *then;
    struct file_answer *kept;   /* came while the caller was in a signal handler */
    enum file_operation kept_operation;
    uint32_t kept_flags;
};
void file_begin(const notif *n, const struct place *p); /* its row's run, for a place that is not among the arguments */
void file_result(struct file_call *fc, int64_t result); /* negative: -errno. This and the next three answer and free */
void file_continue(struct file_call *fc);
void file_inject(struct file_call *fc, int fd, bool cloexec); /* closes fd */
bool file_is_here(struct file_call *fc, const struct file_answer *a); /* continued: the target has no such directory, but we are in it */
void file_drop(struct file_call *fc);                   /* answered already, or the caller is gone */
extern const struct file_row file_rows_write[];         /* write.c's own; the last has number -1 */

/* ---- questions to the session (ask.c) and the answers kept (cache.c) ---- */
struct file_question {
    enum file_operation operation;
    uint32_t flags, mode;
    uint64_t object;
    const char *path, *other; /* other may be NULL */
    unsigned count;
    const int64_t *numbers;
};
/* Calls `then` with the answer: at once when it is kept, else later, and never when the caller vanishes meanwhile. `then` may ask again. */
void file_ask(struct file_call *fc, const struct file_question *q, file_then *then);
void file_lookup(struct file_call *fc, const struct place *p, bool follow, file_then *then);
bool file_reattach(struct file_call *fc, const notif *n); /* calls.c: the caller comes back from a signal handler */
void file_gone(struct call *c);
void file_expired(struct call *c);
const struct file_answer *cache_find(const struct file_question *q);
void cache_add(const struct file_question *q, const struct file_answer *a);
void cache_forget(const struct file_question *q);
void cache_drop(void);
uint64_t cache_epoch(void); /* changes with every drop */
uint32_t question_hash(const struct file_question *q);
bool question_kept(const struct file_question *q); /* may its answer be given again? */
struct file_answer *answer_copy(const struct file_answer *a);
void answer_free(struct file_answer *a);

/* ---- acting for the caller on local files (caller.c) ---- */
void caller_begin(pid_t tid); /* its file system user, groups and umask */
void caller_begin_at(pid_t tid, const struct place *p); /* the same, but an overlay's source is ours */
void caller_end(void);
uint32_t caller_umask(pid_t tid);

/* ---- the read side ---- */
void run_open(struct file_call *fc);      /* open.c */
void run_stat(struct file_call *fc);      /* stat.c */
void run_access(struct file_call *fc);
void run_readlink(struct file_call *fc);  /* names.c */
bool local_readlink(const notif *n, const struct place *p);
bool local_getcwd(const notif *n, const struct place *p);
void run_xattr(struct file_call *fc);
void run_statfs(struct file_call *fc);    /* statfs.c */
bool local_fstatfs(const notif *n, const struct place *p);
void run_chdir(struct file_call *fc);     /* chdir.c */
void run_exec(struct file_call *fc);      /* exec.c */
void run_watch(struct file_call *fc);     /* watch.c */

/* ---- the write side (write.c, objects.c) ---- */
/* The copy `object` of the remote `path` is now open for writing at a descriptor of the process. */
void object_opened(pid_t tid, int number, uint64_t object, const char *path);
void object_lost(uint64_t object, const char *path); /* opened by the session, but its caller is gone */
uint64_t objects_due(void);       /* when objects_tick wants to be called, 0: never */
void objects_tick(uint64_t now);
void objects_end(void);           /* nobody of the tree is left: what was not seen closed is so now */
const char *object_at(pid_t tid, int number, uint64_t *object); /* its remote path, when that descriptor is such a copy; NULL: it is not */
int attributes(void);                     /* attributes.c: `mirrord-trap --attributes`; the exit code */
#endif
