/* modes DIRECTORY - makes files and directories with odd modes in every way that takes one, and prints the modes they got. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void show(const char *what, int result) {
    struct stat s;
    if (result < 0 || stat(what, &s)) {
        perror(what);
        return;
    }
    printf("%s %04o\n", what, s.st_mode & 07777);
    if (S_ISREG(s.st_mode)) close(result);
}
int main(int argc, char **argv) {
    if (argc != 2 || chdir(argv[1])) return 1;
    int directory = open(argv[1], O_RDONLY | O_DIRECTORY | O_CLOEXEC), how = O_WRONLY | O_CREAT | O_EXCL;
    char path[4096];
    umask(0);
    show("creat", creat("creat", 0600));
    show("open", open("open", how, 0640));
    show("openat", openat(directory, "openat", how, 0604));
    show("open64", open64("open64", how, 0431));
    show("openat64", openat64(AT_FDCWD, "openat64", how, 0755));
    show("mkdir", mkdir("mkdir", 0755));
    show("mkdirat", mkdirat(directory, "mkdirat", 0431));
    snprintf(path, sizeof path, "%s/absolute", argv[1]);
    show("absolute", open(path, how, 0640));
    umask(027);
    show("masked", open("masked", how, 0666));
    return 0;
}
