/* path.c - what a path means: local, of the target, or not to be found. A path is read once and acted on from our copy.
 *
 * config.files mirrors the target's tree, so a directory that we handed out leads back to its remote path: cut the prefix. Paths are
 * judged as they are written ("." and ".." taken out): links in a remote path are the target's to follow, in a local one the kernel's.
 * Cheap first: an absolute local path costs one read of memory and one walk through the automaton. */
#include "trap.h"
#include <sys/stat.h>

bool files_given;
static struct rules *rules, *mapping;
static size_t files_length;

/* Labels of the automaton (pathClasses in src/trap/types.ts). */
enum label { LABEL_NONE, LABEL_NOT_FOUND, LABEL_WRITE, LABEL_READ, LABEL_LOCAL, LABEL_MODE_WRITE, LABEL_MODE_READ };

bool files_configure(void) {
    size_t n = strlen(config.files);
    files_length = n;
    if (!n) return true;
    if (config.files[0] != '/' || n >= PATH_MAX / 2 || config.files[n - 1] == '/') return false;
    rules = config.rules.length ? rules_load(config.rules.data, config.rules.length) : NULL;
    mapping = config.mapping.length ? rules_load(config.mapping.data, config.mapping.length) : NULL;
    return (rules || !config.rules.length) && (mapping || !config.mapping.length);
}

/* "." and ".." and double slashes taken out of an absolute path, in place. Links are not followed. */
bool path_normalise(char *path) {
    char *out = path;
    bool up = false;
    for (char *in = path; *in;) {
        while (*in == '/') in++;
        size_t n = (size_t)(strchrnul(in, '/') - in);
        if (n == 2 && in[0] == '.' && in[1] == '.') {
            up = true;
            while (out > path && *--out != '/') continue;
        } else if (n && !(n == 1 && in[0] == '.')) {
            *out++ = '/';
            if (out != in) memmove(out, in, n);
            out += n;
        }
        in += n;
    }
    if (out == path) *out++ = '/';
    *out = 0;
    return up;
}
static bool below(const char *path, const char *top, size_t n) { return !strncmp(path, top, n) && (!path[n] || path[n] == '/'); }
const char *path_below_files(const char *path) {
    if (!files_length || !below(path, config.files, files_length)) return NULL;
    return path[files_length] ? path + files_length : "/";
}

/* At or below the process's own working directory, its script's or its language's, or its own executable: local where only the mode makes it
 * remote. */
