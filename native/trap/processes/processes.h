/* processes.h - programs that run as without us, host name, other supervisors. Included by trap.h. */
#ifndef PROCESSES_H
#define PROCESSES_H

void processes_filter(struct filter *f);
bool on_process(const notif *n);            /* false: go on with the other rooms */
#endif
