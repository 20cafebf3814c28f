/* frames.c - SOCK_SEQPACKET messages to frames on a stream and back. Back-pressure: a message is read when the one before it has left. */
#include "frames.h"
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#define HEADER 4
#define READ_AHEAD 65536
#define TURNS 64 /* messages a call: others wait for the thread too */

static void grow(uint8_t **data, size_t *cap, size_t wanted) {
    if (*cap >= wanted) return;
    uint8_t *more = realloc(*data, wanted);
    if (!more) abort();
    *data = more;
    *cap = wanted;
}
void frames_open(struct frames *f, int packets, int stream) { *f = (struct frames){.packets = packets, .stream = stream}; }
void frames_close(struct frames *f) {
    free(f->out);
    free(f->in);
    f->out = f->in = NULL;
    f->out_cap = f->in_cap = f->out_used = f->in_used = 0;
}

/* recv(2) of nothing is an empty message, or the end when the peer has shut down and no byte is left (SIOCINQ counts all messages of
 * a seqpacket socket, unix(7)). Only empty messages directly before the end cannot be told from it. */
static bool at_end(int fd) {
    struct pollfd p = {.fd = fd, .events = POLLRDHUP};
    int bytes = 0;
    return poll(&p, 1, 0) == 1 && (p.revents & (POLLRDHUP | POLLHUP | POLLERR)) && ioctl(fd, FIONREAD, &bytes) == 0 && bytes == 0;
}
/* A peer that closed over messages that it had not read: told once, and before those that it had sent. */
static ssize_t receive(int fd, void *to, size_t n, int flags) {
    ssize_t k = recv(fd, to, n, flags | MSG_DONTWAIT);
    return k < 0 && errno == ECONNRESET ? recv(fd, to, n, flags | MSG_DONTWAIT) : k;
}
/* The next message into `out`. 1 taken, 0 none now or ended, -errno */
static int take_packet(struct frames *f) {
    ssize_t size = receive(f->packets, NULL, 0, MSG_PEEK | MSG_TRUNC); /* MSG_TRUNC gives the whole length, recv(2) */
    if (size < 0) return errno == EAGAIN || errno == EINTR ? 0 : -errno;
    if (size == 0 && at_end(f->packets)) {
        f->packets_ended = true;
        return 0;
    }
    if ((size_t)size > MESSAGE_LIMIT) return -EMSGSIZE;
    grow(&f->out, &f->out_cap, HEADER + (size_t)size);
    ssize_t k = receive(f->packets, f->out + HEADER, (size_t)size, 0);
    if (k < 0) return errno == EAGAIN || errno == EINTR ? 0 : -errno;
    uint32_t n = (uint32_t)k;
    memcpy(f->out, &n, HEADER); /* both supported machines are little-endian */
    f->out_at = 0;
    f->out_used = HEADER + (size_t)k;
    return 1;
}
static int to_stream(struct frames *f) {
    for (int turn = 0; turn < TURNS; turn++) {
        while (f->out_at < f->out_used) {
            ssize_t k = send(f->stream, f->out + f->out_at, f->out_used - f->out_at, MSG_NOSIGNAL | MSG_DONTWAIT);
            if (k < 0 && (errno == EPIPE || errno == ECONNRESET)) { /* nobody reads any more; what it wrote before is still delivered */
                f->packets_ended = f->stream_shut = true;
                f->out_at = f->out_used;
                return 0;
            }
            if (k < 0) return errno == EAGAIN || errno == EINTR ? 0 : -errno;
            f->out_at += (size_t)k;
        }
        if (f->stream_shut) return 0;
        int taken = f->packets_ended ? 0 : take_packet(f);
        if (f->packets_ended) {
            shutdown(f->stream, SHUT_WR);
            f->stream_shut = true;
        }
        if (taken <= 0) return taken;
    }
    return 0;
}