static bool own(pid_t tid, const char *path) {
    char link[PATH_MAX];
    ssize_t k = base_directory(tid, link);
    if (k > 1 && !path_below_files(link) && below(path, link, (size_t)k)) return true;
    if (base_executable(tid, link) <= 0 || path_below_files(link)) return false;
    if (!strcmp(path, link)) return true;
    size_t prefix = base_installation(tid, link);
    if (prefix > 0 && below(path, link, prefix)) return true;
    if (!base_script(tid, link)) return false;
    size_t directory = (size_t)(strrchr(link, '/') - link);
    return directory > 0 && below(path, link, directory);
}
/* Realpath and mkdir -p look at every parent of a path, of which the target may have none: /builds of a CI runner. */
bool place_above_own(pid_t tid, const struct place *p) {
    char link[PATH_MAX];
    if (p->through || p->mapped) return false;
    if (below(config.cwd, p->path, p->length) || below(config.program, p->path, p->length)) return true;
    if (base_directory(tid, link) > 0 && !path_below_files(link) && below(link, p->path, p->length)) return true;
    if (base_executable(tid, link) > 0 && !path_below_files(link) && below(link, p->path, p->length)) return true;
    return base_script(tid, link) && below(link, p->path, p->length);
}
static enum place_class class_of(pid_t tid, const char *path, size_t n) {
    unsigned label = rules ? rules_match(rules, path, n) : LABEL_NONE;
    switch (label) {
    case LABEL_NOT_FOUND: return PLACE_NOT_FOUND;
    case LABEL_WRITE: return PLACE_WRITE;
    case LABEL_READ: return PLACE_READ;
    case LABEL_MODE_WRITE: return own(tid, path) ? PLACE_LOCAL : PLACE_WRITE;
    case LABEL_MODE_READ: return own(tid, path) ? PLACE_LOCAL : PLACE_READ;
    default: return PLACE_LOCAL;
    }
}
/* A ".." that leaves a remote directory: the kernel would look for that directory here. */
static bool leaves_remote(pid_t tid, const char *written) {
    char prefix[PATH_MAX];
    for (const char *at = written; (at = strstr(at, "/.."));) {
        const char *dots = at;
        at += 3;
        if (*at && *at != '/') continue;
        memcpy(prefix, written, (size_t)(dots - written));
        prefix[dots - written] = 0;
        path_normalise(prefix);
        enum place_class class = class_of(tid, prefix, strlen(prefix));
        if (class == PLACE_READ || class == PLACE_WRITE) return true;
    }
    return false;
}
static const struct overlay *overlay_named(const char *name) { /* cheap for every other path */
    for (uint32_t i = 0; i < config.noverlays; i++)
        if (!strcmp(config.overlays[i].name, name)) return &config.overlays[i];
    return NULL;
}
static const struct overlay *overlay_at(const char *path) {
    for (uint32_t i = 0; i < config.noverlays; i++)
        if (!strcmp(config.overlays[i].path, path)) return &config.overlays[i];
    return NULL;
}
const char *path_magic(pid_t tid, const char *path, pid_t *owner, char name[24]) {
    int used = 0, number;
    *owner = tid;
    if (!strncmp(path, "/dev/fd/", 8)) path += 5;
    else if (!strncmp(path, "/proc/self/", 11)) path += 11;
    else if (!strncmp(path, "/proc/thread-self/", 18)) path += 18;
    else if (sscanf(path, "/proc/%d/%n", owner, &used) == 1 && used) path += used;
    else return NULL;
    used = 0;
    if (sscanf(path, "task/%d/%n", &number, &used) == 1 && used) path += used;
    if (sscanf(path, "fd/%d%n", &number, &used) == 1) snprintf(name, 24, "fd/%d", number);
    else if (!strncmp(path, "cwd", 3) || !strncmp(path, "exe", 3)) snprintf(name, 24, "%.*s", used = 3, path);
    else return NULL;
    return path[used] && path[used] != '/' ? NULL : path + used;
}
/* /proc/self/cwd/x, /proc/self/fd/5/x, /dev/fd/5/x of a copy's directory: the kernel would walk into the copy. */
static bool leads_to_copy(pid_t tid, char path[PATH_MAX]) {
    char name[24], link[PATH_MAX], full[2 * PATH_MAX];
    pid_t owner;
    const char *rest = path_magic(tid, path, &owner, name);
    if (!rest || !*rest) return false; /* the link itself: the kernel opens the right copy */
    const char *remote = path_link(owner, name, link) > 0 ? path_below_files(link) : NULL;
    if (!remote || strlen(remote) + strlen(rest) >= PATH_MAX) return false;
    snprintf(full, sizeof full, "%s%s", remote, rest);
    path_normalise(full);
    strcpy(path, full);
    return true;
}

