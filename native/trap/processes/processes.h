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
#endif
