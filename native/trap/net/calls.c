/* calls.c - which system calls of sockets are trapped, and who answers them. */
#include "trap.h"

void net_filter(struct filter *f) {
    filter_trap(f, SYS_connect);
    filter_trap(f, SYS_listen);
    filter_trap(f, SYS_getpeername);
    filter_trap(f, SYS_getsockname);
    if (config.incoming || config.udp || without_getfd) filter_trap(f, SYS_bind);
#ifdef SYS_accept
    if (without_getfd) filter_trap(f, SYS_accept);
    else filter_trap_not_null(f, SYS_accept, 1);
#endif
    if (without_getfd) filter_trap(f, SYS_accept4);
    else filter_trap_not_null(f, SYS_accept4, 1);
    filter_trap_sockets(f, without_getfd, without_getfd && config.unix_streams.length);
    filter_trap_not_null(f, SYS_sendto, 4);
    filter_trap_between_not_null(f, SYS_recvfrom, 0, WINDOW_LOW, WINDOW_HIGH, 4);
    filter_trap_between_or_bits(f, SYS_sendmsg, 0, WINDOW_LOW, WINDOW_HIGH, 2, MSG_FASTOPEN);
    filter_trap_between(f, SYS_recvmsg, 0, WINDOW_LOW, WINDOW_HIGH);
    filter_trap_between_or_bits(f, SYS_sendmmsg, 0, WINDOW_LOW, WINDOW_HIGH, 3, MSG_FASTOPEN);
    filter_trap_between(f, SYS_recvmmsg, 0, WINDOW_LOW, WINDOW_HIGH);
}
/* false: not one of its numbers. */
bool on_net(const notif *n) {
    switch (n->data.nr) {
    case SYS_connect: on_connect(n); return true;
    case SYS_bind: on_bind(n); return true;
    case SYS_listen: on_listen(n); return true;
#ifdef SYS_accept
    case SYS_accept:
#endif
    case SYS_accept4: on_accept(n); return true;
    case SYS_getpeername: on_name(n, true); return true;
    case SYS_getsockname: on_name(n, false); return true;
    case SYS_socket: on_socket(n); return true;
    case SYS_close:
#ifdef SYS_dup2
    case SYS_dup2:
#endif
    case SYS_dup3: return on_close(n);
    case SYS_sendto: case SYS_sendmsg: case SYS_sendmmsg: on_send(n); return true;
    case SYS_recvfrom: case SYS_recvmsg: case SYS_recvmmsg: on_receive(n); return true;
    default: return false;
    }
}
