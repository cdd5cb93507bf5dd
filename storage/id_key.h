/*
 * storage/id_key.h - numbers that stand for the ids in a text.
 *
 * An id is a run of at least ID_RUN letters, digits, '-' and '_': a trace id, a uuid, a token.  Of
 * each ID_RUN bytes in a row that a run has, one piece of ID_GRAM bytes is chosen by nothing but
 * what they are (the one whose hash is least), and its hash is a key.  Hence any part of a run that
 * has ID_RUN bytes itself gives keys that the whole gives too: who looks for the part needs to look
 * only where its keys are.  A run of just ID_RUN bytes has one key, a longer one about one more for
 * every 9 bytes.
 *
 * Which bytes make a run, and the hash, are part of the segment format (segment.md).
 */
#ifndef LOGQ_STORAGE_ID_KEY_H
#define LOGQ_STORAGE_ID_KEY_H

#include "base/str.h"

#include <stdint.h>

enum { ID_RUN = 32, ID_GRAM = 16, ID_RECENT = 256 };

/* Keys of many texts.  One thread. */
struct id_keys {
    uint32_t *p; /* owned */
    size_t n, cap;
    uint32_t *spare; /* owned; for sorting */
    size_t spare_cap;
    uint32_t recent[ID_RECENT]; /* what was added of late is not added again */
};
void id_keys_init(struct id_keys *k);
void id_keys_fini(struct id_keys *k);
void id_keys_clear(struct id_keys *k); /* keeps the memory */

/* Append the keys of a text, which may have any length and any bytes. */
void id_keys_add(struct id_keys *k, struct str text);
/* In ascending order, each once. */
void id_keys_sort(struct id_keys *k);

/* Ascending; `spare` has room for n as well. */
void id_sort(uint32_t *v, uint32_t *spare, size_t n);

#endif
