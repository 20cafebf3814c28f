/* cache.c - answers of the session that may be given again: each for its validMs, all until something changes. One slot for each hash, so
 * the memory is bounded; a newer answer takes the slot of an older one. */
#include "trap.h"

#define SLOTS 4096

/* The flags of an open for reading that change its answer. */
#define OPEN_FLAGS (O_NOFOLLOW | O_DIRECTORY)

struct slot { struct file_answer *answer; char *path; uint64_t until, epoch; uint32_t flags; uint8_t operation; };
static struct slot slots[SLOTS];
static uint64_t epoch = 1;

bool question_kept(const struct file_question *q) {
    switch (q->operation) {
    case FILE_LOOKUP: case FILE_STATFS: case FILE_MAP: return true;
    case FILE_OPEN: return (q->flags & O_ACCMODE) == O_RDONLY && !(q->flags & (O_CREAT | O_TRUNC | O_APPEND));
    default: return false;
    }
}
static uint32_t flags_of(const struct file_question *q) { return q->operation == FILE_OPEN ? q->flags & OPEN_FLAGS : q->flags; }
uint32_t question_hash(const struct file_question *q) { /* FNV-1a */
    uint64_t h = 1469598103934665603ull ^ q->operation ^ (uint64_t)flags_of(q) << 8;
    for (const char *s = q->path; *s; s++) h = (h ^ (uint8_t)*s) * 1099511628211ull;
    return (uint32_t)(h ^ h >> 32);
}
static struct slot *slot_of(const struct file_question *q) { return &slots[question_hash(q) % SLOTS]; }
static bool is_for(const struct slot *s, const struct file_question *q) {
    return s->answer && s->operation == q->operation && s->flags == flags_of(q) && !strcmp(s->path, q->path);
}
const struct file_answer *cache_find(const struct file_question *q) {
    if (!question_kept(q)) return NULL;
    struct slot *s = slot_of(q);
    if (!is_for(s, q)) return NULL;
    if (q->operation == FILE_MAP) return s->answer; /* what a path is mapped to never changes */
    return s->epoch == epoch && now_ns() < s->until ? s->answer : NULL;
}
void answer_free(struct file_answer *a) {
    if (!a) return;
    free(a->source);
    free(a->text);
    free(a->numbers);
    free(a);
}
static void *copy_of(const void *data, size_t n) {
    void *p = malloc(n + 1);
    if (!p) abort();
    memcpy(p, data, n);
    return p;
}
struct file_answer *answer_copy(const struct file_answer *a) {
    struct file_answer *b = copy_of(a, sizeof *a);
    b->source = copy_of(a->source, strlen(a->source) + 1);
    b->text = copy_of(a->text, strlen(a->text) + 1);
    b->numbers = copy_of(a->numbers, a->count * sizeof *a->numbers);
    return b;
}
static void empty(struct slot *s) {
    answer_free(s->answer);
    free(s->path);
    s->answer = NULL;
    s->path = NULL;
}
void cache_add(const struct file_question *q, const struct file_answer *a) {
    if (!question_kept(q) || (!a->valid_ms && (q->operation != FILE_MAP || a->error))) return;
    struct slot *s = slot_of(q);
    empty(s);
    s->answer = answer_copy(a);
    s->path = copy_of(q->path, strlen(q->path) + 1);
    s->until = now_ns() + a->valid_ms * MS;
    s->epoch = epoch;
    s->flags = flags_of(q);
    s->operation = (uint8_t)q->operation;
}
void cache_forget(const struct file_question *q) {
    struct slot *s = slot_of(q);
    if (is_for(s, q)) empty(s);
}
void cache_drop(void) { epoch++; }
uint64_t cache_epoch(void) { return epoch; }
