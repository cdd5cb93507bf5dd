/* tests/lib/tmpdir.h - a directory of the test's own, gone with all that is in it when the test
 * closes it. */
#ifndef LOGQ_TESTS_LIB_TMPDIR_H
#define LOGQ_TESTS_LIB_TMPDIR_H

#include <stdbool.h>

enum { TMPDIR_PATH_MAX = 64 };

/* Make a new directory (mode 0700) below TMPDIR or /tmp; returns its descriptor and, if `path` is
 * not NULL, its path. Aborts when it cannot.  Any thread, any number at once. */
int tmpdir_open(char path[TMPDIR_PATH_MAX]);

/* Is there an entry `name`? */
bool tmpdir_has(int dir, const char *name);

/* Number of entries.  Without file.h, whose fault points the caller may be stepping through. */
unsigned tmpdir_count(int dir);

/* Remove the directory of tmpdir_open with everything below it, and close the descriptor. */
void tmpdir_close(int dir);

#endif
