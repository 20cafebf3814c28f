/* act [WORDS...]: does one thing after the other: print TEXT, env NAME, cat FILE, write FILE TEXT, unix PATH, read FIFO, id, cwd, exit STATUS, pause. Linked statically, for images. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static void cat(const char *name) {
  char text[4096];
  FILE *file = fopen(name, "r");
  if (!file) {
    perror(name);
    return;
  }
  for (size_t n; (n = fread(text, 1, sizeof text, file)) > 0;) fwrite(text, 1, n, stdout);
  fclose(file);
}
static void put(const char *name, const char *text) {
  FILE *file = fopen(name, "w");
  if (!file || fputs(text, file) < 0 || fclose(file)) perror(name);
}
static void ask(const char *path) {
  struct sockaddr_un to = {.sun_family = AF_UNIX};
  char text[256];
  int sock = socket(AF_UNIX, SOCK_STREAM, 0);
  strncpy(to.sun_path, path, sizeof to.sun_path - 1);
  if (connect(sock, (struct sockaddr *)&to, sizeof to) || write(sock, "hello", 5) != 5) perror(path);
  else
    for (ssize_t n; (n = read(sock, text, sizeof text)) > 0;) printf("%.*s", (int)n, text);
  puts("");
  close(sock);
}
int main(int argc, char **argv) {
  setvbuf(stdout, NULL, _IOLBF, 0);
  for (int i = 1; i < argc; i++) {
    char *next = i + 1 < argc ? argv[i + 1] : NULL;
    if (!strcmp(argv[i], "print") && next) puts(argv[++i]);
    else if (!strcmp(argv[i], "env") && next) printf("%s=%s\n", next, getenv(next) ? getenv(next) : "(none)"), i++;
    else if (!strcmp(argv[i], "cat") && next) cat(argv[++i]);
    else if (!strcmp(argv[i], "write") && i + 2 < argc) put(next, argv[i + 2]), i += 2;
    else if (!strcmp(argv[i], "unix") && next) ask(argv[++i]);
    else if (!strcmp(argv[i], "read") && next) mkfifo(next, 0600), cat(argv[++i]);
    else if (!strcmp(argv[i], "id")) printf("%d %d\n", (int)getuid(), (int)getpid());
    else if (!strcmp(argv[i], "cwd")) puts(getcwd(NULL, 0));
    else if (!strcmp(argv[i], "exit") && next) exit(atoi(next));
    else if (!strcmp(argv[i], "pause")) pause();
    else return 2;
  }
  return 0;
}
