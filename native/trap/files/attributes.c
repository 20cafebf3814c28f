/* attributes.c - `mirrord-trap --attributes`: for the agent, whose Node rounds times to about 240 ns (it hands them over as a double) and leaves
 * out half of statfs(2). A line asks about a descriptor of the parent, a line answers: "utimens FD s ns s ns" -> "ERRNO",
 * "statfs FD" -> "0 type bsize blocks bfree bavail files ffree fsid0 fsid1 namelen frsize flags" or "ERRNO". */
#include "trap.h"
#include <inttypes.h>
#include <sys/statfs.h>

/* Through /proc and not inherited: the descriptors come and go. An O_PATH descriptor does as well. */
static void name_of(char *to, size_t cap, int fd) { snprintf(to, cap, "/proc/%d/fd/%d", (int)getppid(), fd); }
static void set_times(int fd, const struct timespec times[2]) {
    char path[64];
    name_of(path, sizeof path, fd);
    printf("%d\n", utimensat(AT_FDCWD, path, times, 0) < 0 ? errno : 0);
}
static void describe(int fd) {
    char path[64];
    struct statfs s;
    int id[2];
    name_of(path, sizeof path, fd);
    if (statfs(path, &s) < 0) {
        printf("%d\n", errno);
        return;
    }
    memcpy(id, &s.f_fsid, sizeof id);
    printf("0 %" PRId64 " %" PRId64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %d %d %" PRId64 " %" PRId64 " %" PRId64 "\n",
           (int64_t)s.f_type, (int64_t)s.f_bsize, (uint64_t)s.f_blocks, (uint64_t)s.f_bfree, (uint64_t)s.f_bavail, (uint64_t)s.f_files,
           (uint64_t)s.f_ffree, id[0], id[1], (int64_t)s.f_namelen, (int64_t)s.f_frsize, (int64_t)s.f_flags);
}
int attributes(void) {
    char line[256];
    int64_t n[4];
    int fd;
    setvbuf(stdout, NULL, _IOLBF, 0);
    while (fgets(line, sizeof line, stdin)) {
        if (sscanf(line, "utimens %d %" SCNd64 " %" SCNd64 " %" SCNd64 " %" SCNd64, &fd, &n[0], &n[1], &n[2], &n[3]) == 5)
            set_times(fd, (struct timespec[2]){{.tv_sec = n[0], .tv_nsec = n[1]}, {.tv_sec = n[2], .tv_nsec = n[3]}});
        else if (sscanf(line, "statfs %d", &fd) == 1)
            describe(fd);
        else
            return 2;
        if (ferror(stdout)) return 1;
    }
    return 0;
}
