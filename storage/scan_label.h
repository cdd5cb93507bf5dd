/*
 * storage/scan_label.h - where the values of one label lie in a block.
 *
 * A label is the stream's, or else an attribute, or else what a parser finds in the line (scan.h).
 * The rows of a block fall into stretches, each of one template of the attributes or of the lines:
 * all rows of a stretch have the label in the same column, or have none, or nothing can be told
 * without the line.  Told from plans alone; columns are opened by who wants values.  What is not
 * plain is UNKNOWN: names that stand twice, values that are cut, keys with escapes.
 */
#ifndef LOGQ_STORAGE_SCAN_LABEL_H
#define LOGQ_STORAGE_SCAN_LABEL_H

#include "storage/scan_captures.h"

enum scan_stretch_kind { STRETCH_ABSENT, STRETCH_COLUMN, STRETCH_CONST, STRETCH_UNKNOWN };

/* How the text of a slot becomes a value. */
enum scan_text {
    SCAN_TEXT_AS_IS,
    SCAN_TEXT_STRING,        /* JSON's escapes */
    SCAN_TEXT_JSON,          /* null is no value */
    SCAN_TEXT_LOGFMT,        /* nor is "" */
    SCAN_TEXT_LOGFMT_STRING, /* both */
    SCAN_TEXT_PATTERN,       /* as it is, when it is UTF-8 */
};

struct scan_stretch {
    enum scan_stretch_kind kind;
    enum scan_text text;
    bool of_attrs; /* template and slot of the attributes, else of the lines */
    bool in_some;  /* UNKNOWN: but ABSENT for rows that scan_label_suspects leaves out */
    uint32_t template, slot;
    struct str constant; /* CONST: the text in all rows */
};

struct scan_label {
    struct str name;
    enum scan_parser parser;
    bool in_streams;              /* some stream of the block has it */
    bool in_attrs;                /* some rows may have it as an attribute */
    struct scan_stretch *stretch; /* those of attributes first, whose rows the others do not have */
    size_t n;
};

/* What the slots of a template of lines are. */
int scan_block_fields(struct scan_block *b, size_t template, const struct template_field **ret,
                      struct err *err);

/* What the captures of the request's pattern are in a template of lines. */
int scan_block_captures(struct scan_block *b, size_t template, const struct scan_captures **ret,
                        struct err *err);

/* Everything is in the block's arena; the plans of `b` are set. */
int scan_label_open(struct scan_block *b, struct str name, enum scan_parser parser,
                    struct scan_label *ret, struct err *err);

/* The column of a stretch, and the place in the layout of its values (NULL: value i is of row i).
 * Opens the lines or attributes of the block. */
int scan_label_column(struct scan_block *b, const struct scan_stretch *s,
                      const struct slot_view **ret, struct err *err);
int scan_label_rows(struct scan_block *b, const struct scan_stretch *s, const uint32_t **ret,
                    size_t *n, struct err *err);
/* The selected rows that do not have the label as an attribute, nor may have. */
int scan_label_rest(struct scan_selection *s, const struct scan_label *l, uint64_t **rest,
                    struct err *err);
const struct slot_stamp *scan_label_stamp(const struct scan_block *b, const struct scan_stretch *s);

/* The value that a slot's text is; p == NULL: none.  false: not told here. */
bool scan_label_value(enum scan_text how, struct str text, struct str *ret);
/* Is every value of the column, as far as its stamp tells, the slot's text? */
bool scan_label_is_plain(enum scan_text how, const struct slot_stamp *s);

/*
 * Of a template that is not of the parser's own kind: can its lines hold one of the labels?  SOME:
 * only those that scan_label_suspects names, a bit for each of the template's rows; where it does
 * not, the parser finds none of the labels.
 */
enum scan_holds { HOLDS_NONE, HOLDS_SOME, HOLDS_UNKNOWN };
enum scan_holds scan_label_holds(const struct scan_block *b, const struct scan_fields *f, size_t t);
int scan_label_suspects(struct scan_block *b, enum scan_parser parser, size_t t,
                        const uint64_t **ret, struct err *err);

#endif
