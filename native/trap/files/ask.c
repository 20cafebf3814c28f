/* ask.c - questions about remote files. A call is held until the session has answered; callers that ask the same wait for one answer.
 *
 * Held calls about files are not interrupted by signals, as reads from a disk are not: only a fatal one ends them. Without
 * WAIT_KILLABLE_RECV the kernel restarts them after the handler, under a new id; they find their question (or its answer) again. */
#include "trap.h"

#define BUCKETS 1024

struct question {
    struct question *next, *next_key;
    uint64_t id, epoch;
    uint32_t key;
    struct file_question asked; /* path and other are ours */
    struct file_call *callers;
};
static struct question *questions[BUCKETS], *keys[BUCKETS]; /* by id; those whose answer may be shared, by what they ask */

static char *text_copy(const char *s) {
    char *p = s ? strdup(s) : NULL;
    if (s && !p) abort();
    return p;
}
static bool changes(const struct file_question *q) { return !question_kept(q) && q->operation != FILE_WATCH; }
/* The same question, not older than the last change: its answer will do for one more. */
static struct question *same(const struct file_question *q) {
    if (!question_kept(q)) return NULL;
    uint32_t key = question_hash(q);
    for (struct question *p = keys[key % BUCKETS]; p; p = p->next_key)
        if (p->key == key && p->asked.operation == q->operation && p->asked.flags == q->flags && p->epoch == cache_epoch() && !strcmp(p->asked.path, q->path))
            return p;
    return NULL;
}
static struct question *by_id(uint64_t id) {
    struct question *p = questions[id % BUCKETS];
    while (p && p->id != id) p = p->next;
    return p;
}
static void forget(struct question *p) {
    struct question **at = &questions[p->id % BUCKETS];
    while (*at != p) at = &(*at)->next;
    *at = p->next;
    if (!question_kept(&p->asked)) return;
    at = &keys[p->key % BUCKETS];
    while (*at != p) at = &(*at)->next_key;
    *at = p->next_key;
}
static void release(struct question *p) {
    free((char *)p->asked.path);
    free((char *)p->asked.other);
    free(p);
}
static struct question *send_question(pid_t tid, const struct file_question *q) {
    struct question *p = calloc(1, sizeof *p);
    if (!p) abort();
    if (changes(q)) cache_drop();
    p->id = next_id();
    p->epoch = cache_epoch();
    p->asked = *q;
    p->asked.path = text_copy(q->path);
    p->asked.other = text_copy(q->other);
    p->asked.numbers = NULL;
    p->next = questions[p->id % BUCKETS];
    questions[p->id % BUCKETS] = p;
    if (question_kept(q)) {
        p->key = question_hash(q);
        p->next_key = keys[p->key % BUCKETS];
        keys[p->key % BUCKETS] = p;
    }
    put_begin(MSG_FILE);
    put_u64(p->id);
    put_u32((uint32_t)process_of(tid));
    put_u8((uint8_t)q->operation);
    put_u32(q->flags);
    put_u32(q->mode);
    put_u64(q->object);
    put_string(q->path);
    put_string(q->other ? q->other : "");
    put_u32(q->count);
    for (unsigned i = 0; i < q->count; i++) put_i64(q->numbers[i]);
    put_end();
    return p;
}
static uint64_t silence(void) { return now_ns() + config.limit_ms.file * MS; } /* the session's own deadlines are shorter; it says FILE_BUSY while a large copy is under way */
void file_ask(struct file_call *fc, const struct file_question *q, file_then *then) {
    const struct file_answer *kept = cache_find(q);
    if (kept) {
        struct file_answer *own = answer_copy(kept); /* `then` may ask again, and take the slot */
        then(fc, own);
        answer_free(own);
        return;
    }
    struct question *p = same(q);
    if (!p) p = send_question(fc->n.pid, q);
    if (!fc->held) {
        fc->held = call_hold(HELD_FILE, &fc->n, -1, 0);
        fc->held->file = fc;
    }
    fc->held->limit = silence();
    fc->then = then;
    fc->question = p;
    fc->next = p->callers;
    p->callers = fc;
}
void file_lookup(struct file_call *fc, const struct place *p, bool follow, file_then *then) {
    file_ask(fc, &(struct file_question){.operation = FILE_LOOKUP, .flags = follow || p->slash ? 0 : LOOKUP_NOFOLLOW, .path = p->path}, then);
}

