/*
 * server PORT NAME: see server.mjs. Linked statically: no loader, nothing that a preloaded library could reach. The name
 * is looked up by hand over UDP, with the name server and the search list of /etc/resolv.conf, as musl and Go do it.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static const char *who;

static void fail(const char *what) {
  perror(what);
  exit(1);
}

/* Asks `server` for the A record of `name`. Returns 1 with the first address, 0 where there is none. */
static int query(const char *server, const char *name, struct in_addr *address) {
  unsigned char packet[512] = {0x12, 0x34, 1, 0, 0, 1};
  size_t length = 12;
  for (const char *label = name; *label;) {
    size_t size = strcspn(label, ".");
    packet[length++] = (unsigned char)size;
    memcpy(packet + length, label, size);
    length += size;
    label += size + (label[size] == '.');
  }
  memcpy(packet + length, "\0\0\1\0\1", 5);
  length += 5;

  int sock = socket(AF_INET, SOCK_DGRAM, 0);
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(53)};
  inet_pton(AF_INET, server, &to.sin_addr);
  unsigned char answer[512];
  ssize_t got = -1;
  if (sendto(sock, packet, length, 0, (struct sockaddr *)&to, sizeof to) == (ssize_t)length) {
    struct pollfd wait = {.fd = sock, .events = POLLIN};
    struct sockaddr_in from = {0};
    socklen_t size = sizeof from;
    if (poll(&wait, 1, 5000) == 1) got = recvfrom(sock, answer, sizeof answer, 0, (struct sockaddr *)&from, &size);
    /* An answer that does not come from the server that was asked is dropped. */
    if (got > 0 && (from.sin_addr.s_addr != to.sin_addr.s_addr || from.sin_port != to.sin_port)) got = -1;
  }
  close(sock);
  if (got < 12 || (answer[6] == 0 && answer[7] == 0)) return 0;
  for (size_t at = length; at + 12 <= (size_t)got;) {
    if ((answer[at] & 0xc0) == 0xc0) at += 2;
    else
      while (at < (size_t)got && answer[at++])
        at += answer[at - 1];
    int type = answer[at] << 8 | answer[at + 1], size = answer[at + 8] << 8 | answer[at + 9];
    at += 10;
    if (type == 1 && size == 4) {
      memcpy(address, answer + at, 4);
      return 1;
    }
    at += (size_t)size;
  }
  return 0;
}

/* Looks a name up as it is where it has dots enough, else with each domain of the search list. */
static int look_up(const char *name, struct in_addr *address) {
  char line[1024], server[64] = "", domains[1024] = "";
  FILE *file = fopen("/etc/resolv.conf", "r");
  if (!file) return 0;
  while (fgets(line, sizeof line, file)) {
    if (!server[0]) sscanf(line, "nameserver %63s", server);
    if (!strncmp(line, "search ", 7)) strcpy(domains, line + 7);
  }
  fclose(file);
  for (char *rest = domains, *domain; (domain = strtok_r(rest, " \t\n", &rest));) {
    char full[512];
    snprintf(full, sizeof full, "%s.%s", name, domain);
    if (query(server, full, address)) return 1;
  }
  return query(server, name, address);
}

static void ask(const char *host, char *out, size_t size) {
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(80)};
  if (!look_up(host, &to.sin_addr)) {
    snprintf(out, size, "{\"who\":\"%s\",\"error\":\"%s was not found\"}", who, host);
    return;
  }
  int sock = socket(AF_INET, SOCK_STREAM, 0);
  if (connect(sock, (struct sockaddr *)&to, sizeof to)) {
    snprintf(out, size, "{\"who\":\"%s\",\"error\":\"connect failed\"}", who);
    close(sock);
    return;
  }
  char request[512], text[4096];
  int length = snprintf(request, sizeof request, "GET / HTTP/1.0\r\nHost: %s\r\n\r\n", host);
  if (write(sock, request, (size_t)length) != length) fail("write");
  size_t got = 0;
  for (ssize_t n; got < sizeof text - 1 && (n = read(sock, text + got, sizeof text - 1 - got)) > 0;) got += (size_t)n;
  text[got] = 0;
  close(sock);
  char *body = strstr(text, "\r\n\r\n");
  body = body ? body + 4 : text;
  body[strcspn(body, "\n\"")] = 0;
  snprintf(out, size, "{\"who\":\"%s\",\"addresses\":[\"%s\"],\"answer\":\"%s\"}", who, inet_ntoa(to.sin_addr), body);
}

static void serve(int client) {
  char data[65536];
  size_t got = 0;
  char *body = NULL;
  while (!body) {
    ssize_t n = read(client, data + got, sizeof data - 1 - got);
    if (n <= 0) return;
    got += (size_t)n;
    data[got] = 0;
    body = strstr(data, "\r\n\r\n");
  }
  char *header = strcasestr(data, "content-length:");
  long size = header && header < body ? atol(header + 15) : 0;
  for (long have = (long)got - (body + 4 - data); have < size;) {
    char sink[65536];
    ssize_t n = read(client, sink, sizeof sink);
    if (n <= 0) return;
    have += n;
  }
  char text[8192], path[256] = "/";
  sscanf(data, "%*s %255s", path);
  if (!strncmp(path, "/exit/", 6)) exit(atoi(path + 6));
  if (!strncmp(path, "/ask/", 5)) {
    ask(path + 5, text, sizeof text);
  } else {
    struct sockaddr_in peer;
    socklen_t length = sizeof peer;
    if (getpeername(client, (struct sockaddr *)&peer, &length)) fail("getpeername");
    const char *variable = getenv("FROM_POD");
    snprintf(text, sizeof text, "{\"who\":\"%s\",\"fromPod\":\"%s\",\"peer\":\"%s\",\"bytes\":%ld}", who,
             variable ? variable : "", inet_ntoa(peer.sin_addr), size);
  }
  dprintf(client, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %zu\r\n\r\n%s", strlen(text), text);
}

int main(int argc, char **argv) {
  if (argc != 3) return 2;
  who = argv[2];
  int listener = socket(AF_INET, SOCK_STREAM, 0), on = 1;
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((unsigned short)atoi(argv[1]))};
  if (bind(listener, (struct sockaddr *)&address, sizeof address)) fail("bind");
  if (listen(listener, 64)) fail("listen");
  printf("%s listens on %s\n", who, argv[1]);
  fflush(stdout);
  for (;;) {
    int client = accept(listener, NULL, NULL);
    if (client < 0) fail("accept");
    serve(client);
    close(client);
  }
}
