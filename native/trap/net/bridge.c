/* bridge.c - `mirrord-trap --seqpacket ADDRESS`: for the agent, whose Node has no SOCK_SEQPACKET. Connects to ADDRESS (a path, or @ and the
 * hexadecimal digits of an abstract name), writes the errno (u32, 0 connected) to descriptor 3, and bridges frames on it from then on. */
#include "trap.h"
#include "net/frames.h"
#include <poll.h>
#include <sys/un.h>

#define LINGER 30 /* seconds to hand over what the agent sent before it closed */

static int hex(char c) { return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1; }
/* The length of the address, or -errno. The name's bytes come as digits because it may hold any, zero bytes too. */
static int parse(const char *text, struct sockaddr_un *sa) {
    size_t n = strlen(text);
    *sa = (struct sockaddr_un){.sun_family = AF_UNIX};
    if (text[0] != '@') {
        if (n == 0 || n >= sizeof sa->sun_path) return n == 0 ? -EINVAL : -ENAMETOOLONG;
        memcpy(sa->sun_path, text, n);
        return (int)(offsetof(struct sockaddr_un, sun_path) + n + 1);
    }
    if (n % 2 == 0 || n / 2 + 1 > sizeof sa->sun_path) return -EINVAL;
    for (size_t i = 0; i < n / 2; i++) {
        int high = hex(text[1 + 2 * i]), low = hex(text[2 + 2 * i]);
        if (high < 0 || low < 0) return -EINVAL;
        sa->sun_path[1 + i] = (char)(high << 4 | low);
    }
    return (int)(offsetof(struct sockaddr_un, sun_path) + 1 + n / 2);
}
/* The agent has closed, not only shut down its side: what it sent before still goes out, for a while. */
static void agent_left(struct frames *f) {
    f->packets_ended = f->stream_shut = true;
    f->out_at = f->out_used;
    alarm(LINGER);
}
static int run(int packets) {
    struct frames f;
    bool alone = false;
    frames_open(&f, packets, 3);
    int over;
    while ((over = frames_move(&f)) == 0) {
        struct pollfd p[2] = {{packets, (short)frames_from_packets(&f), 0}, {3, (short)frames_from_stream(&f), 0}};
        if (p[0].events == 0) p[0].fd = -1; /* a hang-up is always reported, and would wake us for ever */
        if (p[1].events == 0 && alone) p[1].fd = -1;
        if (poll(p, 2, -1) < 0) continue; /* EINTR; nothing else is possible here */
        if (alone || !(p[1].revents & (POLLHUP | POLLERR))) continue;
        alone = true;
        agent_left(&f);
    }
    frames_close(&f);
    return over < 0 ? -over : 0;
}
int bridge(const char *address) {
    struct sockaddr_un sa;
    int fd = -1, length = parse(address, &sa), error = length < 0 ? -length : 0;
    signal(SIGPIPE, SIG_IGN);
    if (!error && (fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0)) < 0) error = errno;
    if (!error && connect(fd, (struct sockaddr *)&sa, (socklen_t)length) < 0) error = errno;
    uint32_t told = (uint32_t)error;
    if (send(3, &told, sizeof told, MSG_NOSIGNAL) != (ssize_t)sizeof told) return EPIPE;
    return error ? error : run(fd);
}