static bool answer_read(struct reader *r, struct file_answer *a) {
    a->error = (int)get_u32(r);
    a->valid_ms = get_u32(r);
    a->source = get_string(r);
    a->text = get_string(r);
    a->object = get_u64(r);
    a->mode = get_u32(r);
    a->uid = get_u32(r);
    a->gid = get_u32(r);
    a->links = get_u64(r);
    a->blocks = get_u64(r);
    a->rdev = get_u64(r);
    a->count = get_count(r);
    a->numbers = calloc((size_t)a->count + 1, sizeof *a->numbers);
    if (!a->numbers) abort();
    for (uint32_t i = 0; i < a->count && !r->bad; i++) a->numbers[i] = get_i64(r);
    if (a->error < 0 || a->error > 133 || (!r->bad && a->source[0] && a->source[0] != '/')) r->bad = true;
    return !r->bad;
}
/* The session opened something for writing, and nobody gets the descriptor. */
static void unused(const struct file_question *q, const struct file_answer *a) {
    if (q->operation == FILE_OPEN && changes(q) && !a->error && a->object) object_lost(a->object, q->path);
}
void file_answered(struct reader *r) {
    uint64_t id = get_u64(r);
    struct file_answer *a = calloc(1, sizeof *a);
    if (!a) abort();
    struct question *p = answer_read(r, a) ? by_id(id) : NULL;
    if (p) { /* else everybody who asked is gone, and the session was told */
        forget(p);
        if (p->epoch == cache_epoch()) cache_add(&p->asked, a);
        if (changes(&p->asked)) cache_drop(); /* what was looked up meanwhile may be from before */
        struct file_call *next;
        for (struct file_call *fc = p->callers; fc; fc = next) {
            next = fc->next;
            fc->question = NULL;
            if (!call_away(fc->held)) fc->then(fc, a);
            else if (!killable) {
                fc->kept = answer_copy(a);
                fc->kept_operation = p->asked.operation;
                fc->kept_flags = p->asked.flags;
            }
            else {
                unused(&p->asked, a);
                file_drop(fc);
            }
        }
        if (!p->callers) unused(&p->asked, a);
        release(p);
    }
    answer_free(a);
}
void file_busy(uint64_t id) {
    struct question *p = by_id(id);
    for (struct file_call *fc = p ? p->callers : NULL; fc; fc = fc->next) fc->held->limit = silence();
}
bool file_reattach(struct file_call *fc, const notif *n) {
    for (struct call *c = call_each(NULL); c; c = call_each(c)) {
        if (c->kind != HELD_FILE || c->n.pid != n->pid || !call_away(c)) continue;
        struct file_call *earlier = c->file;
        if (earlier->row != fc->row || strcmp(earlier->place[0].path, fc->place[0].path) || strcmp(earlier->place[1].path, fc->place[1].path)) continue;
        c->n = earlier->n = *n;
        c->attached = true;
        struct file_answer *a = earlier->kept;
        earlier->kept = NULL;
        if (a) earlier->then(earlier, a);
        answer_free(a);
        return true;
    }
    return false;
}
static void leave(struct file_call *fc) {
    struct question *p = fc->question;
    if (!p) return;
    struct file_call **at = &p->callers;
    while (*at != fc) at = &(*at)->next;
    *at = fc->next;
    fc->question = NULL;
    if (p->callers) return;
    put_begin(MSG_FILE_GONE);
    put_u64(p->id);
    put_end();
    if (p->asked.operation == FILE_OPEN && changes(&p->asked)) return; /* the answer may be on its way, and then has to be undone: file_answered */
    forget(p);
    release(p);
}
/* The caller is gone: killed, or a signal handler never came back. What the session has done for it stays done. */
void file_gone(struct call *c) {
    struct file_call *fc = c->file;
    leave(fc);
    if (fc->kept) unused(&(struct file_question){.operation = fc->kept_operation, .flags = fc->kept_flags, .path = fc->place[0].path}, fc->kept);
    file_drop(fc);
}
void file_expired(struct call *c) {
    struct file_call *fc = c->file;
    warn("the session did not answer about %s within %u s: process %d gets EIO", fc->place[0].path, config.limit_ms.file / 1000, process_of(fc->n.pid));
    leave(fc);
    fc->then(fc, &(struct file_answer){.error = EIO, .source = "", .text = ""}); /* a close gives its descriptor back all the same */
}
void files_changed(void) { cache_drop(); }
