/*
 * storage/template.h - a line as static text and the slots between, found in one pass, no training.
 *
 * Lines of one program differ in few places.  A line is cut at what looks like a variable; what is
 * left is its template, and rows of one template keep their variables in columns (lines.h).  Four
 * ways to cut, chosen by the line's own looks:
 *     TEXT    a run of letters and digits that holds a digit, without the name before a number and
 *             the unit behind one (`core` 17, 15 `ms`); a decimal, an IP address, a time of day
 *             with its date, a UUID are one slot
 *     JSON    every scalar leaf of one object, strings without their quotes as they stand
 *             (escapes kept); an array is one slot without its brackets; keys and layout are static
 *     LOGFMT  every value, quotes static; words between the pairs as TEXT
 *     ACCESS  fields of common and combined access logs
 * A string value of JSON and LOGFMT under a message-like key (msg, message, log, body, error ...)
 * is cut further as TEXT when it holds a digit.  Whatever the cut, line == pieces and slots put
 * together again, byte for byte, for any bytes.  Pure functions; any thread.
 * Source: CLP (OSDI 2021), LogGrep (EuroSys 2023); measured in docs/adr/0007.
 */
#ifndef LOGQ_STORAGE_TEMPLATE_H
#define LOGQ_STORAGE_TEMPLATE_H

#include "base/arena.h"
#include "base/str.h"

#include <stdint.h>

enum { TEMPLATE_SLOTS_MAX = 128 };

enum template_kind {
    TEMPLATE_RAW = 0, /* one slot: the line */
    TEMPLATE_TEXT = 1,
    TEMPLATE_JSON = 2,
    TEMPLATE_LOGFMT = 3,
    TEMPLATE_ACCESS = 4,
    TEMPLATE_ATTRS = 5, /* not of a line: pieces are names, slots values (lines.h) */
    TEMPLATE_KINDS = 6,
};

struct template_slot {
    uint32_t at, n; /* the value is line[at, at + n) */
};

struct template_line {
    enum template_kind kind;
    uint32_t n_slots;
    struct template_slot slot[TEMPLATE_SLOTS_MAX]; /* ascending, disjoint */
};

/* Cut `line`.  Lines that are no good (more slots than that, over 64 KiB) become RAW. */
void template_split(struct str line, struct template_line *ret);
/* The same with messages in one piece: fewer templates, for lines whose own are too rare. */
void template_split_whole(struct str line, struct template_line *ret);

/*
 * Which slot holds which field, from the pieces alone: what `| json` and `| logfmt` need to read
 * columns instead of lines.  For JSON and LOGFMT: path[i] (keys as they stand in the text, of a
 * nested object joined by NUL) and how far slot i is the whole value.  Every leaf of the object and
 * every pair has a slot.  A JSON line is one that base/json.h reads without an error, a LOGFMT line
 * one that the query reads without an error; only words without a value stand beside its pairs
 * (their slots are PART without a path), so --strict and --keep-empty must read the line itself.
 */
enum template_whole {
    TEMPLATE_PART,   /* slot i is a part of a value that was cut further */
    TEMPLATE_STRING, /* a JSON string without escapes to undo unless the slot holds a backslash */
    TEMPLATE_SCALAR, /* number, true, false, null; or an unquoted logfmt value */
    TEMPLATE_ARRAY,  /* what stands between the brackets */
};
struct template_field {
    struct str path; /* in the arena */
    enum template_whole whole;
};
/* n_slots fields for `kind` JSON or LOGFMT; all PART with an empty path for the others.  ERR_NOMEM,
 * ERR_LIMIT (arena). */
int template_fields(enum template_kind kind, const struct str *piece, size_t n_slots,
                    struct arena *a, struct template_field **ret, struct err *err);

#endif
