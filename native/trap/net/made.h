/* made.h - sockets of the tree where pidfd_getfd is denied. */
#ifndef NET_MADE_H
#define NET_MADE_H
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#define NOT_MADE ENOANO                                    /* of made_duplicate: a socket that came from elsewhere */
int made_duplicate(pid_t tid, int fd);                     /* or -errno; -NOT_MADE */
void made_keep(int fd, pid_t tid, int number);             /* fd is made.c's from here on */
void made_connected(uint64_t inode);                       /* we connected it: the program alone has it from here on */
void made_failed(uint64_t inode);                          /* the program was told an errno, and will close it */
void made_direct(pid_t tid, int fd);                       /* the kernel is about to connect it as asked */
void made_elsewhere(pid_t tid, const char *does, const char *then); /* warns once a process of a socket that we did not make */
bool on_close(const notif *n);                             /* close, dup2, dup3; false: of a window that is not ours */
void made_free_port(uint16_t port);                        /* before a bind: nothing of ours may be in its way */
void made_room(void);                                      /* drops what nobody holds any more */
void made_crowded(void);                                   /* the same, when there are many */
void made_soon(void);                                      /* a process has ended */
uint64_t made_due(void);                                   /* when made_tick wants to be called, 0: never */
void made_tick(void);
#endif
