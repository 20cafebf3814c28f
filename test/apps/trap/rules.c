/* rules.c - the pattern matcher of the trap by itself. Standard input: groups of u32 length, automaton, u32 count, and so many texts, each
 * u32 length, bytes; little-endian. Standard output: a line for each group, "malformed" or the labels. With an argument, each group is
 * matched so many times more and the line ends with the nanoseconds of one match. Built together with native/trap/files/rules.c. */
#include "trap.h"
#include <time.h>

static uint32_t number(void) {
    uint32_t v;
    if (fread(&v, 4, 1, stdin) != 1) exit(0);
    return v;
}
/* A block of exactly the size, so that AddressSanitizer sees a read behind it. */
static uint8_t *block(uint32_t n) {
    uint8_t *p = malloc(n);
    if (n && (!p || fread(p, n, 1, stdin) != 1)) exit(2);
    return p;
}
int main(int argc, char **argv) {
    unsigned rounds = argc > 1 ? atoi(argv[1]) : 0;
    for (;;) {
        uint32_t length = number();
        uint8_t *data = block(length);
        struct rules *r = rules_load(data, length);
        free(data); /* the automaton keeps nothing of it */
        uint32_t count = number(), *lengths = calloc(count + 1, 4);
        uint8_t **texts = calloc(count + 1, sizeof *texts);
        for (uint32_t i = 0; i < count; i++) texts[i] = block(lengths[i] = number());
        if (!r) printf("malformed");
        for (uint32_t i = 0; r && i < count; i++) printf("%u ", rules_match(r, (char *)texts[i], lengths[i]));
        if (r && rounds) {
            struct timespec a, b;
            unsigned sum = 0;
            clock_gettime(CLOCK_MONOTONIC, &a);
            for (unsigned round = 0; round < rounds; round++)
                for (uint32_t i = 0; i < count; i++) sum += rules_match(r, (char *)texts[i], lengths[i]);
            clock_gettime(CLOCK_MONOTONIC, &b);
            double ns = (b.tv_sec - a.tv_sec) * 1e9 + (b.tv_nsec - a.tv_nsec);
            printf("%.1f %s", ns / rounds / count, sum ? "" : "0");
        }
        printf("\n");
        for (uint32_t i = 0; i < count; i++) free(texts[i]);
        free(texts), free(lengths);
        rules_free(r);
    }
}
