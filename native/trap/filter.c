/* filter.c - the BPF program: which system calls reach the supervisor. */
#include "trap.h"
#include <linux/audit.h>
#include <linux/bpf_common.h>
#include <sys/random.h>

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
static void any_bit(struct filter *f, uint32_t k, uint8_t yes, uint8_t no) { put(f, BPF_JMP | BPF_JSET | BPF_K, yes, no, k); }

/* Only a rule's own call loads arguments, so the kernel's bitmap of constant answers (5.11) stays valid for every other number. */
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
void filter_trap(struct filter *f, uint32_t nr) {
    equal(f, nr, 0, 1);
    ret(f, SECCOMP_RET_USER_NOTIF);
}
void filter_trap_not_null(struct filter *f, uint32_t nr, int pointer) {
    equal(f, nr, 0, 6);
    load(f, LOW(pointer));
    equal(f, 0, 0, 2);
    load(f, HIGH(pointer));
    equal(f, 0, 1, 0);
    ret(f, SECCOMP_RET_USER_NOTIF);
    ret(f, SECCOMP_RET_ALLOW);
}
void filter_trap_between(struct filter *f, uint32_t nr, int argument, uint32_t low, uint32_t high) {
    equal(f, nr, 0, 5);
    load(f, LOW(argument));
    at_least(f, low, 0, 2);
    at_least(f, high, 1, 0);
    ret(f, SECCOMP_RET_USER_NOTIF);
    ret(f, SECCOMP_RET_ALLOW);
}
void filter_trap_between_not_null(struct filter *f, uint32_t nr, int argument, uint32_t low, uint32_t high, int pointer) {
    equal(f, nr, 0, 9);
    load(f, LOW(argument));
    at_least(f, low, 0, 6);
    at_least(f, high, 5, 0);
    load(f, LOW(pointer));
    equal(f, 0, 0, 2);
    load(f, HIGH(pointer));
    equal(f, 0, 1, 0);
    ret(f, SECCOMP_RET_USER_NOTIF);
    ret(f, SECCOMP_RET_ALLOW);
}
void filter_trap_between_or_bits(struct filter *f, uint32_t nr, int argument, uint32_t low, uint32_t high, int flags, uint32_t bits) {
    equal(f, nr, 0, 7);
    load(f, LOW(argument));
    at_least(f, low, 0, 1);
    at_least(f, high, 0, 2);
    load(f, LOW(flags));
    any_bit(f, bits, 0, 1);
    ret(f, SECCOMP_RET_USER_NOTIF);
    ret(f, SECCOMP_RET_ALLOW);
}
void filter_trap_bits(struct filter *f, uint32_t nr, int argument, uint32_t bits) {
    equal(f, nr, 0, 4);
    load(f, LOW(argument));
    any_bit(f, bits, 0, 1);
    ret(f, SECCOMP_RET_USER_NOTIF);
    ret(f, SECCOMP_RET_ALLOW);
}
/* fstat(2) as glibc and libuv make it: a descriptor, the empty path, AT_EMPTY_PATH. Half of a program's calls about files are these, and
 * they are the kernel's own business. A path that is not empty beside the flag and a descriptor stays unseen; nobody writes that. */
void filter_trap_unless_descriptor(struct filter *f, uint32_t nr, int flags) {
    equal(f, nr, 0, 6);
    load(f, LOW(flags));
    any_bit(f, AT_EMPTY_PATH, 0, 2);
    load(f, LOW(0));
    at_least(f, 0x80000000u, 0, 1); /* AT_FDCWD */
    ret(f, SECCOMP_RET_USER_NOTIF);
    ret(f, SECCOMP_RET_ALLOW);
}
/* One rule for everything that is wanted: the first rule of a number decides it. */
void filter_trap_sockets(struct filter *f, bool streams, bool unix_streams) {
    unsigned short start = f->length;
    equal(f, SYS_socket, 0, 0);
    load(f, LOW(0));
    if (unix_streams) {
        equal(f, AF_UNIX, 0, 6);
        load(f, LOW(1));
        put(f, BPF_ALU | BPF_AND | BPF_K, 0, 0, 0xf); /* SOCK_TYPE_MASK */
        equal(f, SOCK_STREAM, 1, 0);
        equal(f, SOCK_SEQPACKET, 0, 1);
        ret(f, SECCOMP_RET_USER_NOTIF);
        ret(f, SECCOMP_RET_ALLOW);
    }
    equal(f, AF_INET, 1, 0);
    equal(f, AF_INET6, 0, streams ? 5 : 4);
    load(f, LOW(1));
    put(f, BPF_ALU | BPF_AND | BPF_K, 0, 0, 0xf);
    if (streams) equal(f, SOCK_STREAM, 1, 0);
    equal(f, SOCK_DGRAM, 0, 1);
    ret(f, SECCOMP_RET_USER_NOTIF);
    ret(f, SECCOMP_RET_ALLOW);
    f->code[start].jf = (uint8_t)(f->length - start - 1);
}
/* Every way to close a descriptor of our windows, which are neighbours; close_range(2) and exit are found by looking. */
static void trap_windows(struct filter *f) {
    uint32_t low = config.files_write ? WINDOW_FILE_LOW : WINDOW_STREAM_LOW, high = without_getfd ? WINDOW_HIGH : WINDOW_FILE_HIGH;
    if (low >= high) return;
    filter_trap_between(f, SYS_close, 0, low, high);
#ifdef SYS_dup2
    filter_trap_between(f, SYS_dup2, 1, low, high);
#endif
    filter_trap_between(f, SYS_dup3, 1, low, high);
}
void filter_refuse(struct filter *f, uint32_t nr, int error) {
    equal(f, nr, 0, 1);
    ret(f, SECCOMP_RET_ERRNO | (uint32_t)error);
}

uint64_t exec_pass;
void filter_trap_exec(struct filter *f) {
    static const uint32_t calls[] = {SYS_execve, SYS_execveat};
    if (!exec_pass && getrandom(&exec_pass, sizeof exec_pass, 0) != sizeof exec_pass) abort();
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
        equal(f, calls[i], 0, 6);
        load(f, LOW(EXEC_PASS_ARGUMENT));
        equal(f, (uint32_t)exec_pass, 0, 3);
        load(f, HIGH(EXEC_PASS_ARGUMENT));
        equal(f, (uint32_t)(exec_pass >> 32), 0, 1);
        ret(f, SECCOMP_RET_ALLOW);
        ret(f, SECCOMP_RET_USER_NOTIF);
    }
}

void filter_program(struct filter *f) {
    begin(f);
    trap_windows(f);
    net_filter(f);
    files_filter(f);
    processes_filter(f);
    ret(f, SECCOMP_RET_ALLOW);
}
/* One call is enough to try every mechanism. */
void filter_probe(struct filter *f) {
    begin(f);
    filter_trap(f, SYS_connect);
    ret(f, SECCOMP_RET_ALLOW);
}
