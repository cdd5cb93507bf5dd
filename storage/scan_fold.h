/*
 * storage/scan_fold.h - the rows of a block counted by reduced line, template by template.
 *
 * For blocks whose rows all go to one bucket of streams that are alike: then neither a row's place
 * nor its time matters, and what is counted are the values of columns.
 */
#ifndef LOGQ_STORAGE_SCAN_FOLD_H
#define LOGQ_STORAGE_SCAN_FOLD_H

#include "storage/scan_tally.h"

/* Does nothing but the line tell the rows of a block apart, and are they only counted? */
int scan_fold_may(const struct scan_counter *k, struct scan_block *b, bool *ret, struct err *err);

/* Count the selected rows, all of the key's bucket and of streams like its, in the worker's pile
 * (scan_tally.h).  1: there are too many combinations.  Takes the mutex. */
int scan_fold_block(struct scan_counter *k, struct scan_selection *s,
                    const struct scan_fields f[SCAN_FIELD_SETS], const struct scan_tally_key *key,
                    struct err *err);

#endif
