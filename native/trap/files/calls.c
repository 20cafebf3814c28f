/* calls.c - which system calls about files are trapped, and what is done with them: the paths first, then the call's own handler. */
#include "trap.h"

static const struct file_row read_rows[] = {
#ifdef SYS_open
    {SYS_open, NO_AT, 0, 0, NO_PATH, WHEN_OVERLAYS, run_open, NULL},
    {SYS_creat, NO_AT, 0, 0, NO_PATH, WRITES, run_open, NULL},
    {SYS_stat, NO_AT, 0, 0, NO_PATH, WHEN_OVERLAYS, run_stat, NULL},
    {SYS_lstat, NO_AT, 0, 0, NO_PATH, WHEN_OVERLAYS, run_stat, NULL},
    {SYS_access, NO_AT, 0, 0, NO_PATH, WHEN_OVERLAYS, run_access, NULL},
    {SYS_readlink, NO_AT, 0, 0, NO_PATH, WHEN_OVERLAYS, run_readlink, local_readlink},
#endif
    {SYS_openat, 0, 1, 0, NO_PATH, WHEN_OVERLAYS, run_open, NULL},
    {SYS_openat2, 0, 1, 0, NO_PATH, WHEN_OVERLAYS, run_open, NULL},
    {SYS_newfstatat, 0, 1, 0, NO_PATH, WHEN_OVERLAYS, run_stat, NULL},
    {SYS_statx, 0, 1, 0, NO_PATH, WHEN_OVERLAYS, run_stat, NULL},
    {SYS_faccessat, 0, 1, 0, NO_PATH, WHEN_OVERLAYS, run_access, NULL},
    {SYS_faccessat2, 0, 1, 0, NO_PATH, WHEN_OVERLAYS, run_access, NULL},
    {SYS_readlinkat, 0, 1, 0, NO_PATH, WHEN_OVERLAYS, run_readlink, local_readlink},
    {SYS_getxattr, NO_AT, 0, 0, NO_PATH, 0, run_xattr, NULL},
    {SYS_lgetxattr, NO_AT, 0, 0, NO_PATH, 0, run_xattr, NULL},
    {SYS_listxattr, NO_AT, 0, 0, NO_PATH, 0, run_xattr, NULL},
    {SYS_llistxattr, NO_AT, 0, 0, NO_PATH, 0, run_xattr, NULL},
    {SYS_statfs, NO_AT, 0, 0, NO_PATH, 0, run_statfs, NULL},
    {SYS_fstatfs, 0, NO_PATH, 0, NO_PATH, 0, run_statfs, local_fstatfs},
    {SYS_inotify_add_watch, NO_AT, 1, 0, NO_PATH, 0, run_watch, NULL},
    {SYS_execve, NO_AT, 0, 0, NO_PATH, 0, run_exec, local_base_changes},
    {SYS_execveat, 0, 1, 0, NO_PATH, 0, run_exec, local_base_changes},
    {SYS_chdir, NO_AT, 0, 0, NO_PATH, WHEN_KNOWN, run_chdir, local_base_changes},
    {SYS_fchdir, 0, NO_PATH, 0, NO_PATH, WHEN_KNOWN, NULL, local_base_changes},
    {SYS_chroot, NO_AT, NO_PATH, 0, NO_PATH, WHEN_KNOWN, NULL, local_base_changes},
    {SYS_pivot_root, NO_AT, NO_PATH, 0, NO_PATH, WHEN_KNOWN, NULL, local_base_changes},
    {SYS_unshare, NO_AT, NO_PATH, 0, NO_PATH, WHEN_KNOWN, NULL, local_base_changes},
    {SYS_setns, NO_AT, NO_PATH, 0, NO_PATH, WHEN_KNOWN, NULL, local_base_changes},
    {SYS_getcwd, 0, NO_PATH, 0, NO_PATH, 0, NULL, local_getcwd},
    {.number = -1},
};
#define NUMBERS 512
static const struct file_row *rows[NUMBERS];

static bool wanted(const struct file_row *row) {
    if (!config.files[0] && row->when & WHEN_KNOWN) return config.noverlays || config.unix_streams.length;
    if (!config.files[0]) return (row->when & WHEN_OVERLAYS) && config.noverlays;
    return !(row->when & WHEN_WRITABLE) || config.files_write;
}
static void add(struct filter *f, const struct file_row *row) {
    for (; row->number >= 0; row++) {
        if (row->number >= NUMBERS || rows[row->number] || !wanted(row)) continue;
        rows[row->number] = row;
        if (row->number == SYS_execve || row->number == SYS_execveat) filter_trap_exec(f); /* except the first of all */
        else if (row->number == SYS_newfstatat) filter_trap_unless_descriptor(f, SYS_newfstatat, 3);
        else if (row->number == SYS_statx) filter_trap_unless_descriptor(f, SYS_statx, 2);
        else if (!(row->when & BY_WINDOW)) filter_trap(f, (uint32_t)row->number);
    }
}
void files_filter(struct filter *f) {
    add(f, read_rows);
    add(f, file_rows_write);
}

