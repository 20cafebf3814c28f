/* bench IP PORT ROUNDS - prints `name median p99` in microseconds for a few system calls. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

static double *samples;
static int rounds;
static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}
static int compare(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}
static void print(const char *name, int n) {
    qsort(samples, (size_t)n, sizeof *samples, compare);
    printf("%s %.3f %.3f\n", name, samples[n / 2], samples[n * 99 / 100]);
}
#define MEASURE(name, n, before, call, after) \
    for (int i = 0; i < (n); i++) { \
        before; \
        double t = now(); \
        call; \
        samples[i] = now() - t; \
        after; \
    } \
    print(name, n)

int main(int argc, char **argv) {
    if (argc < 4) return 2;
    rounds = atoi(argv[3]);
    samples = calloc((size_t)rounds, sizeof *samples);
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[2]))}, peer;
    inet_pton(AF_INET, argv[1], &to.sin_addr);
    struct stat st;
    struct statfs fs;
    socklen_t length;
    struct linger reset = {1, 0};
    int s = -1, f = -1;
    MEASURE("connect", rounds / 10, s = socket(AF_INET, SOCK_STREAM, 0), if (connect(s, (void *)&to, sizeof to)) return 1,
            (setsockopt(s, SOL_SOCKET, SO_LINGER, &reset, sizeof reset), close(s)));
    MEASURE("fstatfs", rounds, , fstatfs(-1, &fs), );
    MEASURE("stat", rounds, , stat("/etc/passwd", &st), );
    MEASURE("open", rounds, , f = open("/etc/passwd", O_RDONLY), close(f));
    MEASURE("relative", rounds, , stat("etc/passwd", &st), );
    MEASURE("remote_stat", rounds, , stat("/remote/file", &st), );
    MEASURE("remote_open", rounds, , f = open("/remote/file", O_RDONLY), close(f));
    MEASURE("overlay", rounds, , f = open("/etc/resolv.conf", O_RDONLY), close(f));
    s = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(s, (void *)&to, sizeof to)) return 1;
    MEASURE("getpeername", rounds, length = sizeof peer, getpeername(s, (void *)&peer, &length), );
    MEASURE("udp", rounds, , f = socket(AF_INET, SOCK_DGRAM, 0), close(f));
    /* Answered at once: such a length is EINVAL for the kernel. */
    MEASURE("notification", rounds, , sendto(s, "", 0, 0, (void *)&to, 4096), );
    MEASURE("getppid", rounds, , syscall(SYS_getppid), );
    return 0;
}
