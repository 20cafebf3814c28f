/* rules.c - matches a text against the patterns of the configuration. src/patterns/automaton.ts compiles them into one nondeterministic
 * automaton (the format is described there); here it is made deterministic on demand: a state is made when a text first leads to it, in
 * memory of a fixed size that is emptied when full. So a match allocates nothing, and costs at worst its length times the automaton's size. */
#include "trap.h"

enum { KINDS = 6, EDGE = 0, OTHER = 5, ALL_KINDS = 63 }; /* src/patterns/contexts.ts */
enum operation { OP_SET, OP_SPLIT, OP_ASSERT, OP_MATCH };
#define MAGIC 0x3150524du
#define HEADER 20
#define CLASSES_MAX 2048
#define NEXT_BYTES (1u << 20)  /* transitions of all states, but 64 states at least */
#define STATES_MAX 8192u
#define PENDING_MAX (1u << 19) /* instructions of all states; a state has 65,535 at most */
#define FINISHED 0x80000000u   /* of a transition: no text can lead to a better rank any more */

struct instruction { uint16_t op, a, b; };
struct rank { uint32_t label; uint16_t first, entry; bool alive; /* it can begin behind the first character */ };
/* What the text so far means: the instructions that wait for the next character, the kind of the last one (OTHER when none of them looks at
 * it), the best rank that has matched, and the best one should the text end here. */
struct state { uint32_t pending; uint16_t count, before, best, end; };
struct rules {
    uint32_t nclasses, nsets, nmasks, nranks, ninstructions, nranges, set_bytes;
    uint16_t ascii[128];
    uint32_t *ranges; /* first code point | class << 21, ascending */
    uint8_t *kinds, *sets;
    uint64_t *masks;
    struct rank *ranks;
    struct instruction *program;
    uint32_t first_alive;
    /* the states made so far; 0 is none */
    struct state *states;
    uint32_t *next; /* [state * nclasses + class] */
    uint32_t *table; /* of states, by hash */
    uint16_t *pending;
    uint32_t nstates, max_states, npending, table_mask, start;
    /* the state being made */
    uint64_t *marks;
    uint16_t *stack, *seeds, *made;
};

/* ---- making states ---- */

/* Instructions from here on belong to ranks no better than `rank`. */
static uint32_t limit_of(const struct rules *r, uint32_t rank) { return rank < r->nranks ? r->ranks[rank].first : r->ninstructions; }
static unsigned row_of(const struct rules *r, const struct instruction *i, unsigned before) {
    return r->masks[i->a] >> before * KINDS & ALL_KINDS;
}
static bool marked(const struct rules *r, uint16_t at) { return r->marks[at >> 6] >> (at & 63) & 1; }
static void clear_marks(struct rules *r) { memset(r->marks, 0, (r->ninstructions + 63) / 64 * 8); }

/* Marks what can be reached from `from` without a character behind one of kind `before`, and returns the better of `best` and the ranks
 * that match. An assertion goes on if it holds for every next character of the kinds in `after`. */
