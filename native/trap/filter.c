/* filter.c - the BPF program: which system calls reach the supervisor. */
#include "trap.h"
#include <linux/audit.h>
#include <linux/bpf_common.h>

#if defined(__x86_64__)
#define NATIVE_ARCH AUDIT_ARCH_X86_64
#define X32_BIT 0x40000000u
#elif defined(__aarch64__)
#define NATIVE_ARCH AUDIT_ARCH_AARCH64
#else
#error "mirrord-trap knows x86_64 and aarch64"
#endif

#define LOW(argument) (offsetof(struct seccomp_data, args) + 8 * (argument)) /* both are little-endian */
#define HIGH(argument) (LOW(argument) + 4)

static void put(struct filter *f, uint16_t code, uint8_t yes, uint8_t no, uint32_t k) {
    if (f->length == sizeof f->code / sizeof f->code[0]) abort();
    f->code[f->length++] = (struct sock_filter){code, yes, no, k};
}
static void load(struct filter *f, uint32_t offset) { put(f, BPF_LD | BPF_W | BPF_ABS, 0, 0, offset); }
static void ret(struct filter *f, uint32_t action) { put(f, BPF_RET | BPF_K, 0, 0, action); }
static void equal(struct filter *f, uint32_t k, uint8_t yes, uint8_t no) { put(f, BPF_JMP | BPF_JEQ | BPF_K, yes, no, k); }
static void at_least(struct filter *f, uint32_t k, uint8_t yes, uint8_t no) { put(f, BPF_JMP | BPF_JGE | BPF_K, yes, no, k); }

/* Each rule is one block that starts and ends with the number in the accumulator. Only a rule's own call loads
 * arguments, so the kernel's bitmap of constant answers (5.11) stays valid for every other number. */
static void begin(struct filter *f) {
    f->length = 0;
    load(f, offsetof(struct seccomp_data, arch));
    equal(f, NATIVE_ARCH, 1, 0);
    ret(f, SECCOMP_RET_USER_NOTIF); /* i386 on x86_64: the supervisor answers ENOSYS and tells the session */
    load(f, offsetof(struct seccomp_data, nr));
#ifdef X32_BIT
    at_least(f, X32_BIT, 0, 1);
    ret(f, SECCOMP_RET_ERRNO | ENOSYS);
#endif
}
static void trap(struct filter *f, uint32_t nr) {
    equal(f, nr, 0, 1);
    ret(f, SECCOMP_RET_USER_NOTIF);
}
static void trap_not_null(struct filter *f, uint32_t nr, int pointer) {
    equal(f, nr, 0, 6);
    load(f, LOW(pointer));
    equal(f, 0, 0, 2);
    load(f, HIGH(pointer));
    equal(f, 0, 1, 0);
    ret(f, SECCOMP_RET_USER_NOTIF);
    ret(f, SECCOMP_RET_ALLOW);
}
static void trap_window(struct filter *f, uint32_t nr) {
    equal(f, nr, 0, 5);
    load(f, LOW(0));
    at_least(f, WINDOW_LOW, 0, 2);
    at_least(f, WINDOW_HIGH, 1, 0);
    ret(f, SECCOMP_RET_USER_NOTIF);
    ret(f, SECCOMP_RET_ALLOW);
}
static void trap_window_not_null(struct filter *f, uint32_t nr, int pointer) {
    equal(f, nr, 0, 9);
    load(f, LOW(0));
    at_least(f, WINDOW_LOW, 0, 6);
    at_least(f, WINDOW_HIGH, 5, 0);
    load(f, LOW(pointer));
    equal(f, 0, 0, 2);
    load(f, HIGH(pointer));
    equal(f, 0, 1, 0);
    ret(f, SECCOMP_RET_USER_NOTIF);
    ret(f, SECCOMP_RET_ALLOW);
}
static void trap_datagram_socket(struct filter *f) {
    equal(f, SYS_socket, 0, 8);
    load(f, LOW(0));
    equal(f, AF_INET, 1, 0);
    equal(f, AF_INET6, 0, 4);
    load(f, LOW(1));
    put(f, BPF_ALU | BPF_AND | BPF_K, 0, 0, 0xf); /* SOCK_TYPE_MASK */
    equal(f, SOCK_DGRAM, 0, 1);
    ret(f, SECCOMP_RET_USER_NOTIF);
    ret(f, SECCOMP_RET_ALLOW);
}
static void end(struct filter *f) {
    equal(f, SYS_io_uring_setup, 0, 1); /* its operations pass no filter: runtimes fall back to ordinary calls */
    ret(f, SECCOMP_RET_ERRNO | ENOSYS);
    ret(f, SECCOMP_RET_ALLOW);
}

void filter_program(struct filter *f, bool incoming, bool files) {
    begin(f);
    trap(f, SYS_connect);
    trap(f, SYS_listen);
    trap(f, SYS_getpeername);
    trap(f, SYS_getsockname);
    if (incoming) trap(f, SYS_bind);
#ifdef SYS_accept
    trap_not_null(f, SYS_accept, 1);
#endif
    trap_not_null(f, SYS_accept4, 1);
    trap_datagram_socket(f);
    trap_not_null(f, SYS_sendto, 4);
    trap_window_not_null(f, SYS_recvfrom, 4);
    trap_window(f, SYS_sendmsg);
    trap_window(f, SYS_recvmsg);
    trap_window(f, SYS_sendmmsg);
    trap_window(f, SYS_recvmmsg);
    if (files) {
#ifdef SYS_open
        trap(f, SYS_open);
        trap(f, SYS_stat);
        trap(f, SYS_lstat);
        trap(f, SYS_access);
        trap(f, SYS_readlink);
#endif
        trap(f, SYS_openat);
        trap(f, SYS_openat2);
        trap(f, SYS_newfstatat);
        trap(f, SYS_statx);
        trap(f, SYS_faccessat);
        trap(f, SYS_faccessat2);
        trap(f, SYS_readlinkat);
    }
    end(f);
}
/* One call is enough to try every mechanism. */
void filter_probe(struct filter *f) {
    begin(f);
    trap(f, SYS_connect);
    end(f);
}
