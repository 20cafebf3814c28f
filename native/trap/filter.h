/* filter.h - building the seccomp filter: each room adds the rules of its own system calls. */
#ifndef FILTER_H
#define FILTER_H
#include <linux/filter.h>
#include <stdbool.h>
#include <stdint.h>

struct filter { struct sock_filter code[1024]; unsigned short length; };
void filter_program(struct filter *f);
void filter_probe(struct filter *f);

/* Rules. Each is one block that starts and ends with the number in the accumulator, so rooms may be combined freely. */
void filter_trap(struct filter *f, uint32_t nr);
void filter_trap_not_null(struct filter *f, uint32_t nr, int pointer);
void filter_trap_between(struct filter *f, uint32_t nr, int argument, uint32_t low, uint32_t high);                       /* low <= argument < high */
void filter_trap_between_not_null(struct filter *f, uint32_t nr, int argument, uint32_t low, uint32_t high, int pointer);
void filter_trap_between_or_bits(struct filter *f, uint32_t nr, int argument, uint32_t low, uint32_t high, int flags, uint32_t bits);
void filter_trap_bits(struct filter *f, uint32_t nr, int argument, uint32_t bits);                                        /* any of them set */
void filter_trap_unless_descriptor(struct filter *f, uint32_t nr, int flags);                                              /* stat by path; `flags`: which argument has AT_EMPTY_PATH */
void filter_trap_sockets(struct filter *f, bool streams, bool unix_streams); /* socket(AF_INET | AF_INET6, SOCK_DGRAM), and streams where asked */
void filter_refuse(struct filter *f, uint32_t nr, int error);
void filter_trap_exec(struct filter *f);                                                                                  /* execve and execveat, but those of ours */

/* An execve that carries this in its last, unused argument passes: the program's first (nobody could answer then, spawn.c), and calls that
 * we have rewritten ourselves. Random, so no other caller's registers hold it. */
extern uint64_t exec_pass;
#define EXEC_PASS_ARGUMENT 5

/* The rooms' own. */
void net_filter(struct filter *f);
void files_filter(struct filter *f);
void processes_filter(struct filter *f);

/* Descriptor windows: the filter can test numbers only, so descriptors of which we must hear again live at numbers of their own, below
 * FD_SETSIZE and the usual soft limit of 1024. Full, or above RLIMIT_NOFILE: the lowest free number, which loses what the window is for. */
#define WINDOW_FILE_LOW 512   /* remote files opened for writing: close, dup2 */
#define WINDOW_FILE_HIGH 640
#define WINDOW_STREAM_LOW 640 /* TCP sockets where pidfd_getfd is denied: close, dup2 */
#define WINDOW_STREAM_HIGH 900
#define WINDOW_LOW 900        /* UDP sockets: sendmsg, recvmsg */
#define WINDOW_HIGH 1020
#endif
