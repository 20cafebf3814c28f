/* machine.c - what the trap takes from the kernel's headers of one machine, for a comparison of two: which system calls the filter leads where.
 * A line for each configuration and number: what the filter says of many kinds of arguments (N notify, A allow, the errno else). Built together
 * with native/trap but its main.c. With the argument `layout`: the structures that are handed to raw system calls. */
#include "trap.h"
#include <linux/audit.h>
#include <linux/bpf_common.h>
#include <stdio.h>
#include <sys/user.h>
#include <sys/vfs.h>

#if defined(__x86_64__)
#define ARCH AUDIT_ARCH_X86_64
#else
#define ARCH AUDIT_ARCH_AARCH64
#endif

static uint32_t action(const struct filter *f, const struct seccomp_data *data) {
    uint32_t a = 0, word;
    for (unsigned pc = 0; pc < f->length; pc++) {
        const struct sock_filter *i = &f->code[pc];
        switch (i->code) {
        case BPF_LD | BPF_W | BPF_ABS:
            memcpy(&word, (const char *)data + i->k, 4);
            a = word;
            break;
        case BPF_ALU | BPF_AND | BPF_K: a &= i->k; break;
        case BPF_JMP | BPF_JEQ | BPF_K: pc += a == i->k ? i->jt : i->jf; break;
        case BPF_JMP | BPF_JGE | BPF_K: pc += a >= i->k ? i->jt : i->jf; break;
        case BPF_JMP | BPF_JSET | BPF_K: pc += a & i->k ? i->jt : i->jf; break;
        case BPF_RET | BPF_K: return i->k;
        default: exit(3);
        }
    }
    exit(4);
}
static void show(const struct filter *f, const char *name, uint32_t arch, int nr) {
    static const uint64_t rows[][6] = {
        {0}, {5, 5, 5, 5, 5, 5}, {550, 550, 550, 550, 550, 550}, {700, 700, 700}, {950, 950, 950, 950, 950, 950}, {950}, {1020, 1020, 1020}, {~0ull, ~0ull, ~0ull, ~0ull, ~0ull, ~0ull},
        {AF_INET, SOCK_DGRAM}, {AF_INET6, SOCK_STREAM | SOCK_CLOEXEC}, {AF_UNIX, SOCK_SEQPACKET}, {AF_NETLINK, SOCK_DGRAM}, {3, 1, MSG_FASTOPEN, MSG_FASTOPEN},
        {3, 1, 1, AT_EMPTY_PATH}, {3, 1, AT_EMPTY_PATH, 1}, {(uint32_t)AT_FDCWD, 1, AT_EMPTY_PATH, AT_EMPTY_PATH}, {1, SECCOMP_FILTER_FLAG_NEW_LISTENER}, {1ull << 32, 1ull << 32, 1ull << 32, 1ull << 32, 1ull << 32},
    };
    printf("%s %d ", name, nr);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct seccomp_data d = {.nr = nr, .arch = arch};
        memcpy(d.args, rows[i], sizeof d.args);
        uint32_t r = action(f, &d);
        if ((r & SECCOMP_RET_ACTION_FULL) == SECCOMP_RET_ERRNO) printf("%u", r & SECCOMP_RET_DATA);
        else printf("%c", r == SECCOMP_RET_USER_NOTIF ? 'N' : r == SECCOMP_RET_ALLOW ? 'A' : '?');
    }
    printf("\n");
}
#define SIZE(type) printf(#type " %zu\n", sizeof(type))
#define FIELD(type, name) printf(#type "." #name " %zu %zu\n", offsetof(type, name), sizeof(((type *)0)->name))
int main(int argc, char **argv) {
    if (argc > 1 && !strcmp(argv[1], "layout")) {
        SIZE(struct stat), FIELD(struct stat, st_mode), FIELD(struct stat, st_nlink), FIELD(struct stat, st_uid), FIELD(struct stat, st_size), FIELD(struct stat, st_blocks);
        SIZE(struct statfs), FIELD(struct statfs, f_type), FIELD(struct statfs, f_fsid), FIELD(struct statfs, f_namelen), FIELD(struct statfs, f_flags);
        return 0;
    }
    static struct filter f;
    static struct overlay overlay = {"/etc/resolv.conf", "/x", "resolv.conf"};
    for (int set = 0; set < 4; set++) {
        char name[8];
        snprintf(name, sizeof name, "%d", set);
        /* Each once only: files_filter remembers its rows. */
        if (set == 1) config.udp = config.incoming = true, config.overlays = &overlay, config.noverlays = 1;
        if (set == 2) config.files = "/copies", config.files_write = true, config.hostname = "pod";
        if (set == 3) config.nskip = 1, without_getfd = true, config.unix_streams.length = 1;
        if (set == 0) config.files = "", config.hostname = "";
        filter_program(&f);
        for (int nr = 0; nr < 512; nr++) show(&f, name, ARCH, nr);
        show(&f, "foreign", ~ARCH, 0);
    }
    return 0;
}
