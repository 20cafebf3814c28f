/* base.c - links in /proc, where a relative path starts from, and what else of a thread decides about paths: its executable, its script, its root.
 * Each of them costs as much as half a notification, so they are remembered. What changes one of them (chdir, execve, chroot, unshare …) is
 * trapped and empties the memory; nothing is remembered until it has surely been done (another thread may share the directory), and nothing for
 * longer than a second (a directory may be renamed, a thread's number used again). */
#include "trap.h"
#include <sys/stat.h>

#define KEPT (1000 * MS)
#define LONGEST 230

enum fact { CWD, EXE, SCRIPT, PREFIX, FOREIGN, FACTS };
struct known { pid_t tid; uint32_t generation; uint64_t until; bool has[FACTS]; int16_t length[FACTS]; char text[PREFIX][LONGEST]; };
static struct known all[256];
static uint32_t generation = 1;
static uint64_t changed_at;

/* NULL: nothing may be remembered now. */
static struct known *known_of(pid_t tid) {
    struct known *k = &all[(unsigned)tid % 256];
    uint64_t now = now_ns();
    if (k->tid == tid && k->generation == generation && now < k->until) return k;
    if (now - changed_at < KEPT) return NULL;
    k->tid = tid;
    k->generation = generation;
    k->until = now + KEPT;
    memset(k->has, 0, sizeof k->has);
    return k;
}
static ssize_t keep_text(struct known *k, enum fact fact, const char *text, ssize_t length) {
    if (!k || length < 0 || length >= LONGEST) return length;
    k->has[fact] = true;
    k->length[fact] = (int16_t)length;
    memcpy(k->text[fact], text, (size_t)length + 1);
    return length;
}
static ssize_t known_text(const struct known *k, enum fact fact, char to[PATH_MAX]) {
    memcpy(to, k->text[fact], (size_t)k->length[fact] + 1);
    return k->length[fact];
}

ssize_t path_link(pid_t tid, const char *name, char to[PATH_MAX]) {
    char link[64];
    snprintf(link, sizeof link, "/proc/%d/%s", tid, name);
    ssize_t k = readlink(link, to, PATH_MAX - 1);
    if (k < 0) return -errno;
    to[k] = 0;
    /* The session replaces a copy when the remote file has changed: who has the former one open still means that path. */
    static const char gone[] = " (deleted)";
    struct stat st;
    if (k > (ssize_t)sizeof gone && !strcmp(to + k - (sizeof gone - 1), gone) && path_below_files(to) && lstat(to, &st)) to[k -= sizeof gone - 1] = 0;
    return k;
}
void base_changed(void) {
    generation++;
    changed_at = now_ns();
}
bool local_base_changes(const notif *n, const struct place *p) {
    (void)n, (void)p;
    base_changed();
    return false;
}
static ssize_t link_of(pid_t tid, enum fact fact, const char *name, char to[PATH_MAX]) {
    struct known *k = known_of(tid);
    if (k && k->has[fact]) return known_text(k, fact, to);
    return keep_text(k, fact, to, path_link(tid, name, to));
}
ssize_t base_directory(pid_t tid, char to[PATH_MAX]) { return link_of(tid, CWD, "cwd", to); }
ssize_t base_executable(pid_t tid, char to[PATH_MAX]) { return link_of(tid, EXE, "exe", to); }
ssize_t base_of(pid_t tid, int at, char to[PATH_MAX]) {
    char name[24];
    if (at == AT_FDCWD) return base_directory(tid, to);
    snprintf(name, sizeof name, "fd/%d", at);
    return path_link(tid, name, to);
}
bool base_script(pid_t tid, char to[PATH_MAX]) {
    struct known *k = known_of(tid);
    if (k && k->has[SCRIPT]) return known_text(k, SCRIPT, to) > 0;
    if (!script_of(tid, to)) to[0] = 0;
    return keep_text(k, SCRIPT, to, (ssize_t)strlen(to)) > 0;
}
/* PREFIX of an executable PREFIX/bin/NAME beside which there is PREFIX/lib: a language that was installed outside of the system's directories
 * (pyenv, nvm, SDKMAN, a tool cache), whose own files the target cannot have. Its length, 0 for none. */
static size_t installation(const char *executable) {
    char directory[PATH_MAX];
    struct stat st;
    const char *name = strrchr(executable, '/');
    if (!name || name - executable < 5 || memcmp(name - 4, "/bin", 4)) return 0;
    size_t n = (size_t)(name - 4 - executable);
    snprintf(directory, sizeof directory, "%.*s/lib", (int)n, executable);
    return stat(directory, &st) == 0 && S_ISDIR(st.st_mode) ? n : 0;
}
size_t base_installation(pid_t tid, const char *executable) {
    struct known *k = known_of(tid);
    if (k && k->has[PREFIX]) return (size_t)k->length[PREFIX];
    size_t n = installation(executable);
    if (k) k->has[PREFIX] = true, k->length[PREFIX] = (int16_t)n;
    return n;
}
/* chroot'ed, or in another mount namespace: its paths are not ours to judge. */
static bool foreign(pid_t tid) {
    static ino_t ours;
    char link[40], root[PATH_MAX];
    struct stat st;
    if (!ours && stat("/proc/self/ns/mnt", &st) == 0) ours = st.st_ino;
    if (path_link(tid, "root", root) != 1 || root[0] != '/') return true;
    snprintf(link, sizeof link, "/proc/%d/ns/mnt", tid);
    return stat(link, &st) || st.st_ino != ours;
}
bool path_foreign(pid_t tid) {
    struct known *k = known_of(tid);
    if (k && k->has[FOREIGN]) return k->length[FOREIGN];
    bool yes = foreign(tid);
    if (k) k->has[FOREIGN] = true, k->length[FOREIGN] = yes;
    return yes;
}
