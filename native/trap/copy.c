/* copy.c - `mirrord-trap --copy FILE LIMIT`: one output stream of a program on its way to FILE and to our standard output (/dev/null: the file only).
 *
 * The pipe is made here, because Node cannot: its number is written to descriptor 3, the session opens /proc/OUR-PID/fd/NUMBER and sends a byte, and
 * from then on only the program's tree holds the writing end. A process of its own, with calls that block: a slow reader or disk holds up the
 * program (and this stream only), not the session; and what the program had written before it was killed is in the pipe, and arrives.
 *
 * LIMIT bytes (0: none): the file is renamed to FILE.1, in the place of an older one, before it would grow beyond; after a line's end where there
 * is one. Ends with the last writer, with our reader (then the program gets the SIGPIPE that it would have got from it), and, once descriptor 3 is
 * closed (nothing of the tree is left, or the session is gone), when the pipe is empty. */
#include "trap.h"
#include <poll.h>

#define CHUNK 65536
#define COPY_LOST 4 /* exit code: the file lacks something (src/session/output.ts) */

static const char *file_name;
static size_t limit, size, lost;
static int file = -1, lost_because;
static bool any_lost;

static bool file_open(void) {
    struct stat st;
    file = open(file_name, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    size = file >= 0 && fstat(file, &st) == 0 ? (size_t)st.st_size : 0;
    return file >= 0;
}
static void rotate(void) {
    char former[PATH_MAX];
    if (snprintf(former, sizeof former, "%s.1", file_name) >= (int)sizeof former || rename(file_name, former)) return;
    int full = file;
    if (file_open()) close(full);
    else file = full;
}
static bool write_all(int fd, const char *bytes, size_t n) {
    while (n > 0) {
        ssize_t done = write(fd, bytes, n);
        if (done < 0 && errno == EAGAIN) { /* somebody else made the reader's description non-blocking */
            poll(&(struct pollfd){fd, POLLOUT, 0}, 1, -1);
            continue;
        }
        if (done < 0 && errno == EINTR) continue;
        if (done < 0) return false;
        bytes += done;
        n -= (size_t)done;
    }
    return true;
}
/* What a full disk does not take is missing in the file, which then says so; the program and our reader go on. */
static void keep(const char *bytes, size_t n) {
    if (lost) {
        char note[96];
        int length = snprintf(note, sizeof note, "\n[mirrord: %zu bytes are missing here: %s]\n", lost, strerror(lost_because));
        if (write(file, note, (size_t)length) != length) {
            lost += n;
            return;
        }
        size += (size_t)length;
        lost = 0;
    }
    while (n > 0) {
        ssize_t done = write(file, bytes, n);
        if (done < 0 && errno == EINTR) continue;
        if (done < 0) {
            lost = n;
            lost_because = errno;
            any_lost = true;
            return;
        }
        bytes += done;
        n -= (size_t)done;
        size += (size_t)done;
    }
}
static void keep_limited(const char *bytes, size_t n) {
    while (limit && size + n > limit) {
        size_t fits = size < limit ? limit - size : 0;
        const char *line = fits ? memrchr(bytes, '\n', fits) : NULL;
        size_t part = line ? (size_t)(line - bytes) + 1 : size > 0 ? 0 : fits;
        keep(bytes, part);
        bytes += part;
        n -= part;
        if (size == 0) break; /* the disk takes nothing */
        rotate();
        if (size > 0) break; /* not possible: an unlimited file is better than none */
    }
    keep(bytes, n);
}
static bool begin(int pipe_end) {
    char text[16];
    int length = snprintf(text, sizeof text, "%d\n", pipe_end);
    return write(3, text, (size_t)length) == length && read(3, text, 1) == 1;
}
int copy(const char *name, const char *max) {
    static char buffer[CHUNK];
    int ends[2];
    file_name = name;
    limit = strtoull(max, NULL, 10);
    /* What ends or stops the program's group must not end or stop what brings its last words. */
    for (int signal_number = 1; signal_number < NSIG; signal_number++)
        if (signal_number != SIGCHLD) signal(signal_number, SIG_IGN);
    if (!file_open() || pipe2(ends, O_CLOEXEC) || !begin(ends[1])) return 1;
    close(ends[1]);
    for (bool session = true, over = false; !over;) {
        struct pollfd p[2] = {{.fd = ends[0], .events = POLLIN}, {.fd = session ? 3 : -1, .events = POLLIN}};
        int ready = poll(p, 2, session ? -1 : 0);
        if (ready < 0 && errno != EINTR) return 1;
        if (ready == 0) break; /* empty, and nobody is left to write */
        if (p[1].revents) session = false;
        if (!p[0].revents) continue;
        ssize_t n = read(ends[0], buffer, sizeof buffer);
        if (n < 0) continue;
        if (n > 0) keep_limited(buffer, (size_t)n);
        over = n == 0 || !write_all(1, buffer, (size_t)n);
    }
    return any_lost ? COPY_LOST : 0;
}
