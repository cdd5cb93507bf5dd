/*
 * storage/scan_combo.h - combinations of attributes that rows are counted by, as small numbers.
 *
 * Number 0 is "none of them".  One table for all threads of a count, under the count's mutex: there
 * may be very many, so each is its bytes and little else.  A block's rows find theirs through the
 * slots of its attribute templates: a constant once, a dictionary once for each entry, anything
 * else row by row.
 */
#ifndef LOGQ_STORAGE_SCAN_COMBO_H
#define LOGQ_STORAGE_SCAN_COMBO_H

#include "storage/scan_internal.h"

#include <pthread.h>

struct intern;

struct scan_combo {
    const struct label *attr; /* sorted by name */
    uint32_t n_attr;
    struct str line;
    bool tested;
};
struct scan_combos {
    const struct scan_count *count;
    pthread_mutex_t *mutex;
    struct intern *keys; /* under the mutex; number - 1 of what attributes, and a line, come to */
};
void scan_combos_init(struct scan_combos *cs, const struct scan_count *count,
                      pthread_mutex_t *mutex);
void scan_combos_fini(struct scan_combos *cs);
/* All numbers so far are below it.  Takes the mutex. */
uint32_t scan_combos_count(struct scan_combos *cs);
/* What a number stands for; the array in `a`, its texts live as long as *cs.  ERR_NOMEM.  Takes the
 * mutex, as the next. */
int scan_combos_get(struct scan_combos *cs, uint32_t number, struct arena *a,
                    struct scan_combo *ret, struct err *err);
/* The value of its first attribute; "" if there is none. */
struct str scan_combos_value(struct scan_combos *cs, uint32_t number);
/* Is it counted by? */
bool scan_combos_want(const struct scan_combos *cs, struct str name);
/* The number of these attributes; those that are not counted by are passed over.  1: there are too
 * many.  Takes the mutex. */
int scan_combos_find(struct scan_combos *cs, const struct label *attr, uint32_t n, uint32_t *ret,
                     struct err *err);

/* The number of combination `base` together with a line and `tested` (as the key's, scan.h); 1 as
 * above. */
int scan_combos_line(struct scan_combos *cs, uint32_t base, struct str line, bool tested,
                     uint32_t *ret, struct err *err);

/* The same for `n` lines without attributes, some at a time.  They are taken as scan_combos_key
 * has put them into a buffer. */
void scan_combos_key(struct buf *out, struct str line, bool tested);
int scan_combos_lines(struct scan_combos *cs, const struct str *key, size_t n, uint32_t *ret,
                      struct err *err);

/* scan_reduce.c: put the lines of the selected rows for which `only` (NULL: all) has a bit to their
 * combinations in number[place in the layout].  1 as above. */
int scan_reduce_numbers(struct scan_combos *cs, struct scan_selection *s,
                        const struct scan_fields f[SCAN_FIELD_SETS], const uint64_t *only,
                        uint32_t *number, struct err *err);

/* scan_reduce.c: where the parser finds in none of the block's lines a label that is wanted, and no
 * attribute is, the one number of all rows.  1: there may be some; or as above. */
int scan_reduce_nothing(struct scan_combos *cs, struct scan_block *b, const struct scan_fields *f,
                        uint32_t *ret, struct err *err);
/* Has no row of the block, as its plan tells, an attribute that is counted by? */
bool scan_combos_lack(const struct scan_combos *cs, const struct scan_block *b);

/* The rows of one block.  Everything is in the block's arena. */
struct scan_combo_block;
/* *ret stays NULL when all rows have number 0. */
int scan_combo_open(struct scan_combos *cs, struct scan_block *b, struct scan_combo_block **ret,
                    struct err *err);
/* The number of the row at a place of the layout; 1 as above. */
int scan_combo_of(struct scan_combo_block *cb, uint32_t at, uint32_t *ret, struct err *err);
/* The numbers of all rows, number[place in the layout]; of those alone that are selected and for
 * which `only` (NULL: all) has a bit.  1 as above. */
int scan_combo_numbers(struct scan_combo_block *cb, const struct scan_selection *s,
                       const uint64_t *only, uint32_t *number, struct err *err);

#endif
