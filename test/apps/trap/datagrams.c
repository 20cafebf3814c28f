/* datagrams MODE IP PORT - what the calls of UDP sockets give, one group a mode. The remote end sends every datagram back. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/ip.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static struct sockaddr_in remote;
static int s;

static const char *name(const struct sockaddr_in *a) {
    static char out[4][40];
    static int i;
    char *o = out[i++ % 4];
    snprintf(o, 40, "%s:%d", inet_ntoa(a->sin_addr), ntohs(a->sin_port));
    return o;
}
static const char *result(ssize_t k) {
    static char out[20];
    if (k < 0) return strerrorname_np(errno);
    snprintf(out, sizeof out, "%zd", k);
    return out;
}
static void on_alarm(int number) { (void)number; }
static void alarm_in(int ms, int flags) {
    struct sigaction a = {.sa_handler = on_alarm, .sa_flags = flags};
    struct itimerval once = {{0, 0}, {0, ms * 1000}};
    sigaction(SIGALRM, &a, NULL);
    setitimer(ITIMER_REAL, &once, NULL);
}
static void say(const char *text) { printf("sendto %s\n", result(sendto(s, text, strlen(text), 0, (void *)&remote, sizeof remote))); }
static void hear(const char *what, int flags, size_t room) {
    char buffer[100];
    struct sockaddr_in from = {0};
    socklen_t n = sizeof from;
    ssize_t k = recvfrom(s, buffer, room, flags, (void *)&from, &n);
    if (k < 0) printf("%s %s\n", what, strerrorname_np(errno));
    else printf("%s %zd %.*s from %s\n", what, k, (int)((size_t)k < room ? (size_t)k : room), buffer, name(&from));
}

int main(int argc, char **argv) {
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (argc < 4) return 2;
    const char *mode = argv[1];
    remote = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[3]))};
    inet_pton(AF_INET, argv[2], &remote.sin_addr);
    s = socket(AF_INET, SOCK_DGRAM, 0);
    if (!strcmp(mode, "flags")) {
        say("hello");
        hear("peek", MSG_PEEK, 100);
        hear("truncated", MSG_TRUNC, 2);
        hear("nothing", MSG_DONTWAIT, 100);
        say("");
        hear("empty", 0, 100);
        char big[70000] = "";
        printf("too long %s\n", result(sendto(s, big, 65508, 0, (void *)&remote, sizeof remote)));
        printf("much too long %s\n", result(sendto(s, big, sizeof big, 0, (void *)&remote, sizeof remote)));
        printf("bad data %s\n", result(sendto(s, (void *)8, 4, 0, (void *)&remote, sizeof remote)));
        printf("longest %s\n", result(sendto(s, big, 65507, 0, (void *)&remote, sizeof remote)));
        printf("back %s\n", result(recv(s, big, sizeof big, 0)));
        say("hi");
        printf("bad buffer %s\n", result(recvfrom(s, (void *)8, 4, 0, (void *)&remote, &(socklen_t){sizeof remote})));
    } else if (!strcmp(mode, "timeouts")) {
        struct timeval t = {0, 60000}, none = {0, 0};
        setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t);
        hear("timeout", 0, 100);
        t.tv_sec = 20;
        setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t);
        alarm_in(30, SA_RESTART);
        hear("interrupted with a timeout", 0, 100);
        setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &none, sizeof none);
        alarm_in(30, 0);
        hear("interrupted", 0, 100);
        alarm_in(30, SA_RESTART);
        struct sockaddr_in own;
        socklen_t n = sizeof own;
        if (fork() == 0) { /* says when the handler has run and the call waits again */
            usleep(100000);
            sendto(s, "late", 4, 0, (void *)&remote, sizeof remote);
            _exit(0);
        }
        hear("restarted", 0, 100);
        getsockname(s, (void *)&own, &n);
    } else if (!strcmp(mode, "many")) { /* recvmmsg */
        char in[3][100];
        struct iovec v[3];
        struct mmsghdr q[3];
        struct sockaddr_in from[3];
        struct timespec second = {1, 0}, zero = {0, 0};
        for (int i = 0; i < 3; i++) {
            v[i] = (struct iovec){in[i], 100};
            q[i] = (struct mmsghdr){.msg_hdr = {.msg_name = &from[i], .msg_namelen = sizeof from[i], .msg_iov = &v[i], .msg_iovlen = 1}};
        }
        say("a");
        say("b");
        say("c");
        printf("all %s\n", result(recvmmsg(s, q, 3, 0, NULL)));
        for (int i = 0; i < 3; i++) printf("%u %.*s from %s\n", q[i].msg_len, (int)q[i].msg_len, in[i], name(&from[i]));
        say("d");
        hear("peek", MSG_PEEK, 100);
        printf("at least one %s\n", result(recvmmsg(s, q, 3, MSG_WAITFORONE, NULL)));
        say("e");
        hear("peek", MSG_PEEK, 100);
        printf("until zero %s\n", result(recvmmsg(s, q, 3, 0, &zero)));
        say("f");
        hear("peek", MSG_PEEK, 100);
        alarm_in(50, 0);
        printf("interrupted after one %s\n", result(recvmmsg(s, q, 3, 0, NULL)));
        say("g");
        say("h");
        printf("in a second %s", result(recvmmsg(s, q, 2, 0, &second)));
        printf(" left %d\n", second.tv_sec == 0 && second.tv_nsec > 0);
        second.tv_nsec = -1;
        printf("bad timeout %s\n", result(recvmmsg(s, q, 2, 0, &second)));
    } else if (!strcmp(mode, "control")) { /* packet information and scattered data */
        int one = 1;
        setsockopt(s, IPPROTO_IP, IP_PKTINFO, &one, sizeof one);
        setsockopt(s, IPPROTO_IP, IP_RECVTTL, &one, sizeof one);
        char first[] = "scat", second[] = "tered", in[100] = "", small[24], control[200];
        struct iovec v[3] = {{first, 4}, {NULL, 0}, {second, 5}}, w[2] = {{in, 3}, {in + 3, 90}};
        struct msghdr h = {.msg_name = &remote, .msg_namelen = sizeof remote, .msg_iov = v, .msg_iovlen = 3, .msg_control = control};
        struct cmsghdr *c = (void *)control;
        h.msg_controllen = CMSG_SPACE(sizeof(struct in_pktinfo)) + CMSG_SPACE(sizeof(int));
        memset(control, 0, sizeof control);
        *c = (struct cmsghdr){CMSG_LEN(sizeof(struct in_pktinfo)), IPPROTO_IP, IP_PKTINFO};
        struct in_pktinfo info = {.ipi_spec_dst.s_addr = inet_addr("192.0.2.1")}; /* not of this machine: EINVAL if it were used */
        memcpy(CMSG_DATA(c), &info, sizeof info);
        c = CMSG_NXTHDR(&h, c);
        *c = (struct cmsghdr){CMSG_LEN(sizeof(int)), IPPROTO_IP, IP_TTL};
        memcpy(CMSG_DATA(c), &(int){9}, sizeof(int));
        printf("sendmsg %s\n", result(sendmsg(s, &h, 0)));
        struct sockaddr_in from = {0};
        struct msghdr g = {.msg_name = &from, .msg_namelen = sizeof from, .msg_iov = w, .msg_iovlen = 2, .msg_control = control, .msg_controllen = sizeof control};
        ssize_t k = recvmsg(s, &g, MSG_PEEK);
        printf("recvmsg %s %s from %s\n", result(k), in, name(&from));
        for (c = CMSG_FIRSTHDR(&g); c; c = CMSG_NXTHDR(&g, c)) {
            if (c->cmsg_type == IP_PKTINFO) {
                memcpy(&info, CMSG_DATA(c), sizeof info);
                printf("pktinfo %s\n", inet_ntoa(info.ipi_addr));
            } else printf("type %s\n", c->cmsg_type == IP_TTL ? "ttl" : "?");
        }
        g.msg_control = small;
        g.msg_controllen = sizeof small;
        w[1].iov_len = 2;
        printf("cut %s", result(recvmsg(s, &g, 0)));
        printf(" trunc %d ctrunc %d\n", !!(g.msg_flags & MSG_TRUNC), !!(g.msg_flags & MSG_CTRUNC));
        h.msg_controllen = sizeof control;
        ((struct cmsghdr *)control)->cmsg_len = 1 << 30;
        printf("bad control %s\n", result(sendmsg(s, &h, 0)));
        h.msg_iovlen = 1025;
        printf("bad vector %s\n", result(sendmsg(s, &h, 0)));
    } else if (!strcmp(mode, "peers")) { /* connect, another peer, none, a local one */
        struct sockaddr_in other = remote, none = {.sin_family = AF_UNSPEC}, own;
        socklen_t n = sizeof own;
        other.sin_port = htons((uint16_t)(ntohs(remote.sin_port) + 1));
        printf("connect %s\n", result(connect(s, (void *)&remote, sizeof remote)));
        say("to the peer");
        hear("got", 0, 100);
        printf("connect %s\n", result(connect(s, (void *)&other, sizeof other)));
        printf("send %s\n", result(send(s, "other", 5, 0)));
        hear("got", 0, 100);
        printf("dissolve %s\n", result(connect(s, (void *)&none, sizeof none.sin_family)));
        printf("peer %s\n", result(getpeername(s, (void *)&own, &n)));
        say("unconnected");
        hear("got", 0, 100);
        printf("connect %s\n", result(connect(s, (void *)&remote, sizeof remote)));
        struct sockaddr_in local = {.sin_family = AF_INET, .sin_port = htons(9), .sin_addr.s_addr = inet_addr(argv[4])};
        printf("connect locally %s\n", result(connect(s, (void *)&local, sizeof local)));
        n = sizeof own;
        getpeername(s, (void *)&own, &n);
        printf("peer %s\n", name(&own));
        n = sizeof own;
        getsockname(s, (void *)&own, &n);
        printf("own %s\n", inet_ntoa(own.sin_addr));
    } else if (!strcmp(mode, "mixed")) { /* sendmmsg to ourselves and to the remote end */
        struct sockaddr_in own = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        socklen_t n = sizeof own;
        bind(s, (void *)&own, sizeof own);
        getsockname(s, (void *)&own, &n);
        struct iovec v[2] = {{"self", 4}, {"remote", 6}};
        struct mmsghdr q[2] = {{.msg_hdr = {.msg_name = &own, .msg_namelen = sizeof own, .msg_iov = &v[0], .msg_iovlen = 1}},
                               {.msg_hdr = {.msg_name = &remote, .msg_namelen = sizeof remote, .msg_iov = &v[1], .msg_iovlen = 1}}};
        int sent = 0;
        while (sent < 2) {
            int k = sendmmsg(s, q + sent, (unsigned)(2 - sent), 0);
            if (k < 1) return 3;
            sent += k;
        }
        char buffer[100];
        struct sockaddr_in from;
        for (int i = 0; i < 2; i++) {
            n = sizeof from;
            ssize_t k = recvfrom(s, buffer, sizeof buffer, 0, (void *)&from, &n);
            printf("%.*s from %s\n", (int)k, buffer, from.sin_port == own.sin_port ? "ourselves" : name(&from));
        }
    } else if (!strcmp(mode, "burst")) { /* argv[4] datagrams in batches of 100: nothing blocks, order is kept */
        int wanted = atoi(argv[4]), got = 0, last = -1, ordered = 1;
        struct timeval t = {0, 300000};
        setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t);
        for (int i = 0; i < wanted; i++) {
            if (sendto(s, &i, sizeof i, 0, (void *)&remote, sizeof remote) != sizeof i) return 3;
            if (i % 100 != 99) continue;
            for (int j = 0; j < 100; j++) {
                int k;
                if (recvfrom(s, &k, sizeof k, 0, (void *)&(struct sockaddr_in){0}, &(socklen_t){sizeof remote}) != sizeof k) break;
                ordered &= k > last;
                last = k;
                got++;
            }
        }
        printf("got %d ordered %d\n", got, ordered);
    } else if (!strcmp(mode, "flood")) { /* argv[4] datagrams at once */
        int wanted = atoi(argv[4]), sent = 0;
        for (int i = 0; i < wanted; i++) sent += sendto(s, &i, sizeof i, 0, (void *)&remote, sizeof remote) == sizeof i;
        printf("sent %d\n", sent);
    } else if (!strcmp(mode, "bound")) { /* to argv[4]:argv[5] */
        struct sockaddr_in own = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[5])), .sin_addr.s_addr = inet_addr(argv[4])}, shown;
        socklen_t n = sizeof shown;
        printf("bind %s\n", result(bind(s, (void *)&own, sizeof own)));
        getsockname(s, (void *)&shown, &n);
        printf("own %s\n", name(&shown));
        say("unconnected");
        hear("got", 0, 100);
        int t = socket(AF_INET, SOCK_DGRAM, 0), u = s; /* to the address that it asked for */
        remote = own;
        s = t;
        say("to ourselves");
        s = u;
        char buffer[100];
        printf("got %s\n", result(recv(s, buffer, sizeof buffer, 0)));
        inet_pton(AF_INET, argv[2], &remote.sin_addr);
        remote.sin_port = htons((uint16_t)atoi(argv[3]));
        printf("connect %s\n", result(connect(s, (void *)&remote, sizeof remote)));
        printf("send %s\n", result(send(s, "hello", 5, 0)));
        hear("got", 0, 100);
        n = sizeof shown;
        getsockname(s, (void *)&shown, &n);
        printf("own %s\n", name(&shown));
        t = socket(AF_INET, SOCK_DGRAM, 0);
        printf("second %s\n", result(bind(t, (void *)&own, sizeof own)));
    } else if (!strcmp(mode, "spread")) { /* one datagram to each of argv[4] ports */
        int sent = 0;
        for (int i = 0; i < atoi(argv[4]); i++) {
            remote.sin_port = htons((uint16_t)(atoi(argv[3]) + i));
            sent += sendto(s, "x", 1, 0, (void *)&remote, sizeof remote) == 1;
        }
        printf("sent %d\n", sent);
    }
    return 0;
}
