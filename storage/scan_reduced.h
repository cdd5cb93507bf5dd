/*
 * storage/scan_reduced.h - the lines of a template of a block, with the fields alone that are
 * wanted: what scan_reduce.c and scan_fold.c share.
 */
#ifndef LOGQ_STORAGE_SCAN_REDUCED_H
#define LOGQ_STORAGE_SCAN_REDUCED_H

#include "storage/scan_combo.h"
#include "storage/scan_label.h"

enum {
    SCAN_TABLE_MAX = 1 << 16, /* combinations of values of a template that get a table */
    SCAN_TABLES = 8,          /* such tables, by combination of attributes */
};

struct scan_reduced_part {
    uint32_t slot;
    struct str before, after;     /* with the quotes of a string */
    const struct slot_view *view; /* NULL: not open yet */
    uint64_t low;                 /* numbers: the least */
    size_t n;                     /* values it can have; 0: many */
};

/* What to do with the lines of a template. */
struct scan_reduced {
    bool is_open, has_views, has_shape;
    bool is_whole;           /* they cannot be reduced here */
    bool is_nothing;         /* for the parser */
    const uint64_t *suspect; /* but for these of its rows; NULL: none */
    uint32_t n;
    struct scan_reduced_part *part;
    struct str tail; /* behind the last part */
    size_t size;     /* of a table; 0: there is none */
    size_t n_tables;
    uint32_t base[SCAN_TABLES];
    uint32_t *number[SCAN_TABLES]; /* of the combination, + 1; 0: not asked for yet */
    uint32_t shape;                /* for scan_known.c, where there is one part; 0: none */
};

/* Of a template; in the block's arena, b->lines is open. */
int scan_reduced_get(struct scan_block *b, const struct scan_fields *f, size_t template,
                     struct scan_reduced **ret, struct err *err);
/* Open the columns of its parts. */
int scan_reduced_views(struct scan_block *b, size_t template, struct scan_reduced *red,
                       struct err *err);
/* Find its shape, the worker's. */
void scan_reduced_shape(struct scan_block *b, const struct scan_fields *f,
                        struct scan_reduced *red);

static inline bool scan_reduced_is_whole(const struct scan_reduced *red, size_t rank)
{
    return red->is_whole ||
           (red->suspect != NULL && (red->suspect[rank / 64] >> (rank % 64) & 1) != 0);
}

/* Where the values of a row stand in a table; >= size: its numbers lie.  The views are open. */
static inline size_t scan_reduced_index(const struct scan_reduced *red, size_t rank)
{
    size_t at = 0;

    for (uint32_t i = 0; i < red->n; i++) {
        const struct scan_reduced_part *p = &red->part[i];
        uint64_t x = 0;
        if (p->view->kind == SLOT_VIEW_DICT)
            x = p->view->id[rank];
        else if (p->view->kind == SLOT_VIEW_INT)
            x = p->view->number[rank] - p->low;
        if (x >= p->n)
            return SIZE_MAX;
        at = at * p->n + (size_t)x;
    }
    return at;
}

/* The column of a part as codes, and the worker's book for one use of them; book NULL: not so, or
 * there is no room. */
enum { SCAN_USE_TEXT = 0 }; /* else the shape of a line of one part */
struct scan_coded {
    struct slot_codes codes;
    struct scan_codebook *book;
};
int scan_reduced_codes(struct scan_block *b, size_t template, const struct scan_reduced_part *p,
                       uint32_t use, struct scan_coded *ret, struct err *err);

/* The line of a row, not one that must be whole: from columns that are open, or of these values,
 * one for each part. */
int scan_reduced_line(const struct scan_reduced *red, enum scan_parser parser, size_t rank,
                      struct buf *out, struct err *err);
int scan_reduced_line_of(const struct scan_reduced *red, enum scan_parser parser,
                         const struct str *value, struct buf *out, struct err *err);

/* The number of combination `base` with the line of a row of the block, whatever it is.  1 as
 * scan_combos_line. */
int scan_reduced_number(struct scan_combos *cs, struct scan_block *b, const struct scan_fields *f,
                        uint32_t at, uint32_t base, uint32_t *ret, struct err *err);

#endif
