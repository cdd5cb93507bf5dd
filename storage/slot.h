/*
 * storage/slot.h - one column of byte strings, each value present: the variables of a template.
 *
 * The encoder looks at the values and takes the smallest way that is still quick to read; what a
 * reader must know before it reads (kind, lengths, characters, least and greatest number) is the
 * column's stamp, kept apart from its bytes.  Every byte string comes back exactly: leading zeros,
 * signs, numbers of more than 19 digits, NUL, bytes that are no UTF-8.
 *
 * Pure functions of (bytes, limits); hostile bytes end in ERR_CORRUPT.
 */
#ifndef LOGQ_STORAGE_SLOT_H
#define LOGQ_STORAGE_SLOT_H

#include "base/arena.h"
#include "base/buf.h"

/* How the bytes are packed: docs/formats/slot.md.  Readers outside of slot*.c look at views. */
enum slot_kind {
    SLOT_CONST,   /* one value, in the stamp; no bytes */
    SLOT_INT,     /* decimal digits without sign that fit 64 bits; no leading zeros, or one width */
    SLOT_DICT,    /* few distinct values, sorted, and ids */
    SLOT_TEXT,    /* lengths and bytes */
    SLOT_HEX,     /* all of one length and one case, two digits a byte; dashes at fixed places */
    SLOT_PATTERN, /* all cut into the same template: its slots as columns of their own (addresses,
                     times, decimals) */
    SLOT_KINDS,
};

/* Classes of bytes, a bit each: what may occur in a column's values. */
enum slot_class {
    SLOT_DIGIT = 1 << 0,     /* 0-9 */
    SLOT_HEX_LOWER = 1 << 1, /* a-f */
    SLOT_LOWER = 1 << 2,     /* g-z */
    SLOT_HEX_UPPER = 1 << 3, /* A-F */
    SLOT_UPPER = 1 << 4,     /* G-Z */
    SLOT_DASH = 1 << 5,
    SLOT_DOT = 1 << 6,
    SLOT_UNDERSCORE = 1 << 7,
    SLOT_COLON = 1 << 8,
    SLOT_SLASH = 1 << 9,
    SLOT_SPACE = 1 << 10,
    SLOT_QUOTE = 1 << 11, /* " and \ */
    SLOT_EQUALS = 1 << 12,
    SLOT_OTHER = 1 << 13,   /* other printable ASCII */
    SLOT_CONTROL = 1 << 14, /* below space, and DEL */
    SLOT_HIGH = 1 << 15,    /* 0x80 and above */
};
extern const uint16_t slot_class_of[256];

/* What is known of a column without its bytes. */
struct slot_stamp {
    enum slot_kind kind;
    uint16_t classes; /* enum slot_class: every byte of every value is in one of them */
    uint32_t min_len, max_len;
    uint64_t min, max;    /* SLOT_INT */
    uint32_t width;       /* SLOT_INT: digits of every value, leading zeros kept; 0: none lead */
    struct str constant;  /* SLOT_CONST: the value; else empty */
    uint32_t bytes;       /* of the encoded column */
    const uint8_t *pairs; /* DICT, TEXT, PATTERN: a bit for each two bytes that follow each other
                             in some value (slot_pair_of), SLOT_PAIRS bytes; NULL: not known */
};

/* Which bit of a stamp's pairs stands for two bytes. */
enum { SLOT_PAIRS = 64 };
static inline unsigned slot_pair_of(uint8_t first, uint8_t second)
{
    return ((unsigned)first << 8 | second) * 0x9e3779b1u >> 23;
}
static inline bool slot_has_pair(const uint8_t *pairs, uint8_t first, uint8_t second)
{
    unsigned bit = slot_pair_of(first, second);

    return (pairs[bit / 8] >> bit % 8 & 1) != 0;
}

/* Encode `n` > 0 values; their bytes are appended to `out` (nothing for SLOT_CONST, whose
 * `constant` points to v[0]).  Scratch memory is kept in `e`.  `small`: spend more CPU to save
 * bytes (compaction). */
