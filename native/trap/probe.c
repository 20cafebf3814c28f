/* probe.c - tries on a throw-away child every system call that the trap lives on, and says what is missing. */
#include "trap.h"
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/utsname.h>
#include <sys/wait.h>

struct found { int listener, error; bool killable; uint64_t secret; };
struct result { bool notification, getfd, memory, injected, sync_wake; int error; const char *reason; };

/* The child: filter, then one trapped call whose answer must be the injected descriptor. */
static void child(struct found *found) {
    static struct filter f;
    filter_probe(&f);
    bool wait_killable;
    int listener = install_filter(&f, &wait_killable);
    found->killable = wait_killable;
    found->error = listener < 0 ? -listener : 0;
    __atomic_store_n(&found->listener, listener, __ATOMIC_SEQ_CST);
    if (listener >= 0) syscall(SYS_connect, 0, &found->secret, 0);
    _exit(0);
}
static void note(struct result *r, const char *reason, int error) {
    if (r->reason) return;
    r->reason = reason;
    r->error = error;
}
static void try_all(struct result *r) {
    notif n;
    if (!notif_receive(&n)) {
        note(r, "kernel-too-old", errno);
        return;
    }
    r->notification = true;
    int extra = open("/dev/null", O_RDONLY | O_CLOEXEC), error = access_try(n.pid, extra, (void *)n.data.args[1]); /* it shares our descriptors */
    r->getfd = !without_getfd; /* else its sockets are made by us (net/made.c) */
    r->memory = error == 0;
    if (error < 0) note(r, "memory-denied", -error);
    int injected = inject(&n, extra, true, -1);
    r->injected = injected >= 0;
    if (injected < 0) {
        note(r, "inject-missing", -injected);
        answer_error(&n, ENOSYS);
    }
    close(extra);
}
int probe(void) {
    struct result r = {0};
    struct utsname name;
    struct found *found = mmap(NULL, sizeof *found, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (found == MAP_FAILED) return 2;
    found->listener = -1;
    found->error = -1;
    pid_t pid = (pid_t)syscall(SYS_clone, CLONE_FILES | SIGCHLD, 0, 0, 0, 0);
    if (pid == 0) child(found);
    if (pid < 0) note(&r, "seccomp-denied", errno);
    else {
        /* The child either waits in its trapped call or has ended. */
        while (__atomic_load_n(&found->listener, __ATOMIC_SEQ_CST) < 0 && waitpid(pid, NULL, WNOHANG) == 0) poll(NULL, 0, 1);
        int e = found->error;
        if (found->listener >= 0) {
            listener_fd = found->listener;
            r.sync_wake = use_sync_wake_up(listener_fd);
            struct pollfd p = {listener_fd, POLLIN, 0};
            if (poll(&p, 1, 2000) == 1 && (p.revents & POLLIN)) try_all(&r);
            else note(&r, "kernel-too-old", ETIME);
            kill(pid, SIGKILL);
            waitpid(pid, NULL, 0);
        } else if (e == EBUSY) note(&r, "other-listener", e);
        else if (e == EPERM || e == EACCES) note(&r, "seccomp-denied", e);
        else note(&r, "kernel-too-old", e);
    }
    uname(&name);
    printf("{\"available\":%s,", r.reason ? "false" : "true");
    if (r.reason) printf("\"reason\":\"%s\",\"errno\":%d,", r.reason, r.error);
#define FLAG(v) ((v) ? "true" : "false")
    printf("\"seccompUserNotification\":%s,\"pidfdGetfd\":%s,\"memoryAccess\":%s,\"injectDescriptor\":%s,\"waitKillable\":%s,\"syncWakeUp\":%s,",
           FLAG(r.notification), FLAG(r.getfd), FLAG(r.memory), FLAG(r.injected), FLAG(r.notification && found->killable), FLAG(r.sync_wake));
    printf("\"kernel\":\"%s\",\"arch\":\"%s\"}\n", name.release, name.machine);
    return r.reason ? 1 : 0;
}
