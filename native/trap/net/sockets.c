/* sockets.c - what we remember of the tree's sockets, by SO_COOKIE: dup, fork and reused numbers need no book-keeping,
 * and since a cookie is never given twice a stale entry costs memory only. */
#include "trap.h"
#include <dirent.h>

#define BUCKETS 1024
static struct sock *buckets[BUCKETS], *inodes[BUCKETS];
static unsigned count, sweep_at = 1024;

int sock_flag(int fd, int level, int name) {
    int v = 0;
    socklen_t n = sizeof v;
    return getsockopt(fd, level, name, &v, &n) ? 0 : v;
}
uint64_t sock_timeout(int fd, int name) {
    struct timeval t = {0, 0};
    socklen_t n = sizeof t;
    getsockopt(fd, SOL_SOCKET, name, &t, &n);
    if (t.tv_sec > 1000000000) t.tv_sec = 1000000000; /* 30 years; as nanoseconds more may not fit */
    return (uint64_t)t.tv_sec * 1000000000ull + (uint64_t)t.tv_usec * 1000ull;
}
bool sock_info(int fd, struct info *i) {
    struct stat st;
    socklen_t n = sizeof i->cookie;
    memset(i, 0, sizeof *i);
    if (fstat(fd, &st) || !S_ISSOCK(st.st_mode)) return false;
    i->inode = st.st_ino;
    i->domain = sock_flag(fd, SOL_SOCKET, SO_DOMAIN);
    i->type = sock_flag(fd, SOL_SOCKET, SO_TYPE);
    i->protocol = sock_flag(fd, SOL_SOCKET, SO_PROTOCOL);
    return getsockopt(fd, SOL_SOCKET, SO_COOKIE, &i->cookie, &n) == 0;
}
static bool is_ip(const struct info *i) { return i->domain == AF_INET || i->domain == AF_INET6; }
bool info_is_tcp(const struct info *i) { /* Go listens with MPTCP where the kernel has it (262, kernel 5.6) */
    return is_ip(i) && i->type == SOCK_STREAM && (i->protocol == IPPROTO_TCP || i->protocol == 262);
}
bool info_is_udp(const struct info *i) { return is_ip(i) && i->type == SOCK_DGRAM && i->protocol == IPPROTO_UDP; }

bool sock_kernel_peer(int fd, struct addr *a) {
    struct sockaddr_storage ss;
    socklen_t n = sizeof ss;
    return getpeername(fd, (void *)&ss, &n) == 0 && addr_from_sockaddr(a, &ss, n);
}
bool sock_kernel_name(int fd, struct addr *a) {
    struct sockaddr_storage ss;
    socklen_t n = sizeof ss;
    return getsockname(fd, (void *)&ss, &n) == 0 && addr_from_sockaddr(a, &ss, n);
}

struct sock *sock_find(uint64_t cookie) {
    struct sock *s = buckets[cookie % BUCKETS];
    while (s && s->cookie != cookie) s = s->next;
    return s;
}
struct sock *sock_find_inode(uint64_t inode) {
    struct sock *s = inodes[inode % BUCKETS];
    while (s && s->inode != inode) s = s->next_inode;
    return s;
}
struct sock *sock_make(const struct info *i) {
    struct sock *s = sock_find(i->cookie);
    if (s) return s;
    if (count >= sweep_at) sock_sweep();
    s = calloc(1, sizeof *s);
    if (!s) abort();
    s->cookie = i->cookie;
    s->inode = i->inode;
    s->domain = i->domain;
    s->datagram = info_is_udp(i);
    s->next_inode = inodes[i->inode % BUCKETS];
    inodes[i->inode % BUCKETS] = s;
    s->next = buckets[i->cookie % BUCKETS];
    buckets[i->cookie % BUCKETS] = s;
    count++;
    return s;
}
static bool moved_any;
void sock_moved(struct sock *s) { moved_any |= s->datagram; }
bool sock_moved_any(void) { return moved_any; }
struct sock *sock_each(struct sock *previous) {
    uint64_t b = previous ? previous->cookie % BUCKETS : 0;
    if (previous && previous->next) return previous->next;
    for (b += previous ? 1 : 0; b < BUCKETS; b++)
        if (buckets[b]) return buckets[b];
    return NULL;
}

