/* watch.c PATH - watches it, says so, and prints the events until "last" is among them. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

int main(int argc, char **argv) {
    char buffer[4096];
    int fd = inotify_init1(IN_CLOEXEC), wd = inotify_add_watch(fd, argv[argc - 1], IN_CREATE | IN_DELETE | IN_CLOSE_WRITE);
    if (wd < 0) return printf("%s\n", strerror(errno)), 1;
    int again = inotify_add_watch(fd, argv[argc - 1], IN_CREATE | IN_DELETE | IN_CLOSE_WRITE);
    printf("watching %d, again %s\n", wd, wd == again ? "the same" : "another");
    fflush(stdout);
    for (ssize_t n; (n = read(fd, buffer, sizeof buffer)) > 0;)
        for (char *at = buffer; at < buffer + n;) {
            struct inotify_event *e = (struct inotify_event *)at;
            printf("%s%s%s %s\n", e->mask & IN_CREATE ? "created" : "", e->mask & IN_DELETE ? "deleted" : "", e->mask & IN_CLOSE_WRITE ? "written" : "",
                   e->len ? e->name : "it");
            if (e->len && !strcmp(e->name, "last")) return 0;
            at += sizeof *e + e->len;
        }
    return 1;
}
