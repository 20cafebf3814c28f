/* Compiled twice: with LIBRARY as a shared library, else as a program that is linked to it, opens another with dlopen(3) and reads a file. */
#include <dlfcn.h>
#include <stdio.h>

#ifdef LIBRARY
int value(void);
int value(void) { return LIBRARY; }
#else
int value(void);
int main(int argc, char **argv) {
    char text[64] = "none";
    if (argc < 3) return 2;
    void *other = dlopen(argv[1], RTLD_NOW);
    int (*other_value)(void) = other ? (int (*)(void))dlsym(other, "value") : NULL;
    FILE *f = fopen(argv[2], "re");
    if (f && !fgets(text, sizeof text, f)) return 3;
    printf("%d %d %s\n", value(), other_value ? other_value() : -1, text);
    return 0;
}
#endif
