/* script.c - the script that an interpreter runs: its first argument that is no option (nor, for Deno and Bun, a command), when that is a full path
 * with a script's ending, and the program is a known interpreter or the one that the script's own first line names. For any other program
 * (cat, cp) it is a file like others. */
#include "trap.h"

#define LINE 256 /* BINPRM_BUF_SIZE: what the kernel reads of a script */

static const char *base_name(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}
static bool is_script_name(const char *path) {
    static const char *const endings[] = {".js", ".mjs", ".cjs", ".ts", ".mts", ".cts", ".jsx", ".tsx", ".py", ".rb", ".pl", ".php", ".lua", ".sh", ".jar"};
    const char *ending = strrchr(path, '.');
    for (size_t i = 0; ending && i < sizeof endings / sizeof *endings; i++)
        if (!strcmp(ending, endings[i])) return true;
    return false;
}
/* Of what runs files with these endings; a version at the end (python3.12, php8.3) does not count. */
static bool is_interpreter(const char *name) {
    static const char *const known[] = {"node", "nodejs", "bun", "deno", "electron", "qjs", "python", "pypy", "ruby", "jruby", "perl", "php", "lua", "luajit",
                                        "java", "sh", "bash", "dash", "ash", "zsh", "ksh", "mksh", "fish"};
    size_t n = strlen(name);
    while (n && (name[n - 1] == '.' || name[n - 1] == '-' || (name[n - 1] >= '0' && name[n - 1] <= '9'))) n--;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strlen(known[i]) == n && !memcmp(known[i], name, n)) return true;
    return false;
}
/* `#!/opt/lang/run -x`, `#!/usr/bin/env run`: any word of the line. */
static bool names_program(const char *script, const char *program) {
    char line[LINE + 1], *rest;
    int fd = open(script, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    ssize_t n = fd < 0 ? -1 : pread(fd, line, LINE, 0);
    if (fd >= 0) close(fd);
    if (n < 2 || memcmp(line, "#!", 2)) return false;
    line[n] = 0;
    line[strcspn(line, "\n")] = 0;
    for (char *word = strtok_r(line + 2, " \t", &rest); word; word = strtok_r(NULL, " \t", &rest))
        if (!strcmp(base_name(word), program)) return true;
    return false;
}
static const char *after_options(const char *word, const char *end) {
    while (word < end && *word == '-') word += strlen(word) + 1;
    return word;
}
/* `deno run --allow-net /app/main.ts` */
static bool has_commands(const char *program) { return !strcmp(program, "deno") || !strcmp(program, "bun"); }
static bool is_command(const char *word) {
    for (; *word; word++)
        if (*word < 'a' || *word > 'z') return false;
    return true;
}
bool script_of(pid_t tid, char script[PATH_MAX]) {
    char line[PATH_MAX], link[PATH_MAX];
    struct stat st;
    int fd = proc_open(tid, "cmdline", O_RDONLY);
    ssize_t n = fd < 0 ? 0 : read(fd, line, sizeof line - 1);
    if (fd >= 0) proc_close(fd);
    if (n <= 0) return false;
    line[n] = 0;
    if (path_link(tid, "exe", link) <= 0) return false;
    const char *program = base_name(link);
    if (!strcmp(program, "busybox")) program = base_name(line); /* goes by its first word */
    const char *end = line + n, *word = after_options(line + strlen(line) + 1, end);
    if (word < end && has_commands(program) && is_command(word)) word = after_options(word + strlen(word) + 1, end);
    if (word >= end || *word != '/' || !is_script_name(word)) return false;
    if (stat(word, &st) || !S_ISREG(st.st_mode)) return false; /* the target's script */
    if (!is_interpreter(program) && !names_program(word, program)) return false;
    strcpy(script, word);
    return true;
}