/* Calls `see` with the inode of every open socket that /proc shows us, ours included. */
void each_open_socket(void (*see)(pid_t pid, int fd, uint64_t inode, void *), void *context) {
    spare_keep(false);
    DIR *processes = opendir("/proc");
    struct dirent *p, *f;
    while (processes && (p = readdir(processes))) {
        char path[300], link[64];
        if (p->d_name[0] < '1' || p->d_name[0] > '9') continue;
        snprintf(path, sizeof path, "/proc/%s/fd", p->d_name);
        DIR *fds = opendir(path);
        while (fds && (f = readdir(fds))) {
            ssize_t k = readlinkat(dirfd(fds), f->d_name, link, sizeof link - 1);
            if (k <= 8 || memcmp(link, "socket:[", 8)) continue;
            link[k] = 0;
            see((pid_t)atoi(p->d_name), atoi(f->d_name), strtoull(link + 8, NULL, 10), context);
        }
        if (fds) closedir(fds);
    }
    if (processes) closedir(processes);
    spare_keep(true);
}
int64_t socket_inode(pid_t tid, int fd) {
    char path[40];
    struct stat st;
    snprintf(path, sizeof path, "/proc/%d/fd/%d", tid, fd);
    if (stat(path, &st)) return errno == ENOENT ? -EBADF : -errno;
    return S_ISSOCK(st.st_mode) ? (int64_t)st.st_ino : -ENOTSOCK;
}
/* The kernel's own tables, for sockets that we can only name by their inode. */
bool inode_peer(uint64_t inode, int *domain, struct addr *peer) {
    bool found = false;
    for (int six = 0; six < 2 && !found; six++) {
        FILE *f = fopen(six ? "/proc/self/net/tcp6" : "/proc/self/net/tcp", "re");
        char line[512], text[33];
        while (f && !found && fgets(line, sizeof line, f)) {
            unsigned port;
            unsigned long long seen;
            if (sscanf(line, " %*d: %*[^ ] %32[0-9A-F]:%x %*s %*s %*s %*s %*s %*s %llu", text, &port, &seen) != 3 || seen != inode) continue;
            struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
            struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};
            unsigned word[4] = {0}; /* printed as integers of this machine: reading them so gives network order back */
            sscanf(text, "%8x%8x%8x%8x", &word[0], &word[1], &word[2], &word[3]);
            memcpy(&in.sin_addr, word, sizeof in.sin_addr);
            memcpy(&in6.sin6_addr, word, sizeof in6.sin6_addr);
            found = six ? addr_from_sockaddr(peer, &in6, sizeof in6) : addr_from_sockaddr(peer, &in, sizeof in);
            *domain = six ? AF_INET6 : AF_INET;
        }
        if (f) fclose(f);
    }
    return found;
}
bool inode_is_unix(uint64_t inode) {
    FILE *f = fopen("/proc/self/net/unix", "re");
    char line[512];
    bool found = false;
    while (f && !found && fgets(line, sizeof line, f)) {
        unsigned long long seen;
        found = sscanf(line, " %*[^:]: %*s %*s %*s %*s %*s %llu", &seen) == 1 && seen == inode;
    }
    if (f) fclose(f);
    return found;
}
struct search { uint64_t inode; bool found; };
static void see_one(pid_t pid, int fd, uint64_t inode, void *context) {
    (void)pid, (void)fd;
    struct search *s = context;
    s->found |= inode == s->inode;
}
bool inode_open_somewhere(uint64_t inode) {
    struct search s = {inode, false};
    each_open_socket(see_one, &s);
    return s.found;
}
struct seen { uint64_t *inodes; size_t n, cap; };
static void see_all(pid_t pid, int fd, uint64_t inode, void *context) {
    (void)pid, (void)fd;
    struct seen *s = context;
    if (s->n == s->cap) {
        s->cap = s->cap ? s->cap * 2 : 4096;
        s->inodes = realloc(s->inodes, s->cap * sizeof *s->inodes);
        if (!s->inodes) abort();
    }
    s->inodes[s->n++] = inode;
}
static int compare(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}
static void unlink_inode(const struct sock *s) {
    struct sock **at = &inodes[s->inode % BUCKETS];
    while (*at != s) at = &(*at)->next_inode;
    *at = s->next_inode;
}
/* Forgets sockets that nobody holds. Only when the table has doubled, so its cost is spread; and only at the second
 * miss, because a descriptor that is just being passed over a unix socket is in no table. Listeners have their own
 * check, which reports them. */
void sock_sweep(void) {
    struct seen s = {NULL, 0, 0};
    each_open_socket(see_all, &s);
    qsort(s.inodes, s.n, sizeof *s.inodes, compare);
    for (unsigned b = 0; b < BUCKETS; b++) {
        struct sock **at = &buckets[b], *sock;
        while ((sock = *at)) {
            bool open = s.n && bsearch(&sock->inode, s.inodes, s.n, sizeof *s.inodes, compare);
            if (open || sock->listening || !sock->missed) {
                sock->missed = !open;
                at = &sock->next;
                continue;
            }
            *at = sock->next;
            unlink_inode(sock);
            free(sock->path);
            free(sock);
            count--;
        }
    }
    free(s.inodes);
    sweep_at = count * 2 > 1024 ? count * 2 : 1024;
}
