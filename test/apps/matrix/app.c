/* The matrix program in C; README.md says what the steps do. Plain POSIX, so that glibc and musl build it, static or not. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <arpa/nameser.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <resolv.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *name = "C";
static char result[4096];

static void failed(const char *what) { snprintf(result, sizeof result, "%s: %s", what, strerror(errno)); }
static void trim(void) {
    size_t n = strlen(result);
    while (n && (result[n - 1] == '\n' || result[n - 1] == ' ')) result[--n] = 0;
}
static struct addrinfo *find(const char *text, int type) {
    char host[300], *port;
    struct addrinfo hints = {.ai_socktype = type}, *found;
    snprintf(host, sizeof host, "%s", text);
    port = strrchr(host, ':');
    *port++ = 0;
    char *h = host;
    if (*h == '[') h++, h[strlen(h) - 1] = 0;
    int e = getaddrinfo(h, port, &hints, &found);
    if (e) {
        snprintf(result, sizeof result, "%s", gai_strerror(e));
        return NULL;
    }
    return found;
}
static void limit(int fd) {
    struct timeval t = {20, 0};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t);
}
static void tcp(const char *text) {
    struct addrinfo *a = find(text, SOCK_STREAM);
    if (!a) return;
    int fd = socket(a->ai_family, SOCK_STREAM, 0);
    limit(fd);
    if (connect(fd, a->ai_addr, a->ai_addrlen)) failed("connect");
    else {
        ssize_t n = write(fd, "ping\n", 5);
        n = read(fd, result, sizeof result - 1);
        if (n < 0) failed("read");
        else result[n] = 0;
        trim();
    }
    close(fd);
    freeaddrinfo(a);
}
static void udp(const char *text) {
    struct addrinfo *a = find(text, SOCK_DGRAM);
    if (!a) return;
    int fd = socket(a->ai_family, SOCK_DGRAM, 0);
    limit(fd);
    ssize_t n;
    if (connect(fd, a->ai_addr, a->ai_addrlen) || send(fd, "ping", 4, 0) < 0 || (n = recv(fd, result, sizeof result - 1, 0)) < 0) failed("udp");
    else result[n] = 0;
    close(fd);
    freeaddrinfo(a);
}
static void udpto(const char *text) {
    struct addrinfo *a = find(text, SOCK_DGRAM);
    if (!a) return;
    int fd = socket(a->ai_family, SOCK_DGRAM, 0);
    limit(fd);
    struct sockaddr_storage source;
    socklen_t length = sizeof source;
    char host[64], port[16];
    ssize_t n;
    if (sendto(fd, "ping", 4, 0, a->ai_addr, a->ai_addrlen) < 0 || (n = recvfrom(fd, result, 100, 0, (void *)&source, &length)) < 0) failed("udpto");
    else {
        getnameinfo((void *)&source, length, host, sizeof host, port, sizeof port, NI_NUMERICHOST | NI_NUMERICSERV);
        snprintf(result + n, sizeof result - (size_t)n, " from %s:%s", host, port);
    }
    close(fd);
    freeaddrinfo(a);
}
static void dns(const char *host) {
    struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM}, *found;
    int e = getaddrinfo(host, NULL, &hints, &found);
    if (e) {
        snprintf(result, sizeof result, "%s", gai_strerror(e));
        return;
    }
    inet_ntop(AF_INET, &((struct sockaddr_in *)found->ai_addr)->sin_addr, result, sizeof result);
    freeaddrinfo(found);
}
static void srv(const char *host) {
    unsigned char answer[4096];
    int n = res_query(host, ns_c_in, ns_t_srv, answer, sizeof answer);
    ns_msg message;
    ns_rr record;
    if (n < 0 || ns_initparse(answer, n, &message) || ns_parserr(&message, ns_s_an, 0, &record)) snprintf(result, sizeof result, "no answer");
    else snprintf(result, sizeof result, "%u", ns_get16(ns_rr_rdata(record) + 4));
}
static void readfile(const char *path) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, result, sizeof result - 1);
    if (n < 0) failed("read");
    else result[n] = 0;
    trim();
    if (fd >= 0) close(fd);
}
static void statfile(const char *path) {
    struct stat s;
    if (stat(path, &s)) failed("stat");
    else snprintf(result, sizeof result, "%lld %o", (long long)s.st_size, s.st_mode & 07777);
}
static int visible(const struct dirent *d) { return strcmp(d->d_name, ".") && strcmp(d->d_name, ".."); }
static void list(const char *path) {
    struct dirent **entries;
    int n = scandir(path, &entries, visible, alphasort);
    if (n < 0) failed("list");
    for (int i = 0; i < n; i++) {
        size_t used = strlen(result);
        snprintf(result + used, sizeof result - used, "%s%s", i ? "," : "", entries[i]->d_name);
        free(entries[i]);
    }
    if (n >= 0) free(entries);
}
static void writefile(const char *path) {
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0 || dprintf(fd, "written by %s\n", name) < 0 || close(fd)) failed("write");
    else readfile(path);
}
static void child(const char *path) {
    int ends[2], status;
    if (pipe(ends)) return failed("pipe");
    pid_t pid = fork();
    if (pid == 0) {
        dup2(ends[1], 1);
        execlp("cat", "cat", path, (char *)NULL);
        _exit(127);
    }
    close(ends[1]);
    ssize_t n = read(ends[0], result, sizeof result - 1);
    result[n > 0 ? n : 0] = 0;
    close(ends[0]);
    waitpid(pid, &status, 0);
    trim();
}
static volatile sig_atomic_t ended;
static void on_term(int number) { (void)number; ended = 1; }
static void serve(const char *port) {
    int one = 1, zero = 0, l = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in6 any = {.sin6_family = AF_INET6, .sin6_port = htons((unsigned short)atoi(port))};
    struct sigaction action = {.sa_handler = on_term}; /* no SA_RESTART: accept ends */
    setsockopt(l, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    setsockopt(l, IPPROTO_IPV6, IPV6_V6ONLY, &zero, sizeof zero);
    sigaction(SIGTERM, &action, NULL);
    if (bind(l, (void *)&any, sizeof any) || listen(l, 50)) return failed("listen");
    while (!ended) {
        struct sockaddr_in6 peer;
        socklen_t length = sizeof peer;
        char request[4096], host[64], body[200];
        int c = accept(l, (void *)&peer, &length);
        if (c < 0) continue;
        inet_ntop(AF_INET6, &peer.sin6_addr, host, sizeof host);
        if (read(c, request, sizeof request) > 0) {
            int n = snprintf(body, sizeof body, "%s peer %s", name, strncmp(host, "::ffff:", 7) ? host : host + 7);
            dprintf(c, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s", n, body);
        }
        close(c);
    }
    snprintf(result, sizeof result, "sigterm");
}
int main(int argc, char **argv) {
    static const struct { const char *step; void (*run)(const char *); } steps[] = {
        {"tcp", tcp}, {"tcp6", tcp}, {"refused", tcp}, {"unreachable", tcp}, {"udp", udp}, {"udpto", udpto}, {"dns", dns}, {"srv", srv},
        {"read", readfile}, {"missing", readfile}, {"stat", statfile}, {"list", list}, {"write", writefile}, {"child", child}, {"serve", serve},
    };
    for (int i = 1; i < argc; i++) {
        char *value = strchr(argv[i], '=');
        *value++ = 0;
        if (!strcmp(argv[i], "name")) {
            name = value;
            continue;
        }
        result[0] = 0;
        for (size_t s = 0; s < sizeof steps / sizeof steps[0]; s++)
            if (!strcmp(argv[i], steps[s].step)) steps[s].run(value);
        printf("%s %s\n", argv[i], result);
        fflush(stdout);
    }
    return 0;
}
