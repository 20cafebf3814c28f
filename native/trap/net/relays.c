/* relays.c - which relay stands for which remote address of unconnected UDP. One relay address for each original, so
 * the source of an answer tells whom it is from. */
#include "trap.h"

struct relay { struct relay *next; struct addr remote, relay; bool direct; };
static struct relay *relays;

bool relay_find(const struct addr *remote, struct addr *relay, bool *direct) {
    for (struct relay *r = relays; r; r = r->next)
        if (addr_equal(&r->remote, remote)) {
            *relay = r->relay;
            *direct = r->direct;
            return true;
        }
    return false;
}
void relay_add(const struct addr *remote, const struct addr *relay, bool direct) {
    struct relay *r = malloc(sizeof *r);
    if (!r) abort();
    *r = (struct relay){relays, *remote, *relay, direct};
    relays = r;
}
bool relay_original(const struct addr *relay, struct addr *remote) {
    for (struct relay *r = relays; r; r = r->next)
        if (!r->direct && addr_equal(&r->relay, relay)) {
            *remote = r->remote;
            return true;
        }
    return false;
}
