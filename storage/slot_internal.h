/* storage/slot_internal.h - what the files of slot share. */
#ifndef LOGQ_STORAGE_SLOT_INTERNAL_H
#define LOGQ_STORAGE_SLOT_INTERNAL_H

#include "storage/slot.h"
#include "storage/slot_number.h"

enum {
    SLOT_TEXT_MAX = 256 << 20, /* bytes of all values of a column, written out */
    SLOT_DICT_MAX = 1 << 16,   /* values of a dictionary */
    SLOT_DIGITS_MAX = 20,      /* of a number of 64 bits */
    SLOT_HEX_MAX = 254,        /* bytes of a value */
    SLOT_HEX_DASHES = 8,
    SLOT_PATTERN_SLOTS = 16,
    SLOT_JOINED_PARTS = 8,
};
enum { SLOT_HEX_CLASSES = SLOT_DIGIT | SLOT_HEX_LOWER | SLOT_HEX_UPPER };

/* First byte of strings, beside those of a number column: docs/formats/slot.md. */
enum {
    SLOT_WAY_LINES = 3,
    SLOT_WAY_HEX = 4,
    SLOT_WAY_PATTERN = 5,
    SLOT_WAY_JOINED = 6,
    SLOT_WAY_FORMS = 7,
};

/* ---- slot.c ---- */

/* The classes of all bytes of `s`. */
uint16_t slot_classes(struct str s);

/* Decimal digits of `v`, 1..20. */
uint32_t slot_digits(uint64_t v);

/* Print `v` with at least `width` <= 20 digits; how many.  `to` has room for 20. */
uint32_t slot_print(uint64_t v, uint32_t width, char *to);

/* ---- slot_open.c ---- */

/* n items of `size` bytes, aligned, not zeroed; NULL: arena_err. */
void *slot_room(struct arena *a, size_t n, size_t size);

/* slot_open of a column in a pattern: none in there. */
int slot_open_inner(const struct slot_stamp *s, struct str bytes, size_t n, struct arena *a,
                    struct slot_view *ret, struct err *err);

/* Where the value of a place in a DICT column stands: a place in its strings. */
int slot_dict_pick(const struct slot_place *at, struct slot_place *ret, struct err *err);

/* ---- slot_hex.c ---- */

struct slot_hex {
    uint8_t length, n_dashes; /* of each value */
    uint8_t dash[SLOT_HEX_DASHES];
    bool upper;
};
/* Are all values, whose bytes are of `classes`, hex digits of one length and case, dashes at the
 * same places? */
bool slot_hex_fits(const struct str *v, size_t n, unsigned classes, struct slot_hex *ret);
/* Append them, way and all.  `repeats`: values come again, so keep their bytes together; `other`:
 * planes where rows look better, and the other way round. */
void slot_hex_put(const struct slot_hex *h, const struct str *v, size_t n, bool repeats, bool other,
                  struct buf *out);
/* Write out n values of `length` bytes; `in` is what follows the way.  ERR_CORRUPT, ERR_LIMIT,
 * ERR_NOMEM. */
int slot_hex_open(struct str in, size_t n, uint32_t length, struct arena *a, struct slot_view *ret,
                  struct err *err);
/* One value of them; the place is behind the way, as with slot_joined_pick. */
int slot_hex_pick(const struct slot_place *at, uint32_t length, struct arena *a, struct str *ret,
                  struct err *err);

/* ---- slot_pattern.c ---- */

/* Scratch of an encoder; zeroed is ready. */
struct slot_pattern {
    size_t n_slots;
    struct str piece[SLOT_PATTERN_SLOTS + 1]; /* of the first value */
    struct str *value;                        /* of slot k: value[k * n + i] */
    size_t cap;
    struct buf columns;
};
void slot_pattern_fini(struct slot_pattern *p);
/* Make room for `n` values, and columns empty. */
void slot_pattern_room(struct slot_pattern *p, size_t n);
/* Cut all values at their numbers; false: they differ in more. */
bool slot_pattern_numbers(struct slot_pattern *p, const struct str *v, size_t n);
/* Cut off what all begin and end with; false: nothing. */
bool slot_pattern_frame(struct slot_pattern *p, const struct str *v, size_t n);
/* Append what was cut, way and all; `inner` encodes the slots. */
void slot_pattern_put(struct slot_pattern *p, struct slot_encoder *inner, size_t n, bool small,
                      struct buf *out);
/* Write out n values; `in` is what follows the way.  ERR_CORRUPT, ERR_LIMIT, ERR_NOMEM. */
int slot_pattern_open(const struct slot_stamp *s, struct str in, size_t n, struct arena *a,
                      struct slot_view *ret, struct err *err);
/* What follows the way, taken apart. */
int slot_pattern_parts(struct str in, struct slot_parts *ret, struct err *err);

/* ---- slot_forms.c ---- */

/* Are all values of a few forms, some with a number? */
bool slot_forms_fit(const struct str *v, size_t n);
/* Append them, way and all; false: they are not, and nothing was appended.  `inner` encodes the
 * numbers; scratch in p. */
bool slot_forms_put(struct slot_pattern *p, struct slot_encoder *inner, const struct str *v,
                    size_t n, bool small, struct buf *out);
/* slot_forms_open of what follows the way. */
int slot_forms_take(struct str in, size_t n, struct slot_forms *ret, struct err *err);
/* Form of value i; how many numbers come before its own. */
void slot_forms_find(const struct slot_forms *f, size_t i, size_t *form, size_t *rank);
/* Write out n values; `in` is what follows the way.  ERR_CORRUPT, ERR_LIMIT, ERR_NOMEM. */
int slot_forms_text(const struct slot_stamp *s, struct str in, size_t n, struct arena *a,
                    struct slot_view *ret, struct err *err);
/* Add their lengths to ret[0..n). */
int slot_forms_lengths(const struct slot_stamp *s, const struct slot_forms *f, size_t n,
                       struct arena *a, uint32_t *ret, struct err *err);
/* slot_pairs. */
bool slot_forms_pairs(const struct slot_stamp *s, struct str bytes, size_t n,
                      uint8_t ret[SLOT_PAIRS]);

/* ---- slot_joined.c ---- */

struct slot_joined_part {
    uint8_t at, width; /* its digits in each value */
    uint64_t radix;    /* counts to this; the first part has none */
};
struct slot_joined {
    uint32_t length; /* of each value */
    size_t n_parts;
    struct slot_joined_part part[SLOT_JOINED_PARTS];
};
/* Are the values times, of one length and different in digits alone?  Then number[0..n) are they as
 * numbers.  `any`: also when these go up and down too much to pay by the looks of it. */
bool slot_joined_fits(const struct str *v, size_t n, bool any, uint64_t *number,
                      struct slot_joined *ret);
/* Append way and head; the numbers as a number column come next.  `first`: any of the values. */
void slot_joined_put(const struct slot_joined *j, struct str first, struct buf *out);
/* Write out n values of `length` bytes; `in` is what follows the way.  ERR_CORRUPT, ERR_LIMIT,
 * ERR_NOMEM. */
int slot_joined_parts(struct str in, uint32_t length, struct slot_parts *ret, struct err *err);
/* One of them, as numbers. */
int slot_joined_part(const struct slot_parts *p, size_t part, size_t n, struct arena *a,
                     struct slot_view *ret, struct err *err);
int slot_joined_open(struct str in, size_t n, uint32_t length, struct arena *a,
                     struct slot_view *ret, struct err *err);
int slot_joined_pick(const struct slot_place *at, uint32_t length, struct arena *a, struct str *ret,
                     struct err *err);

#endif
