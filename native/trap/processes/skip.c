/* skip.c - which programs run as without us: judged by name once for every program that a process executes.
 *
 * An entry of config.skip is compared with the base names of the executable and of argv[0]:
 *   NAME       exactly            *END     their end
 *   NAME WORD  a script's base name (without -cli and .js) and its first argument that is no option ("npm install"); WORD may be empty: none
 *
 * A forked child is recognised by its image (the kernel places every stack anew at execve), so it inherits what was found for its parent,
 * whatever either has made of its argv since. */
#include "trap.h"
#include <linux/limits.h>

#define TRUST (200 * MS) /* a thread id cannot come round again in this time: 32,768 forks take longer */
#define THREADS 8192
#define BUCKETS 1024
#define WORDS 16
#define WORD_LENGTH 256

struct words { int n; char text[WORDS][WORD_LENGTH]; };
struct group {
    struct group *next;
    pid_t process;
    struct image image;
    bool skipped;
    pid_t exec_by;       /* a thread of it is in execve: whether that succeeded shows at the next call */
    bool young;          /* its image was not complete when we looked */
    struct words *words; /* argv of that execve */
};
static struct group *groups[BUCKETS];
static struct { pid_t tid; struct group *group; uint64_t checked; } threads[THREADS];
static unsigned count, sweep_at = 512;

static const char *base_name(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}
static bool ends_with(const char *text, const char *end) {
    size_t n = strlen(text), m = strlen(end);
    return n >= m && !memcmp(text + n - m, end, m);
}

/* ---- argv ---- */

/* A long path is named by its end: the name is what counts. */
static void keep(char *to, const char *word) {
    if (strlen(word) >= WORD_LENGTH) word = base_name(word);
    size_t n = strlen(word);
    if (n >= WORD_LENGTH) n = 0;
    memcpy(to, word, n);
    to[n] = 0;
}
/* As execve(2) is about to get it. A racing thread that changes it only fools itself. */
static void words_of_call(const notif *n, struct words *w) {
    uint64_t at = n->data.args[n->data.nr == SYS_execve ? 1 : 2], pointer;
    for (w->n = 0; w->n < WORDS && mem_read(n->pid, at + (unsigned)w->n * sizeof pointer, &pointer, sizeof pointer) >= 0 && pointer; w->n++) {
        char text[PATH_MAX];
        keep(w->text[w->n], mem_string(n->pid, pointer, text, sizeof text) < 0 ? "" : text);
    }
}
static void words_of_process(pid_t process, struct words *w) {
    char text[4096];
    int fd = proc_open(process, "cmdline", O_RDONLY);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text);
    if (fd >= 0) proc_close(fd);
    w->n = 0;
    for (char *at = text; n > 0 && w->n < WORDS;) {
        char *end = memchr(at, 0, (size_t)n);
        if (!end) break;
        keep(w->text[w->n++], at);
        n -= end + 1 - at;
        at = end + 1;
    }
}

/* ---- judging ---- */

/* Options of npm, yarn and pnpm whose value is the next word. */
static bool takes_value(const char *option) {
    static const char *const known[] = {"-C", "--dir", "--prefix", "--cwd", "-w", "--workspace", "-F", "--filter", "--loglevel", "--userconfig", "--cache", "--registry"};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (!strcmp(known[i], option)) return true;
    return false;
}
static const char *first_argument(const struct words *w, int from) {
    for (int i = from; i < w->n; i++) {
        if (w->text[i][0] != '-') return w->text[i];
        if (takes_value(w->text[i])) i++;
    }
    return "";
}
/* /usr/bin/npm, npm-cli.js, yarn.js, pnpm.cjs -> npm, yarn, pnpm */
static bool is_script(const char *path, const char *name, size_t length) {
    const char *base = base_name(path);
    size_t n = strcspn(base, ".");
    const char *ending = base + n;
    if (*ending && strcmp(ending, ".js") && strcmp(ending, ".cjs") && strcmp(ending, ".mjs")) return false;
    if (n > 4 && !memcmp(base + n - 4, "-cli", 4)) n -= 4;
    return n == length && !memcmp(base, name, n);
}
static bool is_command(const struct words *w, const char *entry, const char *space) {
    size_t length = (size_t)(space - entry);
    int script = 0;
    if (!w->n) return false;
    if (!is_script(w->text[0], entry, length)) { /* an interpreter, its options, and the script */
        for (script = 1; script < w->n && w->text[script][0] == '-';) script++;
        if (script == w->n || !is_script(w->text[script], entry, length)) return false;
    }
    return !strcmp(first_argument(w, script + 1), space + 1);
}
static bool is_named(const char *name, const char *entry) {
    return entry[0] == '*' ? ends_with(name, entry + 1) : !strcmp(name, entry);
}
static bool judge(pid_t process, const struct words *w) {
    char link[40], path[PATH_MAX];
    snprintf(link, sizeof link, "/proc/%d/exe", process);
    ssize_t k = readlink(link, path, sizeof path - 1);
    path[k < 0 ? 0 : k] = 0;
    if (ends_with(path, " (deleted)")) path[k - 10] = 0;
    const char *executable = base_name(path), *invoked = w->n ? base_name(w->text[0]) : "";
    for (uint32_t i = 0; i < config.nskip; i++) {
        const char *entry = config.skip[i], *space = strchr(entry, ' ');
        if (space && is_command(w, entry, space)) return true;
        if (is_named(executable, entry) || is_named(invoked, entry)) return true;
    }
    return false;
}

