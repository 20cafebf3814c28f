/* config.c - the first message of the session: what to run and the tables to decide by. */
#include "trap.h"

struct config config;

static void *table(uint32_t count, size_t size) {
    void *p = calloc((size_t)count + 1, size);
    if (!p) abort();
    return p;
}
static struct blob get_blob(struct reader *r) {
    struct blob b = {NULL, 0};
    b.data = get_bytes(r, &b.length);
    return b;
}
/* NAME=VALUE of the program's environment, or NAME alone: without it. */
static bool change_environment(char *variable) {
    if (!*variable || *variable == '=') return false;
    return strchr(variable, '=') ? putenv(variable) == 0 : unsetenv(variable) == 0;
}
/* A name without a slash is looked for here, as execvp(3) does: the session cannot, where the program has another root than it. What is
 * not found is left as it is, and its execve says so. */
static void find_program(void) {
    if (!*config.program || strchr(config.program, '/')) return;
    const char *directory = getenv("PATH") ? getenv("PATH") : "/bin:/usr/bin";
    char *denied = NULL;
    for (bool last = false; !last;) {
        size_t n = strcspn(directory, ":");
        char *file;
        last = !directory[n];
        if (asprintf(&file, "%s%s%.*s/%s", *directory == '/' ? "" : config.cwd, *directory == '/' ? "" : "/", (int)n, directory, config.program) < 0) abort();
        directory += n + !last;
        struct stat s;
        bool found = stat(file, &s) == 0 && S_ISREG(s.st_mode);
        if (found && faccessat(AT_FDCWD, file, X_OK, AT_EACCESS) == 0) {
            config.program = file;
            return;
        }
        if (found && !denied) denied = file;
        else free(file);
    }
    if (denied) config.program = denied;
}
bool config_read(struct reader *r) {
    if (get_u32(r) != WIRE_VERSION) return false;
    uint32_t flags = get_u32(r);
    config.new_session = flags & FLAG_NEW_SESSION;
    config.incoming = flags & FLAG_INCOMING;
    config.tcp = flags & FLAG_TCP;
    config.udp = flags & FLAG_UDP;
    config.intercept = flags & FLAG_INTERCEPT;
    config.files_write = flags & FLAG_FILES_WRITE;
    config.hold_ms = get_u32(r);
    config.limit_ms.connect = get_u32(r);
    config.limit_ms.listen = get_u32(r);
    config.limit_ms.file = get_u32(r);
    config.limit_ms.datagram = get_u32(r);
    config.program = get_string(r);
    config.cwd = get_string(r);
    uint32_t n = get_count(r);
    config.argv = table(n, sizeof *config.argv);
    for (uint32_t i = 0; i < n; i++) config.argv[i] = get_string(r);
    if (n == 0) r->bad = true;
    config.noverlays = get_count(r);
    config.overlays = table(config.noverlays, sizeof *config.overlays);
    for (uint32_t i = 0; i < config.noverlays; i++) {
        struct overlay *o = &config.overlays[i];
        o->path = get_string(r);
        o->source = get_string(r);
        if (r->bad || o->path[0] != '/') return false;
        o->name = strrchr(o->path, '/') + 1;
    }
    config.nlocals = get_count(r);
    config.locals = table(config.nlocals, sizeof *config.locals);
    for (uint32_t i = 0; i < config.nlocals; i++) {
        config.locals[i].base = get_addr(r);
        config.locals[i].prefix = get_u8(r);
        config.locals[i].port = config.locals[i].base.port;
        if (config.locals[i].prefix > (config.locals[i].base.family == 4 ? 32 : 128)) r->bad = true;
    }
    config.files = get_string(r);
    config.rules = get_blob(r);
    config.mapping = get_blob(r);
    config.unix_streams = get_blob(r);
    config.nskip = get_count(r);
    config.skip = table(config.nskip, sizeof *config.skip);
    for (uint32_t i = 0; i < config.nskip; i++) config.skip[i] = get_string(r);
    config.hostname = get_string(r);
    for (uint32_t i = get_count(r); i > 0 && !r->bad; i--) {
        char *variable = get_string(r);
        if (r->bad || !change_environment(variable)) return false;
    }
    config.network = get_string(r);
    if (r->bad || r->at != r->end) return false;
    if (!*config.cwd && !(config.cwd = getcwd(NULL, 0))) config.cwd = "/"; /* in a container: where its runtime has put us */
    find_program();
    return files_configure() && unix_configure() && strlen(config.hostname) <= 64;
}
bool config_is_local(const struct addr *a) {
    for (uint32_t i = 0; i < config.nlocals; i++) {
        const struct network *n = &config.locals[i];
        if (n->base.family != a->family || (n->port && n->port != a->port)) continue;
        unsigned whole = n->prefix / 8, rest = n->prefix % 8;
        uint8_t mask = (uint8_t)(0xff00 >> rest);
        if (!memcmp(n->base.ip, a->ip, whole) && (!rest || !((n->base.ip[whole] ^ a->ip[whole]) & mask))) return true;
    }
    return false;
}
