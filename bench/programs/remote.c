/* remote HOST PORT FILES DIRECTORY - below mirrord: prints `name median p99` in microseconds, first the round trip of the tunnel itself, of which
 * the others are multiples. PORT of HOST echoes; DIRECTORY of the target holds FILES files f0, f1, ... of 4 KiB. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static double samples[100000], connects[1000];
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
    printf("%s %.1f %.1f\n", name, samples[n / 2], samples[n * 99 / 100]);
    fflush(stdout);
}
static struct sockaddr_in to;
static int dial(void) {
    int one = 1, s = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(s, (void *)&to, sizeof to)) {
        perror("connect");
        exit(1);
    }
    setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    return s;
}
static void trip(int s) {
    char byte = 'x';
    if (write(s, &byte, 1) != 1 || read(s, &byte, 1) != 1) {
        perror("round trip");
        exit(1);
    }
}
static void load(const char *directory, int i) {
    char path[300], data[4096];
    snprintf(path, sizeof path, "%s/f%d", directory, i);
    int f = open(path, O_RDONLY);
    if (f < 0 || read(f, data, sizeof data) != sizeof data) {
        perror(path);
        exit(1);
    }
    close(f);
}
int main(int argc, char **argv) {
    if (argc < 5) return 2;
    int files = atoi(argv[3]), s;
    to = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[2]))};
    inet_pton(AF_INET, argv[1], &to.sin_addr);
    s = dial();
    for (int i = 0; i < 1200; i++) {
        double t = now();
        trip(s);
        if (i >= 200) samples[i - 200] = now() - t; /* warm */
    }
    print("round-trip", 1000);
    /* In turns, so that the machine's other work meets both alike; warm too. The round trip after the close lets that end. */
    for (int i = 0; i < 1200; i++) {
        double t = now();
        trip(s);
        double there = now() - t;
        t = now();
        int other = dial();
        double connected = now() - t;
        close(other);
        trip(s);
        if (i < 200) continue;
        samples[i - 200] = there;
        connects[i - 200] = connected;
    }
    close(s);
    print("trip-beside", 1000);
    memcpy(samples, connects, sizeof connects);
    print("connect", 1000);
    for (int i = 0; i < files; i++) {
        double t = now();
        load(argv[4], i);
        samples[i] = now() - t;
    }
    print("first-open", files);
    for (int i = 0; i < 2000; i++) {
        if (i % 500 == 0) load(argv[4], 0); /* fresh again */
        double t = now();
        load(argv[4], 0);
        samples[i] = now() - t;
    }
    print("second-open", 2000);
    usleep(1100 * 1000); /* every answer is older than a second */
    for (int i = 0; i < files; i++) {
        double t = now();
        load(argv[4], i);
        samples[i] = now() - t;
    }
    print("later-open", files);
    return 0;
}
