/* restart.c - turns a trapped call into other calls that the program's thread makes itself: execve of a remote file, chdir into a remote
 * directory. Nobody can do those on its behalf, and its memory is not ours to write (other threads and a vfork parent share it).
 *
 * The descriptor is injected, the thread is seized (ptrace), and its call is answered with a restart; on its way out it stops, with the
 * instruction of the call right before it. From there it is led through the calls of its goal, stop by stop, and let go with the result,
 * every register and its signal mask as they were. All stops come by SIGCHLD to the loop: nothing here waits. */
#include "trap.h"
#include <elf.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>

enum step { STEP_SEIZE, STEP_MAP, STEP_GOAL, STEP_UNMAP, STEP_CLOSE };
struct restart {
    struct restart *next;
    notif n;
    pid_t tid;
    enum step step;
    bool entered;                      /* the step's call has begun */
    bool stop_again;                   /* a SIGSTOP came meanwhile */
    struct user_regs_struct before;
    uint64_t mask;
    int fd;                            /* in the program; -1: none */
    struct goal goal;
    struct scratch *scratch;           /* goal.data lies here */
    int64_t result;                    /* of the goal */
};
static struct restart *restarts;
#define ERESTART_LAST_KERNEL 516 /* ERESTART_RESTARTBLOCK */

/* ---- scratch memory ----
 * A child of vfork shares its parent's memory, so what is mapped for its execve stays there when it succeeds. Such a page is remembered and
 * used for the next one; the token in it proves that it is still ours. */
struct scratch { struct scratch *next; pid_t owner; uint64_t at; size_t size; bool busy; };
static struct scratch *scratches;
static uint8_t token[16];

static bool is_ours(pid_t tid, uint64_t at) {
    uint8_t found[sizeof token];
    return mem_read(tid, at, found, sizeof found) > 0 && !memcmp(found, token, sizeof token);
}
static void scratch_drop(struct scratch *s) {
    for (struct scratch **at = &scratches; *at; at = &(*at)->next)
        if (*at == s) {
            *at = s->next;
            free(s);
            return;
        }
}
static struct scratch *scratch_find(pid_t tid, size_t size) {
    pid_t parent = parent_of(tid);
    for (struct scratch *s = scratches, *next; s; s = next) {
        next = s->next;
        if (s->busy || s->owner != parent) continue;
        if (!is_ours(parent, s->at)) scratch_drop(s); /* that process ended, and its number is another's */
        else if (s->size >= size && is_ours(tid, s->at)) return s;
    }
    return NULL;
}
static struct scratch *scratch_new(size_t size) {
    struct scratch *s = calloc(1, sizeof *s);
    if (!s) abort();
    s->size = size;
    s->next = scratches;
    scratches = s;
    return s;
}

/* ---- registers ---- */
#if defined(__x86_64__)
#define CALL_LENGTH 2 /* syscall */
static bool is_here(const struct restart *r) {
    const struct user_regs_struct *u = &r->before;
    int64_t ax = (int64_t)u->rax;
    return u->rip == r->n.data.instruction_pointer && (int64_t)u->orig_rax == r->n.data.nr && (ax == -ERESTARTNOINTR_KERNEL || ax == -ERESTARTSYS_KERNEL);
}
static void to_call(struct user_regs_struct *u, uint64_t at, long nr, const uint64_t *a) {
    u->rip = at;
    u->rax = (uint64_t)nr;
    u->orig_rax = (uint64_t)-1; /* outside a call: nothing to restart */
    u->rdi = a[0], u->rsi = a[1], u->rdx = a[2], u->r10 = a[3], u->r8 = a[4], u->r9 = a[5];
}
static void to_result(struct user_regs_struct *u, uint64_t after, int64_t result) {
    u->rip = after;
    u->rax = (uint64_t)result;
    u->orig_rax = (uint64_t)-1;
}
static int64_t result_of(const struct user_regs_struct *u) { return (int64_t)u->rax; }
#else
#define CALL_LENGTH 4 /* svc */
/* arm64 winds back for the restart before the stop, not after it (do_signal in arch/arm64/kernel/signal.c). */
static bool is_here(const struct restart *r) {
    return r->before.pc == r->n.data.instruction_pointer - CALL_LENGTH && (int64_t)r->before.regs[8] == r->n.data.nr;
}
static void to_call(struct user_regs_struct *u, uint64_t at, long nr, const uint64_t *a) {
    u->pc = at;
    u->regs[8] = (uint64_t)nr;
    for (int i = 0; i < 6; i++) u->regs[i] = a[i];
}
static void to_result(struct user_regs_struct *u, uint64_t after, int64_t result) {
    u->pc = after;
    u->regs[0] = (uint64_t)result;
}
static int64_t result_of(const struct user_regs_struct *u) { return (int64_t)u->regs[0]; }
#endif
static bool registers_get(pid_t tid, struct user_regs_struct *u) {
    struct iovec v = {u, sizeof *u};
    return ptrace(PTRACE_GETREGSET, tid, NT_PRSTATUS, &v) == 0;
}
static bool registers_set(pid_t tid, struct user_regs_struct *u) {
    struct iovec v = {u, sizeof *u};
    return ptrace(PTRACE_SETREGSET, tid, NT_PRSTATUS, &v) == 0;
}