/* ---- what is known ---- */

static void sweep(void) {
    for (unsigned b = 0; b < BUCKETS; b++)
        for (struct group **at = &groups[b], *g; (g = *at);) {
            struct image now;
            if (process_image(g->process, &now) && now.started == g->image.started) {
                at = &g->next;
                continue;
            }
            *at = g->next;
            for (unsigned i = 0; i < THREADS; i++)
                if (threads[i].group == g) threads[i].tid = 0, threads[i].group = NULL;
            free(g->words);
            free(g);
            count--;
        }
    sweep_at = count * 2 > 512 ? count * 2 : 512;
}
static bool same_program(const struct image *a, const struct image *b) {
    return a->stack && a->stack == b->stack && a->arguments == b->arguments && a->device == b->device && a->inode == b->inode;
}
/* At a call of thread `tid`, or of a child (0). */
static void settle(struct group *g, pid_t tid) {
    struct image now;
    bool alive = process_image(g->process, &now);
    if (g->young && alive) g->image = now;
    g->young = false;
    if (!g->exec_by) return;
    if (alive && now.stack && same_program(&now, &g->image)) {
        if (tid == g->exec_by) g->exec_by = 0; /* it failed. Another thread: that one is still at it */
        return;
    }
    g->exec_by = 0;
    if (!alive) return;
    g->image = now;
    g->skipped = judge(g->process, g->words);
}
static struct group *find(pid_t process) {
    struct group *g = groups[process % BUCKETS];
    while (g && g->process != process) g = g->next;
    return g;
}
static struct group *group_of(pid_t process) {
    struct image image;
    struct group *g = find(process), *parent = NULL;
    if (!process_image(process, &image)) return NULL;
    if (g && g->image.started == image.started) return g;
    if ((parent = find(image.parent)) && (parent->exec_by || parent->young)) settle(parent, 0);
    parent = NULL;
    if (!g) {
        if (count >= sweep_at) sweep();
        g = calloc(1, sizeof *g);
        if (!g) abort();
        g->next = groups[process % BUCKETS];
        groups[process % BUCKETS] = g;
        count++;
    }
    for (unsigned b = 0; b < BUCKETS && !parent; b++)
        for (struct group *other = groups[b]; other && !parent; other = other->next)
            if (other != g && same_program(&other->image, &image)) parent = other;
    g->process = process;
    g->image = image;
    g->exec_by = 0;
    if (parent) g->skipped = parent->skipped;
    else {
        static struct words w;
        words_of_process(process, &w);
        g->skipped = judge(process, &w);
    }
    return g;
}
/* The program itself: its execve was not trapped, and its argv may be another by its first call. */
void process_first(pid_t process) {
    struct group *g = config.nskip ? group_of(process) : NULL;
    if (!g) return;
    static struct words w;
    for (w.n = 0; w.n < WORDS && config.argv[w.n]; w.n++) keep(w.text[w.n], config.argv[w.n]);
    g->skipped = judge(process, &w);
    g->young = true; /* clone(CLONE_VFORK) returns in the middle of the execve */
}
bool process_skipped(const notif *n) {
    if (!config.nskip) return false;
    uint64_t now = now_ns();
    pid_t tid = (pid_t)n->pid;
    unsigned at = (unsigned)tid % THREADS;
    struct group *g = threads[at].group;
    if (threads[at].tid != tid || now - threads[at].checked > TRUST) {
        g = group_of(process_of(tid));
        threads[at].tid = g ? tid : 0;
        threads[at].group = g;
        threads[at].checked = now;
        if (!g) return false; /* ended meanwhile */
    }
    if (g->exec_by || g->young) settle(g, tid);
    if (n->data.nr == SYS_execve || n->data.nr == SYS_execveat) {
        if (!g->words && !(g->words = malloc(sizeof *g->words))) abort();
        words_of_call(n, g->words);
        g->exec_by = tid;
    }
    return g->skipped;
}
