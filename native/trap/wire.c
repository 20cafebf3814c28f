/* wire.c - frames to and from the session: u32 length of what follows, u8 type, fields; little-endian, fixed width. */
#include "trap.h"
#include <poll.h>
#include <stdarg.h>

int wire_fd = -1;

struct buffer { uint8_t *data; size_t used, cap; };
static struct buffer in, out;
static size_t out_sent, frame_start;
static bool broken;

static void reserve(struct buffer *b, size_t more) {
    if (b->used + more <= b->cap) return;
    size_t cap = b->cap ? b->cap : 4096;
    while (cap < b->used + more) cap *= 2;
    uint8_t *data = realloc(b->data, cap);
    if (!data) abort(); /* the reaper ends the tree */
    b->data = data;
    b->cap = cap;
}
static void append(const void *data, size_t n) {
    reserve(&out, n);
    memcpy(out.data + out.used, data, n);
    out.used += n;
}
void put_u8(uint8_t v) { append(&v, 1); }
static void put_u16(uint16_t v) { append(&v, 2); } /* both supported machines are little-endian */
void put_u32(uint32_t v) { append(&v, 4); }
void put_u64(uint64_t v) { append(&v, 8); }
/* Clamped to what a number of JavaScript holds exactly: lengths and times beyond are errors or clamped everywhere. */
void put_i64(int64_t v) {
    static const int64_t most = (1ll << 53) - 1;
    v = v > most ? most : v < -most ? -most : v;
    append(&v, 8);
}
void put_bytes(const void *data, size_t n) {
    put_u32((uint32_t)n);
    append(data, n);
}
void put_string(const char *s) {
    size_t n = strlen(s);
    put_u32((uint32_t)n);
    append(s, n);
}
void put_addr(const struct addr *a) {
    put_u8(a->family);
    append(a->ip, 16);
    put_u16(a->port);
}
void put_begin(enum message type) {
    frame_start = out.used;
    put_u32(0);
    put_u8((uint8_t)type);
}
void put_end(void) {
    uint32_t n = (uint32_t)(out.used - frame_start - 4);
    memcpy(out.data + frame_start, &n, 4);
}
void warn(const char *format, ...) {
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    put_begin(MSG_WARNING);
    put_string(text);
    put_end();
}

void wire_open(int fd) { wire_fd = fd; }
void wire_close(void) {
    if (wire_fd >= 0) close(wire_fd);
    wire_fd = -1;
    out.used = out_sent = 0;
}
bool wire_pending(void) { return wire_fd >= 0 && out.used > out_sent; }
/* A session that reads, but never everything, must not let it grow. */
static void drop_sent(void) {
    if (out_sent < out.used / 2) return;
    memmove(out.data, out.data + out_sent, out.used -= out_sent);
    out_sent = 0;
}
bool wire_flush(void) {
    while (wire_pending()) {
        ssize_t k = send(wire_fd, out.data + out_sent, out.used - out_sent, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (k < 0 && (errno == EAGAIN || errno == EINTR)) {
            drop_sent();
            return true;
        }
        if (k < 0) return false;
        out_sent += (size_t)k;
    }
    out.used = out_sent = 0;
    return wire_fd >= 0;
}

static void take(struct reader *r, void *to, size_t n) {
    memset(to, 0, n);
    if (r->bad || (size_t)(r->end - r->at) < n) {
        r->bad = true;
        return;
    }
    memcpy(to, r->at, n);
    r->at += n;
}
uint8_t get_u8(struct reader *r) { uint8_t v; take(r, &v, sizeof v); return v; }
uint16_t get_u16(struct reader *r) { uint16_t v; take(r, &v, sizeof v); return v; }
uint32_t get_u32(struct reader *r) { uint32_t v; take(r, &v, sizeof v); return v; }
uint64_t get_u64(struct reader *r) { uint64_t v; take(r, &v, sizeof v); return v; }
int64_t get_i64(struct reader *r) { int64_t v; take(r, &v, sizeof v); return v; }
/* Each element takes at least one byte of the frame, so a count beyond that is malformed, not a reason to allocate. */
uint32_t get_count(struct reader *r) {
    uint32_t n = get_u32(r);
    if (n > (size_t)(r->end - r->at)) r->bad = true;
    return r->bad ? 0 : n;
}
uint8_t *get_bytes(struct reader *r, uint32_t *n) {
    *n = get_count(r);
    uint8_t *p = malloc((size_t)*n + 1);
    if (!p) abort();
    if (*n) memcpy(p, r->at, *n);
    r->at += *n;
    return p;
}
char *get_string(struct reader *r) {
    uint32_t n = get_u32(r);
    if (r->bad || (size_t)(r->end - r->at) < n || memchr(r->at, 0, n)) {
        r->bad = true;
        return NULL;
    }
    char *s = strndup((const char *)r->at, n);
    if (!s) abort();
    r->at += n;
    return s;
}
struct addr get_addr(struct reader *r) {
    struct addr a = {.family = get_u8(r)};
    take(r, a.ip, 16);
    a.port = get_u16(r);
    if (a.family != 0 && a.family != 4 && a.family != 6) r->bad = true;
    return a;
}

/* One frame out of `in`: its size, 0 when incomplete. */
static size_t frame_size(void) {
    uint32_t n;
    if (in.used < 4) return 0;
    memcpy(&n, in.data, 4);
    if (n < 1 || n > FRAME_LIMIT) {
        broken = true;
        return 0;
    }
    return in.used >= 4 + (size_t)n ? 4 + n : 0;
}
static bool fill(bool block) { /* false: end of stream or error */
    reserve(&in, 65536);
    ssize_t k;
    do k = recv(wire_fd, in.data + in.used, in.cap - in.used, block ? 0 : MSG_DONTWAIT);
    while (k < 0 && errno == EINTR);
    if (k > 0) in.used += (size_t)k;
    return k > 0 || (k < 0 && errno == EAGAIN);
}
static void drop_frame(size_t n) {
    in.used -= n;
    memmove(in.data, in.data + n, in.used);
}
static void fatal(const char *text) {
    put_begin(MSG_FATAL);
    put_string(text);
    put_end();
    wire_flush();
}
bool wire_next(uint8_t *type, struct reader *body) {
    size_t n;
    while (!(n = frame_size()) && !broken)
        if (!fill(true)) return false;
    if (broken) {
        fatal("a frame of impossible length");
        return false;
    }
    uint8_t *copy = malloc(n);
    if (!copy) abort();
    memcpy(copy, in.data, n);
    drop_frame(n);
    *type = copy[4];
    *body = (struct reader){copy + 5, copy + n, false};
    return true;
}
bool wire_receive(bool block) {
    size_t before;
    bool open = true;
    do {
        if (wire_fd < 0) return false;
        before = in.used;
        open = fill(block);
        block = false;
        size_t n;
        while ((n = frame_size())) {
            struct reader body = {in.data + 5, in.data + n, false};
            wire_dispatch(in.data[4], &body);
            if (body.bad || body.at != body.end) {
                fatal("a malformed message");
                return false;
            }
            drop_frame(n);
        }
        if (broken) {
            fatal("a frame of impossible length");
            return false;
        }
    } while (open && in.used > before);
    return open;
}