struct slot_encoder;
struct slot_encoder *slot_encoder_new(void);
void slot_encoder_free(struct slot_encoder **pe);
void slot_encode(struct slot_encoder *e, const struct str *v, size_t n, bool small, struct buf *out,
                 struct slot_stamp *ret);

/* The pairs of a column of n values with stamp `s` that was encoded to `bytes`.  false: they are
 * not worth a stamp, since half of all occur, or the column is not packed so. */
bool slot_pairs(const struct slot_stamp *s, struct str bytes, size_t n, uint8_t ret[SLOT_PAIRS]);

/* A stamp in a block's plan: append; take off the front of *in (`constant` and `pairs` point
 * into it). */
void slot_stamp_put(struct buf *b, const struct slot_stamp *s);
int slot_stamp_take(struct str *in, struct slot_stamp *ret, struct err *err);

/* A column opened for reading. */
enum slot_view_kind { SLOT_VIEW_CONST, SLOT_VIEW_INT, SLOT_VIEW_DICT, SLOT_VIEW_TEXT };
struct slot_view {
    enum slot_view_kind kind;
    size_t n;
    struct str constant;     /* CONST */
    const uint64_t *number;  /* INT */
    uint32_t width;          /* INT: as in the stamp */
    const struct str *entry; /* DICT: n_entries distinct values */
    size_t n_entries;
    const uint32_t *id;  /* DICT: of each value */
    struct str text;     /* TEXT: all values, one after the other */
    const uint32_t *end; /* TEXT: of value i in text */
};
/* Everything is in `a`, or points into `bytes`, which must live as long.  HEX and PATTERN columns
 * are written out as TEXT. */
int slot_open(const struct slot_stamp *s, struct str bytes, size_t n, struct arena *a,
              struct slot_view *ret, struct err *err);

/* Value `i` of a column of `n`, alone: in `a`, or pointing into `bytes`.  For a few values of a
 * large column; it reads nothing but steps and lengths up to it.  What it cost is added to *work,
 * in values that slot_open opens in that time (roughly).  ERR_CORRUPT. */
struct slot_place {
    struct str bytes;
    size_t n, i;
    size_t *work; /* may be NULL */
};
int slot_pick(const struct slot_stamp *s, const struct slot_place *at, struct arena *a,
              struct str *ret, struct err *err);

/* The numbers of an INT column, some at a time from front to back; `first` counts by multiples of
 * 64.  1: it is no INT.  ERR_CORRUPT; numbers outside of the stamp are given as they are. */
typedef void slot_numbers_fn(void *arg, const uint64_t *v, size_t n, size_t first);
int slot_numbers_each(const struct slot_stamp *s, struct str bytes, size_t n, struct arena *a,
                      slot_numbers_fn *fn, void *arg, struct err *err);

/* Bytes in which every value, or every entry of its dictionary, stands in one piece: what is not
 * in them is in no value.  1: the column is not packed so.  ERR_CORRUPT.  Costs nothing. */
int slot_peek(const struct slot_stamp *s, struct str bytes, size_t n, struct str *ret,
              struct err *err);

/* All values of a TEXT column, a newline behind each.  1: it is not packed so. */
int slot_lines_open(const struct slot_stamp *s, struct str bytes, struct str *ret);

/* A PATTERN column as what it is made of: value i is piece[0], value i of part 0, piece[1] ... */
enum { SLOT_PARTS_MAX = 16 };
struct slot_parts {
    size_t n;
    struct str piece[SLOT_PARTS_MAX + 1];
    struct slot_stamp stamp[SLOT_PARTS_MAX];
    struct str bytes[SLOT_PARTS_MAX]; /* of each part, for slot_part_open */
    bool joined;                      /* all of them are one number, in bytes[0] */
};
/* `bytes` of the column, which must live as long.  1: it is no PATTERN.  ERR_CORRUPT. */
int slot_parts_open(const struct slot_stamp *s, struct str bytes, struct slot_parts *ret,
                    struct err *err);