static void end(struct file_call *fc) {
    if (fc->held) call_end(fc->held);
    for (int i = 0; i < 2; i++) free(fc->place[i].path);
    free(fc->data);
    answer_free(fc->kept);
    free(fc);
}
void file_result(struct file_call *fc, int64_t result) {
    answer_result(&fc->n, result);
    end(fc);
}
void file_continue(struct file_call *fc) {
    answer_continue(&fc->n);
    end(fc);
}
bool file_is_here(struct file_call *fc, const struct file_answer *a) {
    if (a->error != ENOENT || !place_above_own(fc->n.pid, &fc->place[0])) return false;
    file_continue(fc);
    return true;
}
void file_drop(struct file_call *fc) { end(fc); }
/* The lowest free number, as natively. */
void file_inject(struct file_call *fc, int fd, bool cloexec) {
    int r = inject(&fc->n, fd, cloexec, -1);
    close(fd);
    if (r < 0 && r != -ENOENT) answer_error(&fc->n, -r);
    end(fc);
}

static void proceed(struct file_call *fc);
static void mapped(struct file_call *fc, const struct file_answer *a) {
    struct place *p = fc->place[0].class == PLACE_MAP ? &fc->place[0] : &fc->place[1];
    if (a->error || a->text[0] != '/') {
        warn("%s cannot be mapped to \"%s\": it must become an absolute path; the program sees no such file", p->path, a->text);
        file_result(fc, a->error ? -a->error : -ENOENT);
        return;
    }
    char *path = strdup(a->text);
    if (!path) abort();
    path_normalise(path);
    p->mapped = strcmp(path, p->path) != 0;
    free(p->path);
    p->path = path;
    p->length = strlen(path);
    place_judge(&fc->n, p);
    proceed(fc);
}
static void settle(const struct file_row *row, struct place *places) {
    for (int i = 0; i < 2; i++)
        if (row->when & WRITES) place_for_write(&places[i]);
}
static void proceed(struct file_call *fc) {
    struct place *p = fc->place;
    for (int i = 0; i < 2; i++) {
        if (p[i].class != PLACE_MAP) continue;
        file_ask(fc, &(struct file_question){.operation = FILE_MAP, .path = p[i].path}, mapped);
        return;
    }
    settle(fc->row, p);
    if (p[0].class == PLACE_NOT_FOUND || p[1].class == PLACE_NOT_FOUND) file_result(fc, -ENOENT);
    else if (p[0].class == PLACE_LOCAL && p[1].class == PLACE_LOCAL) file_continue(fc);
    else fc->row->run(fc);
}
static void begin(const notif *n, const struct file_row *row, const struct place *places) {
    struct file_call *fc = calloc(1, sizeof *fc);
    if (!fc) abort();
    fc->n = *n;
    fc->row = row;
    for (int i = 0; i < 2; i++) {
        fc->place[i] = places[i];
        if (!(fc->place[i].path = strdup(places[i].path))) abort();
    }
    if (!killable && file_reattach(fc, n)) end(fc);
    else proceed(fc);
}
void file_begin(const notif *n, const struct place *p) {
    struct place places[2] = {*p, {.path = ""}};
    begin(n, rows[n->data.nr], places);
}
bool on_file(const notif *n) {
    static char paths[2][PATH_MAX];
    struct place places[2] = {{.path = paths[0]}, {.path = paths[1]}};
    const struct file_row *row = n->data.nr >= 0 && n->data.nr < NUMBERS ? rows[n->data.nr] : NULL;
    if (!row) return false;
    const __u64 *a = n->data.args;
    paths[0][0] = paths[1][0] = 0;
    if (row->path != NO_PATH) place_find(n, row->at == NO_AT ? AT_FDCWD : (int)a[row->at], a[row->path], &places[0], paths[0]);
    if (row->path2 != NO_PATH) place_find(n, row->at2 == NO_AT ? AT_FDCWD : (int)a[row->at2], a[row->path2], &places[1], paths[1]);
    settle(row, places);
    if (places[0].class != PLACE_LOCAL || places[1].class != PLACE_LOCAL) begin(n, row, places);
    else if (!row->local || !row->local(n, places)) answer_continue(n);
    return true;
}
