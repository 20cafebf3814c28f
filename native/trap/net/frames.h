/* frames.h - the messages of a SOCK_SEQPACKET socket as frames (u32 length, bytes; little-endian) on a stream socket, both ways, never waiting. */
#ifndef FRAMES_H
#define FRAMES_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Longer messages are refused with EMSGSIZE: their sender has raised wmem_max far beyond its default of 208 KiB. */
#define MESSAGE_LIMIT (16u << 20)

struct frames {
    int packets, stream;                    /* non-blocking sockets; the caller owns them */
    uint8_t *out, *in;                      /* one frame towards the stream; bytes of the stream that are no whole frame yet */
    size_t out_cap, out_at, out_used, in_cap, in_at, in_used;
    bool packets_ended, stream_ended;       /* nothing more comes from there */
    bool stream_shut, packets_shut;         /* and the other side has been told, or takes no more */
    int refused;                            /* errno with which `packets` took no more; what it has sent is still delivered */
};
void frames_open(struct frames *f, int packets, int stream);
int frames_move(struct frames *f);          /* moves what it can: 0 goes on, 1 both directions have ended, -errno */
uint32_t frames_from_packets(const struct frames *f); /* EPOLLIN and EPOLLOUT (the same bits as of poll(2)) to wait for; at 0 the
                                                       * socket must be left out: a hang-up would be reported all the time */
uint32_t frames_from_stream(const struct frames *f);
void frames_close(struct frames *f);        /* frees the memory */
#endif
