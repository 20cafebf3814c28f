/* proc.c - the text files of /proc about a process or thread: opened also with a full table of descriptors, and read whole. */
#include "trap.h"

/* With a full table of descriptors nothing of /proc could be opened: no process would be ended, every listener taken for closed, nobody's memory or
 * identity known. Two are kept back for that, one for a directory and one for a file in it. */
static int spare[2] = {-1, -1};
static bool borrowed;

bool spare_keep(bool keep) {
    bool had = spare[0] >= 0 || spare[1] >= 0;
    for (int i = 0; i < 2; i++) {
        if (keep && spare[i] < 0) spare[i] = open("/dev/null", O_RDONLY | O_CLOEXEC);
        if (!keep && spare[i] >= 0) close(spare[i]);
        if (!keep) spare[i] = -1;
    }
    return had;
}
int proc_open(pid_t tid, const char *name, int flags) {
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/%s", tid, name);
    int fd = open(path, flags | O_CLOEXEC);
    if (fd >= 0 || !table_full(-errno) || !spare_keep(false)) return fd < 0 ? -errno : fd;
    fd = open(path, flags | O_CLOEXEC);
    int error = errno;
    if (fd < 0) spare_keep(true);
    else borrowed = true;
    return fd < 0 ? -error : fd;
}
void proc_close(int fd) {
    close(fd);
    if (borrowed) spare_keep(true);
    borrowed = false;
}
/* A process may be in 65,536 groups, which fill most of `status`: its end matters too. */
char *proc_text(pid_t tid, const char *name) {
    static char *text;
    static size_t cap = 4096;
    int fd = proc_open(tid, name, O_RDONLY);
    size_t used = 0;
    ssize_t n = -1;
    if (fd < 0) return NULL;
    for (;;) {
        if ((!text || used + 1 == cap) && !(text = realloc(text, text ? (cap *= 2) : cap))) abort();
        size_t room = cap - used - 1;
        if ((n = read(fd, text + used, room)) > 0) used += (size_t)n;
        if (n < (ssize_t)room) break; /* a read gives all that there is room for (seq_file) */
    }
    proc_close(fd);
    if (n < 0 || !used) return NULL; /* it ended */
    text[used] = 0;
    return text;
}
/* What follows "\nNAME:" in `status`; NULL: no such line. */
const char *proc_field(const char *status, const char *name) {
    const char *at = strstr(status, name);
    return at ? at + strlen(name) : NULL;
}
/* The fields of `stat` behind the name, numbered from 3 (proc_pid_stat(5)). The name may hold anything, even a bracket. */
char *proc_stat(pid_t process) {
    char *text = proc_text(process, "stat"), *at = text ? strrchr(text, ')') : NULL;
    return at && at[1] ? at + 2 : NULL;
}
