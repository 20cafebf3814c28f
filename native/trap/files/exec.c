/* exec.c - execve and execveat of files that the kernel cannot find by their path: the local copy of a remote file is executed in its place.
 *
 * The kernel hands a script its own path, which would be the copy's: the first line is read here, and the interpreter executed with the path
 * that the program gave, which the interpreter then opens like any other remote file. */
#include "trap.h"
#include <sys/statvfs.h>

#define LINE 256         /* BINPRM_BUF_SIZE: what the kernel reads of a script */
#define DEPTH 5          /* scripts whose interpreter is a script (exec_binprm) */
#define ARGUMENTS 700000 /* the kernel takes 6 MiB of them at most: eight bytes each, and one for an empty string */

struct exec {
    int scripts, words;
    size_t used;
    size_t word[2 * DEPTH + 1]; /* offsets in text, of what stands before the program's own arguments; the last first */
    char text[PATH_MAX + 2 * DEPTH * LINE];
    char asked[PATH_MAX];   /* remote path that is executed */
    uint32_t flags;
};
static bool is_at(const struct file_call *fc) { return fc->n.data.nr == SYS_execveat; }
static uint64_t path_at(const struct file_call *fc) { return fc->n.data.args[is_at(fc) ? 1 : 0]; }
static uint64_t argv_at(const struct file_call *fc) { return fc->n.data.args[is_at(fc) ? 2 : 1]; }
static uint64_t envp_at(const struct file_call *fc) { return fc->n.data.args[is_at(fc) ? 3 : 2]; }

static const char *last_word(const struct exec *e) { return e->text + e->word[e->words - 1]; }
static void add_word(struct exec *e, const char *word) {
    size_t n = strlen(word) + 1;
    if (e->used + n > sizeof e->text || e->words == 2 * DEPTH + 1) abort(); /* both are bounded by LINE and DEPTH */
    e->word[e->words++] = e->used;
    memcpy(e->text + e->used, word, n);
    e->used += n;
}

/* ---- the first line (fs/binfmt_script.c) ---- */
static bool is_blank(char c) { return c == ' ' || c == '\t'; }
/* Cuts `line` into the interpreter and its argument ("" when it has none). 0, or -errno. */
static int first_line(char line[LINE + 1], char **interpreter, char **argument) {
    char *start = line + 2, *end = strchr(start, '\n');
    while (is_blank(*start)) start++;
    char *after = start + strcspn(start, " \t\n");
    if (!end) {
        if (!*after && strlen(line) >= LINE) return -ENOEXEC; /* its name may be cut off */
        end = line + strlen(line);
    }
    if (after > end) after = end;
    while (end > after && is_blank(end[-1])) end--;
    *end = 0;
    if (start >= end) return -ENOEXEC;
    *interpreter = start;
    *argument = after;
    while (is_blank(**argument)) *(*argument)++ = 0;
    *after = 0;
    return 0;
}

/* ---- handing over ---- */

/* argv until its null pointer, page by page: it may end just before an unmapped one. The number of pointers, or -errno. */
static ssize_t read_argv(pid_t tid, uint64_t at, uint64_t *to) {
    for (size_t n = 0; at;) {
        size_t more = (4096 - ((at + n * sizeof *to) & 4095)) / sizeof *to;
        if (more == 0) more = 1; /* not aligned */
        if (more > ARGUMENTS - n) return -E2BIG;
        ssize_t k = mem_read(tid, at + n * sizeof *to, to + n, more * sizeof *to);
        if (k < 0) return k;
        for (size_t end = n + more; n < end; n++)
            if (!to[n]) return (ssize_t)n;
    }
    return 0;
}
/* argv, the paths before the program's own arguments, and an empty path, for memory of its own. */
static int gather(struct file_call *fc, const struct exec *e, struct goal *g) {
    uint64_t *own = calloc(ARGUMENTS, sizeof *own);
    ssize_t n = own ? read_argv(fc->n.pid, argv_at(fc), own) : -ENOMEM;
    int error = n < 0 ? (int)n : 0;
    size_t rest = n > 0 ? (size_t)n - 1 : 0, pointers = SCRATCH_HEAD, text = pointers + ((size_t)e->words + rest + 1) * sizeof *own;
    g->size = text + e->used + 1;
    if (!error && !(g->data = calloc(1, g->size))) error = -ENOMEM;
    if (!error) {
        uint64_t *to = (uint64_t *)(g->data + pointers);
        for (int i = 0; i < e->words; i++) to[i] = text + e->word[e->words - 1 - i];
        memcpy(to + e->words, own + 1, rest * sizeof *own);
        memcpy(g->data + text, e->text, e->used);
        g->pointers = pointers;
        g->npointers = (size_t)e->words;
        g->args[0] = text + e->word[e->words - 1]; /* the interpreter; and the empty path is the last byte */
        g->args[1] = pointers;
        g->args[2] = envp_at(fc);
        g->in_data = 3;
    }
    free(own);
    return error;
}
static void hand_over(struct file_call *fc, int fd) {
    const struct exec *e = fc->data;
    struct goal g = {.nr = SYS_execve};
    char written[PATH_MAX];
    int error = 0;
    if (e->scripts && (error = gather(fc, e, &g)) == 0 && fd >= 0) {
        g = (struct goal){.nr = SYS_execveat, .args = {0, g.size - 1, g.args[1], g.args[2], AT_EMPTY_PATH}, .descriptor = 1, .in_data = 6,
                          .data = g.data, .size = g.size, .pointers = g.pointers, .npointers = g.npointers};
    } else if (!e->scripts) {
        /* The zero at the end of the path that the program gave is an empty path: nothing has to be written. */
        ssize_t k = mem_string(fc->n.pid, path_at(fc), written, sizeof written);
        if (k < 0) error = (int)k;
        else g = (struct goal){.nr = SYS_execveat, .args = {0, path_at(fc) + (uint64_t)k, argv_at(fc), envp_at(fc), AT_EMPTY_PATH}, .descriptor = 1};
    }
    if (!error) error = restart_as(&fc->n, fd, &g);
    if (fd >= 0) close(fd);
    if (error) file_result(fc, error);
    else file_drop(fc);
}
static int may_execute(pid_t tid, int fd) {
    struct stat st;
    struct statvfs where;
    static bool told;
    if (fstat(fd, &st) || !S_ISREG(st.st_mode)) return -EACCES;
    caller_begin(tid);
    int r = (int)syscall(SYS_faccessat2, fd, "", X_OK, AT_EMPTY_PATH | AT_EACCESS), error = r ? errno : 0;
    caller_end();
    if (fstatvfs(fd, &where) == 0 && where.f_flag & ST_NOEXEC) {
        if (!told) warn("remote programs cannot be executed: %s, where their copies are, is mounted noexec; choose another temporary directory (TMPDIR)", config.files);
        told = true;
        return -EACCES;
    }
    return -error;
}

