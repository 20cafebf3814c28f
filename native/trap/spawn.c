/* spawn.c - the program's process: filter first, then exec.
 *
 * The child shares our descriptor table until its execve (CLONE_FILES), so the listener that it gets simply appears
 * here: nothing is sent (sendmsg may be trapped, pidfd_getfd may be denied). CLONE_VFORK stops us until it has exec'ed
 * or ended; its report lies in a shared page. execve unshares the table and closes the child's copy of all of ours. */
#include "trap.h"
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>

static int seccomp_new_listener(const struct filter *f, unsigned flags) {
    struct sock_fprog program = {f->length, (struct sock_filter *)f->code};
    int fd = (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER | flags, &program);
    return fd < 0 ? -errno : fd;
}
/* WAIT_KILLABLE_RECV is of kernel 5.19: older ones say EINVAL, and held calls are then interruptible, which the
 * callers of signal_pending know from `killable`. Without CAP_SYS_ADMIN the kernel asks for NO_NEW_PRIVS (EACCES). */
int install_filter(const struct filter *f, bool *killable) {
    *killable = true;
    int fd = seccomp_new_listener(f, SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV);
    if (fd == -EACCES && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0)
        fd = seccomp_new_listener(f, SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV);
    if (fd == -EINVAL) {
        *killable = false;
        fd = seccomp_new_listener(f, 0);
        if (fd == -EACCES && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0) fd = seccomp_new_listener(f, 0);
    }
    return fd;
}
bool use_sync_wake_up(int listener) { return ioctl(listener, SECCOMP_IOCTL_NOTIF_SET_FLAGS, SYNC_WAKE_UP) == 0; }

/* With the mark that the filter lets through: whoever could answer a trapped execve waits in clone for this one. */
static void exec_marked(const char *path, char **argv) { syscall(SYS_execve, path, argv, environ, 0, 0, exec_pass); }

static void child(struct spawned *s, const struct filter *f) {
    struct sigaction def = {.sa_handler = SIG_DFL};
    sigset_t none;
    for (int i = 1; i < NSIG; i++) sigaction(i, &def, NULL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    /* A second safety net below the reaper: the first process dies with the supervisor at once. */
    prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    if (config.new_session) setsid();
    s->stage = STAGE_CHDIR;
    if (chdir(config.cwd)) goto failed;
    s->stage = STAGE_SECCOMP;
    if (config.intercept) {
        bool wait_killable;
        int listener = install_filter(f, &wait_killable);
        if (listener < 0) {
            errno = -listener;
            goto failed;
        }
        s->killable = wait_killable;
        s->listener = listener;
    }
    s->stage = STAGE_EXEC;
    exec_marked(config.program, config.argv);
    if (errno == ENOEXEC) { /* a script without #!: what execvp(3) does */
        size_t n = 0;
        while (config.argv[n]) n++;
        char *shell[n + 2];
        shell[0] = "/bin/sh";
        shell[1] = config.program;
        for (size_t i = 1; i <= n; i++) shell[i + 1] = config.argv[i]; /* config_read: n >= 1 */
        exec_marked(shell[0], shell);
    }
failed:
    s->error = errno;
    _exit(127);
}
void spawn(struct spawned *result, const struct filter *f) {
    struct spawned *s = mmap(NULL, sizeof *s, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    memset(result, 0, sizeof *result);
    result->stage = STAGE_CLONE;
    if (s == MAP_FAILED) {
        result->error = errno;
        return;
    }
    s->listener = -1;
    pid_t pid = (pid_t)syscall(SYS_clone, CLONE_FILES | CLONE_VFORK | SIGCHLD, 0, 0, 0, 0);
    if (pid == 0) child(s, f);
    if (pid < 0) result->error = errno;
    else *result = *s, result->pid = pid;
    munmap(s, sizeof *s);
    if (pid < 0) return;
    if (result->error) {
        waitpid(pid, NULL, 0);
        if (result->listener >= 0) close(result->listener);
        return;
    }
    if (!config.intercept) return;
    if (result->listener < 0) { /* killed before it came to the filter */
        result->error = ECHILD;
        return;
    }
    result->sync_wake = use_sync_wake_up(result->listener);
}
