/* loader.c - is it the dynamic loader that asks? A program must get the libraries of this machine, whatever the patterns say: the pod's would be
 * of another libc. glibc's loader is code of its own, so the address that the call comes from tells. musl's is the libc itself, so there a library
 * is known by its name. */
#include "trap.h"
#include <elf.h>

#define KEPT (1000 * MS) /* a thread's number may be used again */
#define HEADERS 32

enum asker { ASKER_PROGRAM, ASKER_LOADER, ASKER_EITHER };
struct known { pid_t tid; uint64_t page, until; enum asker asker; };
static struct known known[256];

struct vector { uint64_t base, headers, count; }; /* AT_BASE, AT_PHDR, AT_PHNUM of getauxval(3) */

static bool read_vector(pid_t tid, struct vector *v) {
    Elf64_auxv_t entries[64];
    memset(v, 0, sizeof *v);
    int fd = proc_open(tid, "auxv", O_RDONLY);
    if (fd < 0) return false;
    ssize_t n = read(fd, entries, sizeof entries);
    proc_close(fd);
    for (ssize_t i = 0; i < n / (ssize_t)sizeof *entries; i++) {
        if (entries[i].a_type == AT_BASE) v->base = entries[i].a_un.a_val;
        if (entries[i].a_type == AT_PHDR) v->headers = entries[i].a_un.a_val;
        if (entries[i].a_type == AT_PHNUM) v->count = entries[i].a_un.a_val;
    }
    return v->base != 0; /* 0: a static program */
}
static uint64_t end_of(pid_t tid, uint64_t base) {
    Elf64_Ehdr e;
    Elf64_Phdr p[HEADERS];
    uint64_t end = base;
    if (mem_read(tid, base, &e, sizeof e) < 0 || memcmp(e.e_ident, ELFMAG, SELFMAG) || !e.e_phnum || e.e_phnum > HEADERS) return base;
    if (mem_read(tid, base + e.e_phoff, p, e.e_phnum * sizeof *p) < 0) return base;
    for (int i = 0; i < e.e_phnum; i++)
        if (p[i].p_type == PT_LOAD && base + p[i].p_vaddr + p[i].p_memsz > end) end = base + p[i].p_vaddr + p[i].p_memsz;
    return end;
}
static bool is_musl(pid_t tid, const struct vector *v) { /* by the interpreter that the program names */
    Elf64_Phdr p[HEADERS];
    char name[256];
    uint64_t bias = 0;
    if (!v->count || v->count > HEADERS || mem_read(tid, v->headers, p, v->count * sizeof *p) < 0) return false;
    for (uint64_t i = 0; i < v->count; i++)
        if (p[i].p_type == PT_PHDR) bias = v->headers - p[i].p_vaddr;
    for (uint64_t i = 0; i < v->count; i++)
        if (p[i].p_type == PT_INTERP) return mem_string(tid, bias + p[i].p_vaddr, name, sizeof name) > 0 && strstr(name, "ld-musl");
    return false;
}
static enum asker asker_of(const notif *n) {
    uint64_t at = n->data.instruction_pointer, now = now_ns();
    struct known *k = &known[((unsigned)n->pid ^ (unsigned)(at >> 12)) % 256];
    if (k->tid == (pid_t)n->pid && k->page == at >> 12 && now < k->until) return k->asker;
    struct vector v;
    enum asker asker = ASKER_PROGRAM;
    if (read_vector(n->pid, &v) && at >= v.base && at < end_of(n->pid, v.base)) asker = is_musl(n->pid, &v) ? ASKER_EITHER : ASKER_LOADER;
    *k = (struct known){(pid_t)n->pid, at >> 12, now + KEPT, asker};
    return asker;
}
static bool is_library(const char *path) {
    const char *name = strrchr(path, '/'), *so = name ? strstr(name, ".so") : NULL;
    return so && (!so[3] || so[3] == '.');
}
bool loader_asks(const notif *n, const char *path) {
    char link[PATH_MAX];
    enum asker asker = asker_of(n);
    if (asker == ASKER_PROGRAM || (asker == ASKER_EITHER && !is_library(path))) return false;
    if (base_executable(n->pid, link) <= 0 || !path_below_files(link)) return true;
    return access(path, F_OK) == 0; /* a program of the target may have brought libraries along */
}
