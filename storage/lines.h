/*
 * storage/lines.h - n strings as templates and slot columns: the lines of a block, and its
 * attributes.
 *
 * Each row belongs to a template (static pieces, template.h); its variables lie in one slot column
 * (slot.h) for each slot.  Templates with too little support in the block, and lines that are no
 * good, share template RAW whose only slot is the whole line; whether templates pay is decided by
 * size.  The plan (pieces, stamps, places) is one small frame; the columns lie in data frames, big
 * ones alone, small ones packed, so that reading one slot decompresses little else.
 *
 * Attributes are the same thing: a row's names are the pieces (piece i: name of attribute i, the
 * last piece empty), its values the slots; kind TEMPLATE_ATTRS.
 */
#ifndef LOGQ_STORAGE_LINES_H
#define LOGQ_STORAGE_LINES_H

#include "base/record.h"
#include "storage/slot.h"
#include "storage/template.h"

enum {
    LINES_TEMPLATES_MAX = 4096, /* of a block */
    LINES_SUPPORT = 32,         /* rows below which a template's rows become RAW, in a block of
                                   LINES_SUPPORT_ROWS or more; in smaller ones fewer */
    LINES_SUPPORT_ROWS = 1 << 14,
    LINES_PAIRS_MIN = 2 << 10,     /* encoded bytes from which a column's pairs are stamped */
    LINES_FRAME_MAX = 256 << 20,   /* bytes of all data frames */
    LINES_FRAME_ALONE = 32 << 10,  /* encoded bytes from which a column has a frame of its own */
    LINES_FRAME_PACKED = 64 << 10, /* encoded bytes of small columns in one frame */
};

/* ---- write ---- */

/* One thread; buffers are kept from block to block. */
struct lines_encoder;
struct lines_encoder *lines_encoder_new(bool small); /* `small` as in slot_encode */
void lines_encoder_free(struct lines_encoder **pe);

/* What a data frame holds, for whoever compresses it. */
enum lines_content { LINES_IDS, LINES_NUMBERS, LINES_TEXT };
struct lines_frame {
    struct str bytes;
    enum lines_content content;
};
/* What came out: the plan's bytes and the plain bytes of data frames 0..n-1; valid until the next
 * run. */
struct lines_encoded {
    struct str plan;
    const struct lines_frame *frame;
    size_t n_frames;
    size_t raw_rows; /* rows of template RAW */
};
/* The lines of n rows in layout order, 0 < n <= 65,536; the same with template RAW alone, for lines
 * that have nothing in common; the attributes of n rows (nothing when no row has any: then plan.n
 * == 0).  ERR_LIMIT: over LINES_FRAME_MAX. */
int lines_encode(struct lines_encoder *e, const struct str *line, size_t n,
                 struct lines_encoded *ret, struct err *err);
int lines_encode_raw(struct lines_encoder *e, const struct str *line, size_t n,
                     struct lines_encoded *ret, struct err *err);
struct lines_attr_row {
    const struct label *attr; /* sorted by name */
    uint32_t n;
};
int lines_encode_attrs(struct lines_encoder *e, const struct lines_attr_row *row, size_t n,
                       struct lines_encoded *ret, struct err *err);

/* ---- read ---- */

struct lines_template {
    enum template_kind kind;
    uint32_t rows; /* that have it */
    uint32_t n_slots;
    uint32_t first_column;   /* its slots are columns first_column .. + n_slots - 1 */
    const struct str *piece; /* n_slots + 1; in memory in the order of templates, one stretch */
};
struct lines_column {
    struct slot_stamp stamp;
    uint32_t frame, offset; /* where its bytes lie */
};
/* A decoded plan: one allocation, immutable, may be shared by threads and cached. */
struct lines_plan {
    unsigned magic;
#define LINES_PLAN_MAGIC 0x11e5b1a2u
    struct arena *arena; /* owned */
    size_t rows, n_templates, n_columns, n_frames;
    const struct lines_template *template;
    const struct lines_column *column;
    struct lines_column ids; /* template of each row, a byte each up to 256 templates, else two; all
                                of frame 0; absent (bytes 0) when there is one template */
};
/* `frame` is copied.  Charged to `budget` (may be NULL). */
int lines_plan_new(struct str frame, size_t rows, struct mem_budget *budget,
                   struct lines_plan **ret, struct err *err);
void lines_plan_free(struct lines_plan **pp);
size_t lines_plan_held(const struct lines_plan *p);

/* Gives the plain bytes of data frame `index`, living as long as the arena of lines_open. */
typedef int lines_frame_fn(void *arg, uint32_t index, struct str *ret, struct err *err);

/* A block's lines being read: frames and columns are opened when somebody asks, once.  Everything
 * is in `a`.  One thread. */
struct lines;
int lines_open(const struct lines_plan *plan, lines_frame_fn *frame, void *arg, struct arena *a,
               struct lines **ret, struct err *err);
const struct lines_plan *lines_plan_of(const struct lines *l);

/* Template of each row, and which row of its template each row is. */
struct lines_ids {
    const uint16_t *template; /* NULL: all are of template 0 */
    const uint32_t *rank;     /* NULL: row i is rank i */
};
int lines_ids(struct lines *l, struct lines_ids *ret, struct err *err);
/* The rows of a template in order: rows[rank].  NULL: row i is rank i. */
int lines_rows(struct lines *l, size_t template, const uint32_t **ret, struct err *err);

/* The column of a slot. */
int lines_slot(struct lines *l, size_t template, size_t slot, const struct slot_view **ret,
               struct err *err);

/* Its bytes as they are packed, for slot_parts_open. */
int lines_slot_bytes(struct lines *l, size_t template, size_t slot, struct str *ret,
                     struct err *err);

/* The line of a row, in `out`. */
int lines_render(struct lines *l, size_t row, struct arena *out, struct str *ret, struct err *err);
/* All lines, one after the other, in the arena of lines_open: line i ends at end[i].  ERR_LIMIT:
 * over LINES_FRAME_MAX. */
int lines_text(struct lines *l, struct str *ret, const uint32_t **end, struct err *err);
/* How long the lines of a template are: length[rank]; less work than their columns. */
int lines_lengths(struct lines *l, size_t template, const uint32_t **ret, struct err *err);
/* The attributes of a row (of an attributes plan), sorted by name, array and bytes in `out`. */
int lines_attrs(struct lines *l, size_t row, struct arena *out, const struct label **ret,
                uint32_t *ret_n, struct err *err);

#endif