/* ---- one thread on its way ---- */
static void drop(struct restart *r) {
    for (struct restart **at = &restarts; *at; at = &(*at)->next)
        if (*at == r) {
            *at = r->next;
            break;
        }
    if (r->scratch) r->scratch->busy = false;
    if (r->scratch && !r->scratch->owner) scratch_drop(r->scratch);
    free(r->goal.data);
    free(r);
}
static void let_go(struct restart *r, pid_t tid) {
    bool stop_again = r->stop_again;
    if (r->step != STEP_SEIZE) ptrace(PTRACE_SETSIGMASK, tid, sizeof r->mask, &r->mask);
    drop(r);
    ptrace(PTRACE_DETACH, tid, 0, 0); /* a group that is stopped takes it in again */
    if (stop_again) kill(process_of(tid), SIGSTOP);
}
static void finish(struct restart *r) {
    struct user_regs_struct u = r->before;
    to_result(&u, r->n.data.instruction_pointer, r->result);
    registers_set(r->tid, &u);
    let_go(r, r->tid);
}
static void go_on(struct restart *r, int signal) { ptrace(PTRACE_SYSCALL, r->tid, 0, signal); } /* ESRCH: killed; its end is reported */
static void call(struct restart *r, enum step step, long nr, const uint64_t *a) {
    struct user_regs_struct u = r->before;
    r->step = step;
    r->entered = false;
    to_call(&u, r->n.data.instruction_pointer - CALL_LENGTH, nr, a);
    registers_set(r->tid, &u);
    go_on(r, 0);
}
static void goal(struct restart *r) {
    struct goal *g = &r->goal;
    if (g->nr == SYS_execve || g->nr == SYS_execveat) g->args[EXEC_PASS_ARGUMENT] = exec_pass;
    for (int i = 0; i < 6; i++) {
        if (g->descriptor & (1u << i)) g->args[i] = (uint64_t)r->fd;
        if (g->in_data & (1u << i)) g->args[i] += r->scratch->at;
    }
    call(r, STEP_GOAL, g->nr, g->args);
}
static void clean_up(struct restart *r) { /* after the goal, which was not an execve that succeeded */
    if (r->scratch && r->scratch->at) call(r, STEP_UNMAP, SYS_munmap, (uint64_t[6]){r->scratch->at, r->scratch->size});
    else if (r->fd >= 0) call(r, STEP_CLOSE, SYS_close, (uint64_t[6]){(uint64_t)r->fd});
    else finish(r);
}
/* Once its place is known, the data's own pointers are, too. */
static bool fill(struct restart *r) {
    uint64_t at = r->scratch->at;
    struct goal *g = &r->goal;
    memcpy(g->data, token, sizeof token);
    for (size_t i = 0; i < g->npointers; i++) ((uint64_t *)(g->data + g->pointers))[i] += at;
    return mem_write(r->tid, at, g->data, g->size) >= 0;
}
static void begin(struct restart *r) {
    static const uint64_t every = ~0ull;
    if (!registers_get(r->tid, &r->before) || !is_here(r) || ptrace(PTRACE_GETSIGMASK, r->tid, sizeof r->mask, &r->mask)) {
        let_go(r, r->tid); /* away in a signal handler (no killable waits): it makes its call again */
        return;
    }
    if (r->result) { /* no descriptor could be given */
        finish(r);
        return;
    }
    ptrace(PTRACE_SETSIGMASK, r->tid, sizeof every, &every); /* no handler sees what is in between */
    if (!r->goal.size) goal(r);
    else if ((r->scratch = scratch_find(r->tid, r->goal.size))) {
        r->scratch->busy = true;
        if (fill(r)) goal(r);
        else r->result = -EFAULT, clean_up(r);
    } else {
        r->scratch = scratch_new((r->goal.size + 4095) & ~4095ul);
        r->scratch->busy = true;
        call(r, STEP_MAP, SYS_mmap, (uint64_t[6]){0, r->scratch->size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, (uint64_t)-1, 0});
    }
}
static void returned(struct restart *r, int64_t result) {
    switch (r->step) {
    case STEP_MAP:
        if (result < 0 && result > -4096) r->result = result, clean_up(r);
        else {
            r->scratch->at = (uint64_t)result;
            if (fill(r)) goal(r);
            else r->result = -EFAULT, clean_up(r);
        }
        break;
    case STEP_GOAL:
        r->result = r->goal.result ? r->goal.result : result;
        clean_up(r);
        break;
    case STEP_UNMAP:
        scratch_drop(r->scratch);
        r->scratch = NULL;
        clean_up(r);
        break;
    default: finish(r);
    }
}
/* The new program is loaded. A thread that was not the first is it now, and has its number (ptrace(2), "execve(2) under ptrace"). */
static void executed(struct restart *r, pid_t tid) {
    struct scratch *s = r->scratch;
    if (s && !s->owner) {
        pid_t parent = parent_of(tid);
        if (is_ours(parent, s->at)) s->owner = parent; /* it was vfork */
    }
    let_go(r, tid);
}