static uint32_t reach(struct rules *r, uint16_t from, unsigned before, unsigned after, uint32_t best) {
    unsigned depth = 0;
    r->stack[depth++] = from;
    while (depth) {
        uint16_t at = r->stack[--depth];
        if (marked(r, at)) continue;
        r->marks[at >> 6] |= 1ull << (at & 63);
        const struct instruction *i = &r->program[at];
        if (i->op == OP_SPLIT) {
            r->stack[depth++] = i->b;
            r->stack[depth++] = i->a;
        } else if (i->op == OP_ASSERT) {
            if ((row_of(r, i, before) & after) == after) r->stack[depth++] = i->b;
        } else if (i->op == OP_MATCH && i->a < best) best = i->a;
    }
    return best;
}
/* Follows the assertions among `count` waiting instructions, now that the kind of the next character is known. */
static uint32_t resolve(struct rules *r, const uint16_t *pending, unsigned count, unsigned before, unsigned kind, uint32_t best) {
    clear_marks(r);
    for (unsigned i = 0; i < count; i++)
        if (r->program[pending[i]].op == OP_ASSERT) best = reach(r, pending[i], before, 1u << kind, best);
    return best;
}
static void forget_states(struct rules *r) {
    r->nstates = 1, r->npending = 0, r->start = 0;
    memset(r->table, 0, (r->table_mask + 1) * sizeof *r->table);
}
/* The state behind a character of kind `before` (EDGE: at the beginning) at which `nseeds` instructions were reached. */
static uint32_t make_state(struct rules *r, unsigned nseeds, unsigned before, uint32_t best) {
    clear_marks(r);
    for (unsigned i = 0; i < nseeds; i++) best = reach(r, r->seeds[i], before, ALL_KINDS, best);
    for (uint32_t rank = 0; rank < best && rank < r->nranks; rank++)
        if (before == EDGE || r->ranks[rank].alive) best = reach(r, r->ranks[rank].entry, before, ALL_KINDS, best);
    uint32_t limit = limit_of(r, best), hash = 2166136261u;
    unsigned count = 0, kind = OTHER;
    for (uint32_t word = 0; word * 64 < limit; word++)
        for (uint64_t bits = r->marks[word]; bits; bits &= bits - 1) {
            uint16_t at = word * 64 + __builtin_ctzll(bits);
            const struct instruction *i = &r->program[at];
            unsigned row = i->op == OP_ASSERT ? row_of(r, i, before) : 0;
            if (at >= limit || (i->op != OP_SET && (row == 0 || row == ALL_KINDS))) continue;
            if (i->op == OP_ASSERT) kind = before;
            r->made[count++] = at;
            hash = (hash ^ at) * 16777619u;
        }
    hash = (hash ^ (kind | best << 3)) * 16777619u;
    hash ^= hash >> 15;
    uint32_t slot = hash & r->table_mask;
    for (; r->table[slot]; slot = (slot + 1) & r->table_mask) {
        const struct state *s = &r->states[r->table[slot]];
        if (s->count == count && s->before == kind && s->best == best && !memcmp(r->pending + s->pending, r->made, count * 2)) return r->table[slot];
    }
    if (r->nstates == r->max_states || r->npending + count > PENDING_MAX) {
        forget_states(r);
        slot = hash & r->table_mask;
    }
    uint32_t number = r->table[slot] = r->nstates++;
    struct state *s = &r->states[number];
    *s = (struct state){.pending = r->npending, .count = count, .before = kind, .best = best};
    memcpy(r->pending + r->npending, r->made, count * 2);
    r->npending += count;
    memset(r->next + (size_t)number * r->nclasses, 0, r->nclasses * sizeof *r->next);
    s->end = resolve(r, r->made, count, kind, EDGE, best);
    return number;
}
static uint32_t start_state(struct rules *r) {
    if (!r->start) {
        uint32_t made = make_state(r, 0, EDGE, r->nranks);
        r->start = made;
    }
    return r->start;
}
/* The transition from a state by a class of characters. */
static uint32_t step(struct rules *r, uint32_t from, unsigned class) {
    const struct state s = r->states[from];
    const uint16_t *pending = r->pending + s.pending;
    unsigned kind = r->kinds[class], nseeds = 0;
    uint32_t best = resolve(r, pending, s.count, s.before, kind, s.best);
    for (unsigned i = 0; i < s.count; i++) r->marks[pending[i] >> 6] |= 1ull << (pending[i] & 63);
    uint32_t limit = limit_of(r, best);
    for (uint32_t word = 0; word * 64 < limit; word++)
        for (uint64_t bits = r->marks[word]; bits; bits &= bits - 1) {
            uint16_t at = word * 64 + __builtin_ctzll(bits);
            const struct instruction *i = &r->program[at];
            if (at < limit && i->op == OP_SET && r->sets[i->a * r->set_bytes + (class >> 3)] >> (class & 7) & 1) r->seeds[nseeds++] = i->b;
        }
    uint32_t before = r->nstates, to = make_state(r, nseeds, kind, best);
    uint32_t transition = to | (r->states[to].count == 0 && r->first_alive >= r->states[to].best ? FINISHED : 0);
    if (r->nstates >= before) r->next[(size_t)from * r->nclasses + class] = transition; /* else all states were forgotten, `from` too */
    return transition;
}

/* ---- matching ---- */