void place_judge(const notif *n, struct place *p) {
    p->class = class_of(n->pid, p->path, p->length);
    if (p->class != PLACE_LOCAL && (path_foreign(n->pid) || (!p->through && loader_asks(n, p->path)))) p->class = PLACE_LOCAL;
    else if (p->class == PLACE_LOCAL && (p->through || p->mapped)) p->class = path_foreign(n->pid) ? PLACE_LOCAL : PLACE_VIA;
}
void place_find(const notif *n, int at, uint64_t address, struct place *p, char path[PATH_MAX]) {
    static char written[PATH_MAX], full[2 * PATH_MAX];
    *p = (struct place){.class = PLACE_LOCAL, .path = path};
    path[0] = 0;
    ssize_t k = mem_string(n->pid, address, written, sizeof written);
    if (k < 0) mem_refused(n->pid, k, "files");
    if (k <= 0) return; /* EFAULT, ENOENT, or the descriptor itself (AT_EMPTY_PATH): the kernel knows */
    size_t length = (size_t)k;
    const char *name = memrchr(written, '/', length);
    name = name ? name + 1 : written;
    p->slash = !*name || !strcmp(name, ".") || !strcmp(name, "..");
    const struct overlay *named = overlay_named(name);
    bool absolute = p->absolute = written[0] == '/';
    if (!absolute) {
        if (!named && !files_length) return;
        ssize_t base = base_of(n->pid, at, full);
        if (base <= 0 || full[0] != '/') return;
        const char *remote = path_below_files(full);
        p->through = remote != NULL;
        if (remote) {
            memmove(full, remote, strlen(remote) + 1);
            base = (ssize_t)strlen(full);
        }
        full[base] = '/';
        memcpy(full + base + 1, written, length + 1);
        p->base = base > 1 ? (size_t)base : 0;
        p->up = path_normalise(full);
    } else {
        memcpy(full, written, length + 1);
        p->up = path_normalise(full);
        const char *remote = path_below_files(full);
        if (remote) {
            p->through = true;
            memmove(full, remote, strlen(remote) + 1);
        } else if (files_given && (full[1] == 'p' || full[1] == 'd') && leads_to_copy(n->pid, full)) p->through = true;
    }
    p->length = strlen(full);
    if (p->length >= PATH_MAX) {
        if (p->through) p->class = PLACE_NOT_FOUND; /* the kernel would walk into the copy */
        return;
    }
    memcpy(path, full, p->length + 1);
    if (named && (p->overlay = overlay_at(path))) {
        if (!path_foreign(n->pid)) p->class = PLACE_OVERLAY;
        return;
    }
    if (!files_length) return;
    if (!is_utf8((uint8_t *)path, (uint8_t *)path + p->length)) { /* local, also from a remote directory: no message can name it */
        if (p->through) p->class = path_foreign(n->pid) ? PLACE_LOCAL : PLACE_VIA;
        return;
    }
    if (!absolute && !p->through) { /* never remote, but it may be one that nobody shall find */
        if (rules && rules_match(rules, path, p->length) == LABEL_NOT_FOUND && !path_foreign(n->pid)) p->class = PLACE_NOT_FOUND;
        return;
    }
    if (p->up && absolute && !p->through && rules) p->through = leaves_remote(n->pid, written);
    if (mapping && absolute && !p->through && rules_match(mapping, path, p->length)) {
        p->class = path_foreign(n->pid) || loader_asks(n, path) ? PLACE_LOCAL : PLACE_MAP;
        return;
    }
    place_judge(n, p);
}
void place_for_write(struct place *p) {
    if (p->class == PLACE_OVERLAY) p->class = PLACE_LOCAL;
    if (p->class == PLACE_READ) p->class = p->through ? PLACE_VIA : PLACE_LOCAL;
}
bool place_remote(const struct place *p) { return p->class == PLACE_READ || p->class == PLACE_WRITE; }
const char *place_real(pid_t tid, const struct place *p, char buffer[PATH_MAX + 32]) {
    const char *path = p->class == PLACE_OVERLAY ? p->overlay->source : p->path, *slash = p->slash && path[1] ? "/" : "";
    if (!strncmp(path, "/proc/self", 10) && (!path[10] || path[10] == '/')) snprintf(buffer, PATH_MAX + 32, "/proc/%d%s%s", process_of(tid), path + 10, slash);
    else if (!strncmp(path, "/proc/thread-self/", 18)) snprintf(buffer, PATH_MAX + 32, "/proc/%d/%s%s", tid, path + 18, slash);
    else snprintf(buffer, PATH_MAX + 32, "%s%s", path, slash);
    return buffer;
}
