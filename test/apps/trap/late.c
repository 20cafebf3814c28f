/* late LIBRARY PORT - loads a shared library when the program has long begun, and lets it serve. */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv) {
    void *library = argc == 3 ? dlopen(argv[1], RTLD_NOW) : NULL;
    char *(*serve)(int) = library ? (char *(*)(int))dlsym(library, "Serve") : NULL;
    if (!serve) {
        fprintf(stderr, "%s\n", dlerror());
        return 1;
    }
    puts(serve(atoi(argv[2])));
    return 0;
}