/* Length of the frame at in_at, header included; 0 when it is not whole; -errno */
static ssize_t frame_at(const struct frames *f) {
    uint32_t n;
    if (f->in_used - f->in_at < HEADER) return 0;
    memcpy(&n, f->in + f->in_at, HEADER);
    if (n > MESSAGE_LIMIT) return -EMSGSIZE;
    return f->in_used - f->in_at >= HEADER + (size_t)n ? HEADER + (ssize_t)n : 0;
}
static int send_message(struct frames *f, const uint8_t *data, size_t n) {
    if (send(f->packets, data, n, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0) return 1;
    if (errno != EMSGSIZE) return errno == EAGAIN || errno == EINTR ? 0 : -errno;
    int room = (int)n; /* a message must fit into the send buffer: up to net.core.wmem_max we may raise it, beyond with CAP_NET_ADMIN */
    if (setsockopt(f->packets, SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof room) < 0) setsockopt(f->packets, SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
    if (send(f->packets, data, n, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0) return 1;
    return errno == EAGAIN || errno == EINTR ? 0 : -errno;
}
static int fill(struct frames *f) { /* 1 something came, 0 nothing now or ended, -errno */
    uint32_t n = 0;
    if (f->in_at > 0) {
        memmove(f->in, f->in + f->in_at, f->in_used - f->in_at);
        f->in_used -= f->in_at;
        f->in_at = 0;
    }
    if (f->in_used >= HEADER) memcpy(&n, f->in, HEADER);
    grow(&f->in, &f->in_cap, HEADER + n > READ_AHEAD ? HEADER + n : READ_AHEAD);
    ssize_t k = recv(f->stream, f->in + f->in_used, f->in_cap - f->in_used, MSG_DONTWAIT);
    if (k < 0 && errno == ECONNRESET) k = 0; /* closed over bytes that it had not read */
    if (k < 0) return errno == EAGAIN || errno == EINTR ? 0 : -errno;
    if (k == 0) f->stream_ended = true;
    f->in_used += (size_t)k;
    return k > 0;
}
static int to_packets(struct frames *f) {
    for (int turn = 0; turn < TURNS && !f->packets_shut;) {
        ssize_t frame = frame_at(f);
        if (frame < 0) return (int)frame;
        if (frame > 0) {
            int sent = send_message(f, f->in + f->in_at + HEADER, (size_t)frame - HEADER);
            if (sent == -EPIPE || sent == -ECONNRESET) {
                f->refused = -sent;
                f->packets_shut = true;
                return 0;
            }
            if (sent <= 0) return sent;
            f->in_at += (size_t)frame;
            turn++;
            continue;
        }
        int filled = f->stream_ended ? 0 : fill(f);
        if (f->stream_ended) {
            if (f->in_used > f->in_at) return -EPROTO; /* ended within a frame */
            shutdown(f->packets, SHUT_WR);
            f->packets_shut = true;
        }
        if (filled <= 0) return filled;
    }
    return 0;
}

/* Nobody takes the messages any more. Closing at once would make the other end's next write fail, and who meets that often gives up what it has
 * not read yet (Node does): so until it has read all, what it writes is thrown away. True: it has. */
static bool discarded(struct frames *f) {
    for (int turn = 0; turn < TURNS && !f->stream_ended; turn++) {
        f->in_at = f->in_used;
        if (fill(f) <= 0) break;
    }
    int unread = 0; /* of a unix stream, SIOCOUTQ counts what the peer has not read (unix(7)) */
    return f->stream_shut && (f->stream_ended || (ioctl(f->stream, TIOCOUTQ, &unread) == 0 && unread == 0));
}
int frames_move(struct frames *f) {
    int outward = to_stream(f);
    if (outward < 0) return outward;
    int inward = f->refused ? 0 : to_packets(f);
    if (inward < 0) return inward;
    if (f->refused) return discarded(f) ? -f->refused : 0;
    return f->stream_shut && f->packets_shut;
}
uint32_t frames_from_packets(const struct frames *f) {
    uint32_t events = 0;
    if (!f->packets_ended && f->out_at == f->out_used) events |= EPOLLIN;
    if (!f->packets_shut && frame_at(f) > 0) events |= EPOLLOUT;
    return events;
}
uint32_t frames_from_stream(const struct frames *f) {
    uint32_t events = 0;
    if (f->out_at < f->out_used) events |= EPOLLOUT;
    if (!f->stream_ended && (f->refused || frame_at(f) == 0)) events |= EPOLLIN;
    return events;
}