int slot_part_open(const struct slot_parts *p, size_t part, size_t n, struct arena *a,
                   struct slot_view *ret, struct err *err);

/* A PATTERN column of a few forms: value i is before, the next number, behind of form[id[i]], or
 * `before` alone. */
enum { SLOT_FORMS_MAX = 256, SLOT_FORM_BYTES_MAX = 256 /* of before, and of behind */ };
struct slot_form {
    struct str before, behind;
    bool has_number;
};
struct slot_forms {
    size_t n; /* forms */
    struct slot_form form[SLOT_FORMS_MAX];
    const uint8_t *id;       /* of each value, below n */
    size_t n_numbers;        /* of all values, in their order; at least one */
    struct slot_stamp stamp; /* INT or CONST, then of digits as well */
    struct str bytes;
};
/* `bytes` of the column of n values, which must live as long.  1: it is not packed so.
 * ERR_CORRUPT. */
int slot_forms_open(const struct slot_stamp *s, struct str bytes, size_t n, struct slot_forms *ret,
                    struct err *err);
/* Its numbers, as slot_open. */
int slot_forms_numbers(const struct slot_forms *f, struct arena *a, struct slot_view *ret,
                       struct err *err);

/* A column of numbers, or of texts that differ in some numbers alone, as one number for each value:
 * equal ones stand for equal texts, also in another column with the same `shape`. */
enum { SLOT_CODE_ROOM = 640 };
struct slot_code_part {
    struct str before; /* what stands in front of it in all values */
    uint32_t width;    /* as in the stamp */
    uint32_t bits;     /* of the code; those of the last part are the lowest */
};
struct slot_codes {
    struct str shape;
    const uint64_t *v; /* of each value */
    size_t n;          /* parts */
    struct slot_code_part part[SLOT_PARTS_MAX];
    struct str tail; /* behind the last */
};
/* 1: the column is not packed so.  As slot_open. */
int slot_codes_open(const struct slot_stamp *s, struct str bytes, size_t n, struct arena *a,
                    struct slot_codes *ret, struct err *err);
/* The text of value i, in `room`. */
struct str slot_codes_text(const struct slot_codes *c, size_t i, char room[SLOT_CODE_ROOM]);

/* Strings of hex digits as they are packed, two in a byte: byte k of value i, first digit in the
 * high half, is bytes[i * row + k * column]. */
enum { SLOT_DASHES_MAX = 8 };
struct slot_digits {
    uint32_t length; /* of each value, dashes and all */
    uint32_t width;  /* bytes of each; of the last one only the high half, if the digits are odd */
    uint8_t n_dashes, dash[SLOT_DASHES_MAX]; /* their places, ascending */
    bool upper;
    const uint8_t *bytes;
    size_t row, column;
};
/* `bytes` of the column, which must live as long.  1: it is not packed so.  ERR_CORRUPT. */
int slot_digits_open(const struct slot_stamp *s, struct str bytes, size_t n,
                     struct slot_digits *ret, struct err *err);

/* Value i; an INT is printed into `room`. */
enum { SLOT_ROOM = 20 };
struct str slot_value(const struct slot_view *v, size_t i, char room[SLOT_ROOM]);
/* Its length alone. */
uint32_t slot_value_bytes(const struct slot_view *v, size_t i);

/* Add the length of each of n values to ret[0..n), which stays below 2^29 where it was below 2^28:
 * patterns are not written out for it.  As slot_open. */
int slot_lengths_add(const struct slot_stamp *s, struct str bytes, size_t n, struct arena *a,
                     uint32_t *ret, struct err *err);
/* The same of a column that is open. */
int slot_view_lengths_add(const struct slot_view *v, struct arena *a, uint32_t *ret,
                          struct err *err);

#endif
