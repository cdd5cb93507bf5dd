/*
 * tests/lib/bytes.h - byte strings written so that a reader sees them: "93 a3 'tag' c4 02 '[]' 80".
 */
#ifndef LOGQ_TESTS_LIB_BYTES_H
#define LOGQ_TESTS_LIB_BYTES_H

#include "base/arena.h"

/* Hex pairs, blanks anywhere between, text as it is between single quotes; in `a`.  Fails the test
 * on others. */
struct str bytes(struct arena *a, const char *text);

/* `n` times `unit`, in `a`. */
struct str bytes_repeat(struct arena *a, struct str unit, size_t n);

/* Two after each other, in `a`. */
struct str bytes_join(struct arena *a, struct str first, struct str second);

/* A copy of exactly its size from malloc, so that a sanitizer sees a read past the end; free() it.
 */
char *bytes_exact(struct str s);

#endif