static struct restart *of(pid_t tid) {
    for (struct restart *r = restarts; r; r = r->next)
        if (r->tid == tid) return r;
    return NULL;
}
bool restart_stopped(pid_t tid, int status) {
    struct restart *r;
    int signal = WSTOPSIG(status), event = status >> 16;
    unsigned long former = 0;
    if (event == PTRACE_EVENT_EXEC && ptrace(PTRACE_GETEVENTMSG, tid, 0, &former) == 0 && (pid_t)former != tid) {
        if ((r = of(tid))) drop(r); /* the first thread of that process was on its way too, and is no more */
        r = of((pid_t)former);
    } else r = of(tid);
    if (!r) return ptrace(PTRACE_DETACH, tid, 0, event ? 0 : signal) == 0;
    if (event == PTRACE_EVENT_EXEC) executed(r, tid);
    else if (event == PTRACE_EVENT_STOP) {
        if (r->step == STEP_SEIZE) begin(r);
        else go_on(r, 0);
    } else if (signal == (SIGTRAP | 0x80)) {
        struct user_regs_struct u;
        r->entered = !r->entered;
        if (r->entered || r->step == STEP_SEIZE || !registers_get(tid, &u)) go_on(r, 0);
        else if (result_of(&u) <= -ERESTARTSYS_KERNEL && result_of(&u) >= -ERESTART_LAST_KERNEL) go_on(r, 0); /* the kernel begins it again */
        else returned(r, result_of(&u));
    } else if (signal == SIGSTOP && r->step != STEP_SEIZE) {
        r->stop_again = true;
        go_on(r, 0);
    } else go_on(r, signal);
    return true;
}
void restart_ended(pid_t tid) {
    struct restart *r = restarts ? of(tid) : NULL;
    if (r) drop(r);
}
/* The calls that we lead a thread through come to the filter like any other. */
bool restart_passes(const notif *n) {
    struct restart *r = restarts ? of(n->pid) : NULL;
    if (!r) return false;
    if (tracer_of(n->pid) != getpid()) { /* the execve of another thread of its process has taken its number */
        drop(r);
        return false;
    }
    answer_continue(n);
    return true;
}

static int refused(pid_t tid, int error) {
    static pid_t told;
    pid_t process = process_of(tid);
    if (error == ESRCH || error == ENOENT) return -error;
    if (told != process)
        warn("process %d cannot execute remote files or change to remote directories (%s): a debugger such as strace or gdb already traces it, or ptrace(2) "
             "is denied here; run it without one",
             process, strerror(error));
    told = process;
    return -EACCES;
}
int restart_as(const notif *n, int fd, struct goal *g) {
    int error = 0;
    if (!token[0] && (getentropy(token, sizeof token) || !(token[0] |= 1))) error = -EIO;
    else if (!notif_valid(n)) error = -ENOENT;
    else if (ptrace(PTRACE_SEIZE, n->pid, 0, PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEEXEC | PTRACE_O_EXITKILL)) error = refused(n->pid, errno);
    if (error) {
        free(g->data);
        return error;
    }
    struct restart *r = calloc(1, sizeof *r);
    if (!r) abort();
    r->n = *n;
    r->tid = n->pid;
    r->goal = *g;
    r->fd = fd < 0 ? -1 : inject_only(n, fd, true);
    if (fd >= 0 && r->fd < 0) r->result = r->fd;
    r->next = restarts;
    restarts = r;
    ptrace(PTRACE_INTERRUPT, r->tid, 0, 0);
    answer_error(n, ERESTARTNOINTR_KERNEL); /* without killable waits the interrupt has ended the call already, with the same effect */
    return 0;
}
int restart_as_fchdir(const notif *n, int fd) {
    struct goal g = {.nr = SYS_fchdir, .descriptor = 1};
    return restart_as(n, fd, &g);
}
