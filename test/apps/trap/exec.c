/* exec.c - execve in the ways that programs have: from many threads at once, from a child of vfork, from a thread that is not the first,
 * by descriptor, with signals on the way, and in vain. Prints what it found. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;
static const char *path;
static volatile int alarms, wrong;
static pthread_barrier_t together;

static void on_alarm(int number) {
    (void)number;
    alarms++;
}
static int count(const char *directory) {
    int n = 0;
    DIR *d = opendir(directory);
    while (d && readdir(d)) n++;
    if (d) closedir(d);
    return n;
}
static int lines(const char *file) {
    int n = 0, c;
    FILE *f = fopen(file, "r");
    while (f && (c = getc(f)) != EOF) n += c == '\n';
    if (f) fclose(f);
    return n;
}
/* What `path word` prints, run by vfork: our memory is the child's until it has exec'ed. */
static void output_of(char *word, char *to, size_t cap) {
    int ends[2];
    volatile int canary = 4711;
    char *argv[] = {"name", word, NULL};
    if (pipe2(ends, O_CLOEXEC)) exit(3);
    pid_t child = vfork();
    if (child == 0) {
        dup2(ends[1], 1);
        execve(path, argv, environ);
        _exit(99);
    }
    close(ends[1]);
    size_t got = 0;
    for (ssize_t k; (k = read(ends[0], to + got, cap - 1 - got)) != 0;)
        if (k > 0) got += (size_t)k;
        else if (errno != EINTR) exit(4);
    to[got] = 0;
    close(ends[0]);
    int status;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) continue;
    if (canary != 4711 || strcmp(argv[0], "name") || status) wrong++;
}
static void *one(void *number) {
    char word[16], text[256], expected[300];
    snprintf(word, sizeof word, "%ld", (long)number);
    pthread_barrier_wait(&together);
    for (int i = 0; i < 3; i++) {
        output_of(word, text, sizeof text);
        snprintf(expected, sizeof expected, "<%s>\n", word);
        if (!strstr(text, word) || text[strlen(text) - 1] != '\n') {
            wrong++;
            fprintf(stderr, "%s instead of %s", text, expected);
        }
    }
    return NULL;
}
static void many(int n) {
    pthread_t threads[n];
    struct itimerval often = {{0, 1000}, {0, 1000}}, never = {{0, 0}, {0, 0}};
    sigaction(SIGALRM, &(struct sigaction){.sa_handler = on_alarm}, NULL);
    setitimer(ITIMER_REAL, &often, NULL);
    pthread_barrier_init(&together, NULL, (unsigned)n);
    for (long i = 0; i < n; i++) pthread_create(&threads[i], NULL, one, (void *)i);
    for (int i = 0; i < n; i++) pthread_join(threads[i], NULL);
    setitimer(ITIMER_REAL, &never, NULL);
    printf("%d threads, wrong %d, signals %s\n", n, wrong, alarms ? "yes" : "no");
}
static void *become(void *name) {
    execl(path, name, "from a thread", (char *)NULL);
    return NULL;
}
int main(int argc, char **argv) {
    if (argc < 3) return 2;
    const char *mode = argv[1];
    path = argv[2];
    if (!strcmp(mode, "many")) many(50);
    else if (!strcmp(mode, "memory")) { /* nothing of it stays with the parent */
        char text[256];
        for (int i = 0; i < 3; i++) output_of("x", text, sizeof text);
        int before = lines("/proc/self/maps"), open = count("/proc/self/fd");
        for (int i = 0; i < 100; i++) output_of("x", text, sizeof text);
        printf("maps %+d, descriptors %+d, wrong %d\n", lines("/proc/self/maps") - before, count("/proc/self/fd") - open, wrong);
    } else if (!strcmp(mode, "thread")) {
        pthread_t t;
        pthread_create(&t, NULL, become, argv[0]);
        pause();
    } else if (!strcmp(mode, "fail")) { /* nothing of it is seen but errno */
        int before = lines("/proc/self/maps"), open = count("/proc/self/fd");
        sigset_t none, mask;
        sigemptyset(&none);
        for (int i = 0; i < 20; i++) execve(path, argv, environ);
        int error = errno;
        sigprocmask(SIG_BLOCK, NULL, &mask);
        printf("%s, maps %+d, descriptors %+d, mask %s\n", strerrorname_np(error), lines("/proc/self/maps") - before, count("/proc/self/fd") - open,
               memcmp(&mask, &none, sizeof(long)) ? "changed" : "empty");
    } else if (!strcmp(mode, "descriptor")) {
        char *words[] = {"name", "by descriptor", NULL};
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        fexecve(fd, words, environ);
        perror("fexecve");
    } else if (!strcmp(mode, "at")) {
        char *words[] = {"name", "at", NULL}, *slash = strrchr(argv[2], '/');
        *slash = 0;
        int fd = open(argv[2], O_PATH | O_CLOEXEC);
        syscall(SYS_execveat, fd, slash + 1, words, environ, 0);
        perror("execveat");
    } else if (!strcmp(mode, "masked")) { /* the mask and what waits behind it survive */
        sigset_t mask;
        sigemptyset(&mask);
        sigaddset(&mask, SIGUSR1);
        sigprocmask(SIG_BLOCK, &mask, NULL);
        raise(SIGUSR1);
        execl(path, path, "SigBlk\\|ShdPnd\\|SigPnd\\|TracerPid", "/proc/self/status", (char *)NULL);
        perror("execl");
    }
    return 0;
}
