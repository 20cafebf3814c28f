/*
 * names HOST MISSING TIMES: what the C library makes of names. HOST and MISSING are full names. HOST is looked up under TIMES
 * spellings (DNS knows no case), which are as many names for whoever keeps a list of them.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <ctype.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void by_name(const char *what, const char *name) {
  char text[INET_ADDRSTRLEN];
  const struct hostent *entry = gethostbyname(name);
  if (!entry) {
    printf("%s NULL %d\n", what, h_errno);
    return;
  }
  printf("%s family %d length %d", what, entry->h_addrtype, entry->h_length);
  for (char **address = entry->h_addr_list; *address; address++)
    printf(" %s", inet_ntop(AF_INET, *address, text, sizeof text));
  puts("");
}

/* The address of a name, in `text`; else the name of the error. */
static const char *look_up(const char *name, int flags, char *text, struct sockaddr_storage *first) {
  struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = flags}, *found;
  int error = getaddrinfo(name, "80", &hints, &found);
  if (error) return error == EAI_NONAME ? "EAI_NONAME" : error == EAI_NODATA ? "EAI_NODATA" : gai_strerror(error);
  getnameinfo(found->ai_addr, found->ai_addrlen, text, NI_MAXHOST, NULL, 0, NI_NUMERICHOST);
  if (first) memcpy(first, found->ai_addr, found->ai_addrlen);
  freeaddrinfo(found);
  return text;
}

int main(int argc, char **argv) {
  if (argc != 4) return 2;
  const char *host = argv[1], *missing = argv[2];
  char text[NI_MAXHOST], spelled[NI_MAXHOST], expected[NI_MAXHOST];
  struct sockaddr_storage first;

  by_name("gethostbyname", host);
  by_name("gethostbyname of none", missing);
  printf("missing %s\n", look_up(missing, 0, text, NULL));
  printf("numeric flag 192.0.2.7 %s\n", look_up("192.0.2.7", AI_NUMERICHOST, text, NULL));
  printf("numeric flag name %s\n", look_up(host, AI_NUMERICHOST, text, NULL));
  printf("literal 192.0.2.8 %s\n", look_up("192.0.2.8", 0, text, NULL));
  printf("literal 2001:db8::9 %s\n", look_up("2001:db8::9", 0, text, NULL));

  int good = 0, times = atoi(argv[3]);
  snprintf(expected, sizeof expected, "%s", look_up(host, 0, text, NULL));
  for (int i = 0; i < times; i++) {
    snprintf(spelled, sizeof spelled, "%s", host);
    int bits = i;
    for (char *c = spelled; *c && bits; c++)
      if (isalpha((unsigned char)*c)) {
        if (bits & 1) *c = (char)toupper((unsigned char)*c);
        bits >>= 1;
      }
    good += !strcmp(look_up(spelled, 0, text, &first), expected);
  }
  printf("many %d of %d\n", good, times);
  int s = socket(AF_INET, SOCK_STREAM, 0);
  printf("connect %s\n", connect(s, (void *)&first, sizeof(struct sockaddr_in)) ? "failed" : "ok");
  return 0;
}
