/* relays.c - which relay stands for which remote address of unconnected UDP. One relay address for each original, so
 * the source of an answer tells whom it is from. */
#include "trap.h"

#define BUCKETS 256
#define LIMIT 1024 /* relays, each a socket of the session. Beyond it the one that has been idle longest goes: its late answers are lost */

static struct relay *by_remote[BUCKETS], *by_via[BUCKETS];
static unsigned count;

static unsigned bucket(const struct addr *a) {
    uint32_t h = a->port;
    for (int i = 0; i < (a->family == 4 ? 4 : 16); i++) h = h * 31 + a->ip[i];
    return h % BUCKETS;
}
struct relay *relay_find(const struct addr *remote, bool ipv6) {
    struct relay *r = by_remote[bucket(remote)];
    while (r && (r->ipv6 != ipv6 || !addr_equal(&r->remote, remote))) r = r->next;
    if (r) r->used = now_ns();
    return r;
}
struct relay *relay_asked(uint64_t id) {
    for (unsigned b = 0; b < BUCKETS; b++)
        for (struct relay *r = by_remote[b]; r; r = r->next)
            if (r->state == RELAY_ASKED && r->id == id) return r;
    return NULL;
}
bool relay_original(const struct addr *via, struct addr *remote) {
    struct relay *r = count ? by_via[bucket(via)] : NULL;
    while (r && !addr_equal(&r->via, via)) r = r->via_next;
    if (!r) return false;
    r->used = now_ns();
    *remote = r->remote;
    return true;
}
bool relays_any(void) { return count > 0; }

static void unlink_via(struct relay *relay) {
    for (struct relay **at = &by_via[bucket(&relay->via)]; *at; at = &(*at)->via_next)
        if (*at == relay) {
            *at = relay->via_next;
            return;
        }
}
void relay_drop(struct relay *relay, bool tell) {
    for (struct relay **at = &by_remote[bucket(&relay->remote)]; *at; at = &(*at)->next)
        if (*at == relay) {
            *at = relay->next;
            break;
        }
    if (relay->state == RELAY_READY) unlink_via(relay);
    if (tell && relay->state != RELAY_DIRECT) {
        put_begin(MSG_CONNECT_GONE);
        put_u64(relay->id);
        put_end();
    }
    free(relay);
    count--;
}
static void make_room(void) {
    struct relay *oldest = NULL;
    for (unsigned b = 0; b < BUCKETS; b++)
        for (struct relay *r = by_remote[b]; r; r = r->next)
            if (r->state != RELAY_ASKED && (!oldest || r->used < oldest->used)) oldest = r;
    if (oldest) relay_drop(oldest, true);
}
struct relay *relay_ask(const struct addr *remote, bool ipv6) {
    struct relay *r = calloc(1, sizeof *r);
    unsigned b = bucket(remote);
    if (!r) abort();
    if (count >= LIMIT) make_room();
    *r = (struct relay){.next = by_remote[b], .remote = *remote, .ipv6 = ipv6, .state = RELAY_ASKED, .id = next_id(), .used = now_ns()};
    by_remote[b] = r;
    count++;
    return r;
}
void relay_ready(struct relay *r, const struct addr *via) {
    unsigned b = bucket(via);
    r->state = RELAY_READY;
    r->via = *via;
    r->via_next = by_via[b];
    by_via[b] = r;
}
