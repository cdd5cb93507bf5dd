/*
 * storage/scan_codebook.h - which number a code (slot_codes) stands for, and rows counted by code.
 *
 * Where a field of many values is counted by, and its columns are numbers in fact, a row costs one
 * look into a table of sixteen bytes a value: no text is made, hashed or compared.  The numbers are
 * those of combinations (scan_combo.h) of lines that are the same but for the value, or of texts
 * (scan_tuple.h): a book serves one block after the other.  What has no room in it goes the way of
 * texts.
 */
#ifndef LOGQ_STORAGE_SCAN_CODEBOOK_H
#define LOGQ_STORAGE_SCAN_CODEBOOK_H

#include "base/mem.h"
#include "base/str.h"

struct scan_code {
    uint64_t code;
    uint32_t number; /* + 1; 0: free */
    uint32_t rows;   /* counted since scan_codebooks_take */
};

enum { SCAN_CODE_PROBES = 32 };

struct scan_codebook {
    struct scan_code *v; /* owned; a power of two of them */
    uint32_t *met;       /* owned; places of those that have rows, n_met */
    size_t mask, n, n_met;
    unsigned shift;
    uint64_t factor; /* odd */
    char *shape;     /* owned */
    size_t shape_n;
    uint32_t use;
};

struct scan_codebooks; /* of one worker */

/* Charged to `budget` (may be NULL), which must outlive them. */
struct scan_codebooks *scan_codebooks_new(struct mem_budget *budget);
void scan_codebooks_free(struct scan_codebooks **pb);

/* The book for codes of this shape, and one use of them: NULL: there are too many, or there is no
 * memory. */
struct scan_codebook *scan_codebook_get(struct scan_codebooks *b, struct str shape, uint32_t use);

/* Note the number of a code that is not there.  false: there is no room. */
bool scan_codebook_put(struct scan_codebooks *b, struct scan_codebook *book, uint64_t code,
                       uint32_t number);

/* NULL: it is not known. */
static inline struct scan_code *scan_codebook_find(const struct scan_codebook *book, uint64_t code)
{
    size_t i = (size_t)(code * book->factor >> book->shift);

    for (unsigned k = 0; k < SCAN_CODE_PROBES; k++) {
        struct scan_code *c = &book->v[(i + k) & book->mask];
        if (c->number == 0)
            return NULL;
        if (c->code == code)
            return c;
    }
    return NULL;
}

/* One more row of a code. */
static inline void scan_codebook_count(struct scan_codebook *book, struct scan_code *c)
{
    if (c->rows++ == 0)
        book->met[book->n_met++] = (uint32_t)(c - book->v);
}

/* After rows were taken back: codes without rows are no more among those that have some. */
void scan_codebook_forget_none(struct scan_codebook *book);

/* The next number that has rows, and these, which are forgotten; false: no more. */
bool scan_codebooks_take(struct scan_codebooks *b, uint32_t *number, uint32_t *rows);

#endif
