/* files.h - the system calls that take paths, and those of remote files. Included by trap.h. */
#ifndef FILES_H
#define FILES_H

bool files_configure(void);                 /* once, after the hello; false: malformed */
void files_filter(struct filter *f);
bool on_file(const notif *n);               /* false: not one of its numbers */
void file_answered(struct reader *r);       /* MSG_FILE_ANSWER */
void files_changed(void);                   /* MSG_FILES_CHANGED: answers kept so far are of no more use */

/* ---- automata of patterns (rules.c), made by src/patterns ---- */
struct rules;
struct rules *rules_load(const uint8_t *data, uint32_t length);    /* copies; NULL: malformed */
unsigned rules_match(struct rules *r, const char *text, size_t n); /* label of the first pattern that matches, 0 for none */
void rules_free(struct rules *r);
#endif
