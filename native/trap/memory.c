/* memory.c - the memory of a process of the tree. We decide and act on our own copy, never on the original. */
#include "trap.h"
#include <sys/uio.h>

bool memory_by_file;

/* The same through /proc/TID/mem, where process_vm_readv is denied. It asks for the same rights, but writes to read-only pages too. */
static ssize_t by_file(pid_t tid, uint64_t at, void *data, size_t n, bool writing) {
    if ((int64_t)at < 0) return -EFAULT; /* not of a process; preadv(2) says EINVAL */
    int fd = proc_open(tid, "mem", writing ? O_WRONLY : O_RDONLY);
    if (fd < 0) return fd == -ENOENT ? -ESRCH : fd;
    struct iovec v = {data, n}; /* not pread: the tests deny this call, and the dynamic loader needs that one */
    ssize_t k = writing ? pwritev(fd, &v, 1, (off_t)at) : preadv(fd, &v, 1, (off_t)at);
    int error = k >= 0 || errno == EIO ? EFAULT : errno; /* short, or nothing is mapped there */
    proc_close(fd);
    return k == (ssize_t)n ? k : -error;
}
ssize_t mem_read(pid_t tid, uint64_t at, void *to, size_t n) {
    struct iovec local = {to, n}, remote = {(void *)at, n};
    if (!n) return 0;
    if (memory_by_file) return by_file(tid, at, to, n, false);
    ssize_t k = process_vm_readv(tid, &local, 1, &remote, 1, 0);
    return k < 0 ? -errno : k == (ssize_t)n ? k : -EFAULT;
}
ssize_t mem_write(pid_t tid, uint64_t at, const void *from, size_t n) {
    struct iovec local = {(void *)from, n}, remote = {(void *)at, n};
    if (!n) return 0;
    if (memory_by_file) return by_file(tid, at, (void *)from, n, true);
    ssize_t k = process_vm_writev(tid, &local, 1, &remote, 1, 0);
    return k < 0 ? -errno : k == (ssize_t)n ? k : -EFAULT;
}
/* A path, page by page: the string may end just before an unmapped page. Its length, or -errno. */
ssize_t mem_string(pid_t tid, uint64_t at, char *to, size_t cap) {
    for (size_t got = 0; got < cap;) {
        size_t n = 4096 - ((at + got) & 4095);
        if (got == 0 && n > 256) n = 256; /* most end here */
        if (n > cap - got) n = cap - got;
        ssize_t k = mem_read(tid, at + got, to + got, n);
        if (k < 0) return k;
        char *zero = memchr(to + got, 0, n);
        if (zero) return zero - to;
        got += n;
    }
    return -ENAMETOOLONG;
}
/* The value-result rule of accept, getpeername, recvfrom: at most *length bytes, then the full length back. */
int mem_write_sockaddr(pid_t tid, uint64_t at, uint64_t length_at, const void *sa, socklen_t n) {
    int cap;
    ssize_t k;
    if ((k = mem_read(tid, length_at, &cap, sizeof cap)) < 0) return (int)k;
    if (cap < 0) return -EINVAL;
    if ((k = mem_write(tid, at, sa, (size_t)cap < n ? (size_t)cap : n)) < 0) return (int)k;
    if ((k = mem_write(tid, length_at, &n, sizeof n)) < 0) return (int)k;
    return 0;
}
bool table_full(ssize_t error) { return error == -EMFILE || error == -ENFILE; }
/* EFAULT is the program's own mistake and ESRCH a process that ended; anything else means that we may not look. */
void mem_refused(pid_t tid, ssize_t error, const char *what) {
    static pid_t warned[16];
    static unsigned next;
    if (error == -EFAULT || error == -ESRCH || error == -ENAMETOOLONG || error == -EBADF || error == -ENOTSOCK || error == -NOT_MADE) return;
    pid_t process = process_of(tid);
    for (unsigned i = 0; i < 16; i++)
        if (warned[i] == process) return;
    warned[next++ % 16] = process;
    if (table_full(error)) warn("mirrord-trap cannot open any more files (%s), so %s of process %d is not served: raise the hard limit of open files (ulimit -Hn)", strerror((int)-error), what, process);
    else warn("process %d may not be inspected (%s): it runs unconnected (%s)", process, strerror((int)-error), what);
}