static void run_file(struct file_call *fc, const char *source, int flags);
static void ask(struct file_call *fc);
static void opened(struct file_call *fc, const struct file_answer *a) {
    if (!a->error && access(a->source, F_OK) && fc->tries++ == 0) { /* an answer kept, whose copy the session has taken away since */
        cache_drop();
        ask(fc);
    } else if (a->error) file_result(fc, a->error == EISDIR ? -EACCES : -a->error);
    else if (S_ISDIR(a->mode)) file_result(fc, -EACCES);
    else {
        files_given = true;
        run_file(fc, a->source, S_ISLNK(a->mode) ? O_NOFOLLOW : 0);
    }
}
static void ask(struct file_call *fc) {
    const struct exec *e = fc->data;
    file_ask(fc, &(struct file_question){.operation = FILE_OPEN, .flags = O_RDONLY | e->flags, .path = e->asked}, opened);
}
static void run_remote(struct file_call *fc, const char *path, uint32_t flags) {
    struct exec *e = fc->data;
    strcpy(e->asked, path);
    e->flags = flags;
    ask(fc);
}
/* The interpreter may be remote itself. Relative: to the working directory, which may be as well. */
static void interpret(struct file_call *fc) {
    static char full[2 * PATH_MAX];
    struct exec *e = fc->data;
    const char *path = last_word(e);
    struct place p = {.path = full};
    full[0] = 0;
    if (path[0] != '/') {
        ssize_t k = path_link(fc->n.pid, "cwd", full);
        const char *remote = k > 0 ? path_below_files(full) : NULL;
        p.through = remote != NULL;
        if (remote) memmove(full, remote, strlen(remote) + 1);
        strcat(full, "/");
    }
    strcat(full, path);
    path_normalise(full);
    p.length = strlen(full);
    if (p.length >= PATH_MAX) {
        file_result(fc, -ENAMETOOLONG);
        return;
    }
    if (path[0] == '/' || p.through) place_judge(&fc->n, &p);
    else p.class = PLACE_LOCAL;
    if (p.class == PLACE_NOT_FOUND) file_result(fc, -ENOENT);
    else if (place_remote(&p)) run_remote(fc, full, 0);
    else if (p.class == PLACE_VIA) run_file(fc, full, 0);
    else hand_over(fc, -1);
}
static void run_file(struct file_call *fc, const char *source, int flags) {
    struct exec *e = fc->data;
    char line[LINE + 1] = "", *interpreter, *argument;
    int fd = open(source, O_RDONLY | O_CLOEXEC | O_NONBLOCK | flags);
    if (fd < 0 && errno == EACCES) fd = open(source, O_PATH | O_CLOEXEC | flags); /* may be executed, not read: no script then */
    int error = fd < 0 ? -errno : may_execute(fc->n.pid, fd);
    if (error || pread(fd, line, LINE, 0) < 2 || memcmp(line, "#!", 2)) {
        if (error && fd >= 0) close(fd);
        if (error) file_result(fc, error);
        else hand_over(fc, fd);
        return;
    }
    close(fd);
    error = first_line(line, &interpreter, &argument);
    if (!error && e->scripts++ == DEPTH) error = -ELOOP;
    if (error) {
        file_result(fc, error);
        return;
    }
    if (*argument) add_word(e, argument);
    add_word(e, interpreter);
    interpret(fc);
}
void run_exec(struct file_call *fc) {
    struct place *p = &fc->place[0];
    char path[PATH_MAX + 32];
    int flags = is_at(fc) && fc->n.data.args[4] & AT_SYMLINK_NOFOLLOW ? O_NOFOLLOW : 0;
    struct exec *e = fc->data = calloc(1, sizeof *e);
    if (!e) abort();
    base_changed();
    /* What a script shall think it is called. natively a descriptor's directory would show as /dev/fd/5/name. */
    ssize_t k = mem_string(fc->n.pid, path_at(fc), path, PATH_MAX);
    if (k < 0) {
        file_result(fc, k);
        return;
    }
    add_word(e, path[0] != '/' && is_at(fc) && (int)fc->n.data.args[0] != AT_FDCWD ? p->path : path);
    if (p->slash) file_result(fc, -EACCES);
    else if (place_remote(p)) run_remote(fc, p->path, (uint32_t)flags);
    else run_file(fc, place_real(fc->n.pid, p, path), flags);
}
