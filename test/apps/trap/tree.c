/* tree - a program with a child, a daemon that forked twice and left the session, and a stopped process. It prints its
 * process ids and waits for ever. */
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

static void sleeper(const char *what) {
    signal(SIGTERM, SIG_IGN);
    printf("%s %d\n", what, getpid());
    fflush(stdout);
    for (;;) pause();
}
int main(void) {
    if (!fork()) sleeper("child");
    pid_t p = fork();
    if (!p) {
        setsid();
        if (!fork()) sleeper("daemon");
        _exit(0);
    }
    waitpid(p, NULL, 0);
    p = fork();
    if (!p) {
        raise(SIGSTOP);
        sleeper("never");
    }
    waitpid(p, NULL, WUNTRACED);
    printf("stopped %d\n", p);
    sleeper("program");
}
