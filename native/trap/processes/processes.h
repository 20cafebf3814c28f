/* processes.h - programs that run as without us, host name, other supervisors. Included by trap.h. */
#ifndef PROCESSES_H
#define PROCESSES_H

void processes_filter(struct filter *f);
bool on_process(const notif *n);            /* calls.c; false: go on with the other rooms */
bool process_skipped(const notif *n);       /* skip.c; true: its calls are not ours */
void process_first(pid_t process);
bool on_hostname(const notif *n);           /* hostname.c: uname(2) */
bool process_image(pid_t process, struct image *i); /* process.c; false: it has ended */
void process_name(pid_t process, char *to, size_t cap); /* of its executable, for messages */

/* ---- another call in place of a trapped one (restart.c) ---- */
struct goal {
    long nr;
    uint64_t args[6];
    unsigned descriptor, in_data;      /* bits of the arguments that are the injected descriptor; that are offsets in the data */
    uint8_t *data; size_t size;        /* heap; put into memory of its own for the call. The first SCRATCH_HEAD bytes are not yours */
    int64_t result;                    /* not 0: the call's, whatever the goal gives */
    size_t pointers, npointers;        /* where in it pointers begin that are offsets too */
};
#define SCRATCH_HEAD 16
/* The call is answered, sooner or later, with the result of the goal, made by the thread itself with a copy of `fd` (-1: none) that it loses
 * again. Negative errno: not begun, still to be answered. Takes `data` over in any case. */
int restart_as(const notif *n, int fd, struct goal *g);
int restart_as_fchdir(const notif *n, int fd);
bool restart_stopped(pid_t tid, int status); /* from wait(2) */
void restart_ended(pid_t tid);
bool restart_passes(const notif *n);         /* a call on the way to a goal: answered */
#endif