/* Whether a text is UTF-8 (Unicode 15, table 3-7). */
bool is_utf8(const uint8_t *p, const uint8_t *end) {
    while (p < end) {
        uint64_t eight;
        if (end - p >= 8 && (memcpy(&eight, p, 8), !(eight & 0x8080808080808080ull))) {
            p += 8;
            continue;
        }
        uint8_t b = *p++;
        if (b < 0x80) continue;
        int more = b >= 0xc2 && b <= 0xdf ? 1 : b >= 0xe0 && b <= 0xef ? 2 : b >= 0xf0 && b <= 0xf4 ? 3 : 0;
        if (more == 0 || end - p < more) return false;
        uint8_t low = b == 0xe0 ? 0xa0 : b == 0xf0 ? 0x90 : 0x80, high = b == 0xed ? 0x9f : b == 0xf4 ? 0x8f : 0xbf;
        if (*p < low || *p > high) return false;
        for (p++; --more; p++)
            if ((*p & 0xc0) != 0x80) return false;
    }
    return true;
}
/* The class of the character at *p, which is UTF-8 and not ASCII; moves behind it. */
static unsigned class_at(const struct rules *r, const uint8_t **p) {
    uint8_t b = *(*p)++;
    int more = b >= 0xf0 ? 3 : b >= 0xe0 ? 2 : 1;
    uint32_t point = b & (0x3f >> more), low = 0, high = r->nranges;
    while (more--) point = point << 6 | (*(*p)++ & 0x3f);
    while (high - low > 1) {
        uint32_t middle = (low + high) / 2;
        if ((r->ranges[middle] & 0x1fffff) <= point) low = middle;
        else high = middle;
    }
    return r->ranges[low] >> 21;
}
/* A text that is not UTF-8 counts as an empty one, as upstream. */
unsigned rules_match(struct rules *r, const char *text, size_t n) {
    const uint8_t *p = (const uint8_t *)text, *end = p + n;
    if (!is_utf8(p, end)) end = p;
    uint32_t state = start_state(r);
    while (p < end) {
        unsigned class = *p < 0x80 ? r->ascii[*p++] : class_at(r, &p);
        uint32_t to = r->next[(size_t)state * r->nclasses + class];
        if (!to) to = step(r, state, class);
        state = to & ~FINISHED;
        if (to & FINISHED) break;
    }
    uint32_t rank = r->states[state].end;
    return rank < r->nranks ? r->ranks[rank].label : 0;
}

/* ---- reading an automaton ---- */

static uint16_t le16(const uint8_t *p) { return p[0] | p[1] << 8; }
static uint32_t le32(const uint8_t *p) { return le16(p) | (uint32_t)le16(p + 2) << 16; }
static void *room(size_t n, size_t size) {
    void *p = calloc(n ? n : 1, size);
    if (!p) abort();
    return p;
}
/* Which ranks can begin behind a first character: the others are not tried again. */
static void find_alive(struct rules *r) {
    r->first_alive = r->nranks;
    for (uint32_t rank = r->nranks; rank-- > 0;)
        for (unsigned before = EDGE + 1; before < KINDS && !r->ranks[rank].alive; before++) {
            clear_marks(r);
            bool alive = reach(r, r->ranks[rank].entry, before, ALL_KINDS, r->nranks) < r->nranks;
            for (uint32_t at = r->ranks[rank].first; !alive && at < limit_of(r, rank + 1); at++) {
                const struct instruction *i = &r->program[at];
                alive = marked(r, at) && (i->op == OP_SET || (i->op == OP_ASSERT && row_of(r, i, before)));
            }
            if (alive) r->ranks[rank].alive = true, r->first_alive = rank;
        }
}
static bool read_ranges(struct rules *r, const uint8_t *p) {
    for (uint32_t i = 0; i < r->nranges; i++) {
        uint32_t range = r->ranges[i] = le32(p + 4 * i), point = range & 0x1fffff;
        if (point > 0x10ffff || range >> 21 >= r->nclasses || (i ? point <= (r->ranges[i - 1] & 0x1fffff) : point != 0)) return false;
        for (; point < 128; point++) r->ascii[point] = range >> 21;
    }
    return true;
}
static bool read_program(struct rules *r, const uint8_t *p) {
    if (r->nranks ? r->ranks[0].first != 0 : r->ninstructions != 0) return false;
    for (uint32_t rank = 0; rank < r->nranks; rank++) {
        uint32_t first = r->ranks[rank].first, limit = limit_of(r, rank + 1);
        if (limit <= first || limit > r->ninstructions || r->ranks[rank].entry < first || r->ranks[rank].entry >= limit) return false;
        for (uint32_t at = first; at < limit; at++) {
            struct instruction *i = &r->program[at];
            *i = (struct instruction){le16(p + 6 * at), le16(p + 6 * at + 2), le16(p + 6 * at + 4)};
            bool inside = i->b >= first && i->b < limit;
            if (i->op == OP_MATCH ? i->a != rank
                : i->op == OP_SPLIT ? !inside || i->a < first || i->a >= limit
                : i->op == OP_SET ? !inside || i->a >= r->nsets
                : i->op == OP_ASSERT ? !inside || i->a >= r->nmasks : true) return false;
        }
    }
    return true;
}
void rules_free(struct rules *r) {
    if (!r) return;
    void *all[] = {r->ranges, r->kinds, r->sets, r->masks, r->ranks, r->program, r->states, r->next, r->table, r->pending, r->marks, r->stack,
                   r->seeds, r->made, r};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) free(all[i]);
}
struct rules *rules_load(const uint8_t *data, uint32_t length) {
    if (length < HEADER || le32(data) != MAGIC) return NULL;
    uint32_t classes = le16(data + 4), sets = le16(data + 6), masks = le16(data + 8), ranks = le16(data + 10), instructions = le16(data + 12);
    uint32_t ranges = le32(data + 16), set_bytes = (classes + 7) / 8;
    if (classes == 0 || classes > CLASSES_MAX || ranges == 0 || le16(data + 14) != 0 ||
        length != HEADER + 4ull * ranges + classes + 8ull * masks + 8ull * ranks + (uint64_t)sets * set_bytes + 6ull * instructions) return NULL;
    struct rules *r = room(1, sizeof *r);
    *r = (struct rules){.nclasses = classes, .nsets = sets, .nmasks = masks, .nranks = ranks, .ninstructions = instructions,
                        .nranges = ranges, .set_bytes = set_bytes};
    const uint8_t *p = data + HEADER;
    r->ranges = room(ranges, sizeof *r->ranges);
    bool good = read_ranges(r, p);
    p += 4 * ranges;
    r->kinds = room(classes, 1);
    memcpy(r->kinds, p, classes);
    for (uint32_t i = 0; i < classes; i++) good = good && r->kinds[i] > EDGE && r->kinds[i] < KINDS;
    p += classes;
    r->masks = room(masks, sizeof *r->masks);
    for (uint32_t i = 0; i < masks; i++, p += 8) r->masks[i] = le32(p) | (uint64_t)le32(p + 4) << 32;
    r->ranks = room(ranks, sizeof *r->ranks);
    for (uint32_t i = 0; i < ranks; i++, p += 8) r->ranks[i] = (struct rank){.label = le32(p), .first = le16(p + 4), .entry = le16(p + 6)};
    r->sets = room(sets, set_bytes);
    memcpy(r->sets, p, (size_t)sets * set_bytes);
    r->program = room(instructions, sizeof *r->program);
    if (!good || !read_program(r, p + (size_t)sets * set_bytes)) {
        rules_free(r);
        return NULL;
    }
    r->max_states = NEXT_BYTES / 4 / classes;
    if (r->max_states > STATES_MAX) r->max_states = STATES_MAX;
    if (r->max_states < 64) r->max_states = 64;
    r->table_mask = 2 * STATES_MAX - 1;
    r->states = room(r->max_states, sizeof *r->states);
    r->next = room((size_t)r->max_states * classes, sizeof *r->next);
    r->table = room(r->table_mask + 1, sizeof *r->table);
    r->pending = room(PENDING_MAX, sizeof *r->pending);
    r->marks = room((instructions + 63) / 64, 8);
    r->stack = room(2 * instructions + 2, sizeof *r->stack); /* each instruction adds two at most, once */
    r->seeds = room(instructions, sizeof *r->seeds);
    r->made = room(instructions, sizeof *r->made);
    find_alive(r);
    forget_states(r);
    return r;
}
