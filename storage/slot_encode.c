/*
 * storage/slot_encode.c - picks the way to pack a column.  Contract: slot.h; format:
 * docs/formats/slot.md.
 *
 * Tried in this order, and each gives up at the first value that does not fit: CONST, INT, DICT,
 * HEX, PATTERN, TEXT; a dictionary gives way to forms with a number in them; times, of whatever
 * kind they would be, as joined numbers before DICT.  What is chosen must be quick to read and
 * small after zstd has been over it, not small by itself (docs/adr/0006).
 */
#include "base/hash.h"
#include "base/mem.h"
#include "base/obj.h"
#include "storage/le.h"
#include "storage/slot_distinct.h"
#include "storage/slot_internal.h"
#include "storage/varint.h"

#include <stdlib.h>
#include <string.h>

enum {
    DICT_MIN = 8,            /* values below which a dictionary is not tried */
    DICT_SAMPLE = 256,       /* values after which, again and again, it is asked if this may pay */
    DICT_SHARE = 2,          /* as many rows to a value, or more */
    DICT_LARGE = 256,        /* values above which numbers in them are looked for instead */
    DICT_PROBES = 64,        /* places looked at: bounds the time that chosen values can cost */
    TRIAL_MIN = 64,          /* values from which several ways are compared */
    WORTH = 32,              /* parts of its bytes that another way must save */
    PATTERN_MIN = 32,        /* values below which columns in the column do not pay */
    PATTERN_BYTES_MAX = 256, /* of a value */
};

_Static_assert((int)PATTERN_BYTES_MAX <= (int)SLOT_FORM_BYTES_MAX, "a value may be a form");

struct entry {
    struct str value;
    uint32_t id;
};

struct slot_encoder {
    unsigned magic;
#define SLOT_ENCODER_MAGIC 0x510e4c0du
    struct slot_number_encoder number;
    uint64_t *v; /* numbers or lengths of n values */
    size_t v_cap;
    /* dictionary */
    struct slot_distinct distinct; /* ids by appearance */
    struct entry *entry, *sorted;
    struct str *value; /* of the sorted */
    struct slot_number_key *key, *spare;
    uint32_t *rank; /* place of entry `id` among the sorted */
    size_t entry_cap;
    bool repeats; /* some values came again when a dictionary was tried */
    /* pattern */
    struct slot_pattern pattern;
    struct slot_encoder *inner; /* of its slots; owned */
    bool is_inner;
    bool gave_way;  /* a dictionary to numbers */
    bool is_dict;   /* the strings are those of a dictionary */
    unsigned avoid; /* enum avoid */
};

/* What not to do this time, when several ways are compared. */
enum avoid {
    AVOID_DICT = 1,
    AVOID_PATTERN = 2,
    AVOID_TEXT_GUESS = 4, /* lines where lengths look better, and the other way round */
    AVOID_HEX_GUESS = 8,  /* planes likewise */
    AVOID_JOINED = 16,
    AVOID_NUMBERS = 32, /* a dictionary, though numbers in its values would do */
};

struct slot_encoder *slot_encoder_new(void)
{
    struct slot_encoder *e = mem_new(sizeof(*e));

    e->magic = SLOT_ENCODER_MAGIC;
    return e;
}

void slot_encoder_free(struct slot_encoder **pe)
{
    struct slot_encoder *e = *pe;

    if (e == NULL)
        return;
    OBJ_CHECK(e, SLOT_ENCODER_MAGIC);
    slot_number_encoder_fini(&e->number);
    free(e->v);
    slot_distinct_fini(&e->distinct);
    free(e->entry);
    free(e->sorted);
    free(e->value);
    free(e->key);
    free(e->spare);
    free(e->rank);
    slot_pattern_fini(&e->pattern);
    slot_encoder_free(&e->inner);
    e->magic = 0;
    free(e);
    *pe = NULL;
}

static bool same(struct str a, struct str b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

/* ---- INT ---- */

/* The eight digits at `p`, or false. */
static bool eight_digits(const char *p, uint64_t *ret)
{
    uint64_t v = le_get64(p);
    uint64_t low = v - UINT64_C(0x3030303030303030);

    if (((v & UINT64_C(0xf0f0f0f0f0f0f0f0)) ^ UINT64_C(0x3030303030303030)) != 0 ||
        ((low + UINT64_C(0x0606060606060606)) & UINT64_C(0xf0f0f0f0f0f0f0f0)) != 0)
        return false;
    low = low * 10 + (low >> 8);
    *ret = ((low & UINT64_C(0x000000ff000000ff)) * UINT64_C(0x000f424000000064) +
            (low >> 16 & UINT64_C(0x000000ff000000ff)) * UINT64_C(0x0000271000000001)) >>
           32;
    return true;
}

/* All of `s` as digits that fit 64 bits. */
static bool parse(struct str s, uint64_t *ret)
{
    uint64_t v = 0;
    size_t i = 0;

    if (s.n == 0 || s.n > SLOT_DIGITS_MAX)
        return false;
    for (; s.n - i >= 8 && i < 16; i += 8) {
        uint64_t eight;
        if (!eight_digits(s.p + i, &eight))
            return false;
        v = v * 100000000 + eight;
    }
    for (; i < s.n; i++) {
        unsigned digit = (unsigned)(uint8_t)s.p[i] - '0';
        if (digit > 9)
            return false;
        if (i == SLOT_DIGITS_MAX - 1 && v > (UINT64_MAX - digit) / 10)
            return false;
        v = v * 10 + digit;
    }
    *ret = v;
    return true;
}

static bool try_int(struct slot_encoder *e, const struct str *v, size_t n, bool small,
                    struct buf *out, struct slot_stamp *s)
{
    size_t length = v[0].n;
    bool one_length = true;
    bool leads = false;
    uint64_t min = UINT64_MAX;
    uint64_t max = 0;

    for (size_t i = 0; i < n; i++) {
        if (!parse(v[i], &e->v[i]))
            return false;
        one_length &= v[i].n == length;
        leads |= v[i].p[0] == '0' && v[i].n > 1;
        if (leads && !one_length)
            return false;
        min = e->v[i] < min ? e->v[i] : min;
        max = e->v[i] > max ? e->v[i] : max;
    }
    s->kind = SLOT_INT;
    s->classes = SLOT_DIGIT;
    s->min = min;
    s->max = max;
    s->width = leads ? (uint32_t)length : 0;
    s->min_len = leads ? s->width : slot_digits(min);
    s->max_len = leads ? s->width : slot_digits(max);
    slot_number_put(&e->number, e->v, n, small, out);
    return true;
}

/* ---- TEXT, and the values of a dictionary ---- */

static void note_length(struct slot_stamp *s, size_t n)
{
    s->min_len = n < s->min_len ? (uint32_t)n : s->min_len;
    s->max_len = n > s->max_len ? (uint32_t)n : s->max_len;
}

/* Lengths, then bytes. */
static void put_lengths(struct slot_encoder *e, const struct str *v, size_t n, size_t total,
                        bool small, struct buf *out)
{
    char *p;

    for (size_t i = 0; i < n; i++)
        e->v[i] = v[i].n;
    slot_number_put(&e->number, e->v, n, small, out);
    p = buf_room(out, total + 1);
    if (p == NULL)
        return;
    out->n += total;
    for (size_t i = 0; i < n; i++) {
        if (v[i].n > 0)
            memcpy(p, v[i].p, v[i].n);
        p += v[i].n;
    }
}

/* Each ended by a newline: text that comes again then comes with its end, which is less than a
 * length for each. */
static void put_lines(const struct str *v, size_t n, size_t total, struct buf *out)
{
    char *p;

    buf_add_char(out, SLOT_WAY_LINES);
    p = buf_room(out, total + n);
    if (p == NULL)
        return;
    out->n += total + n;
    for (size_t i = 0; i < n; i++) {
        if (v[i].n > 0)
            memcpy(p, v[i].p, v[i].n);
        p += v[i].n;
        *p++ = '\n';
    }
}

static bool try_hex(const struct slot_encoder *e, const struct str *v, size_t n,
                    const struct slot_stamp *s, struct buf *out)
{
    struct slot_hex h;

    if (s->min_len != s->max_len || !slot_hex_fits(v, n, s->classes, &h))
        return false;
    slot_hex_put(&h, v, n, e->repeats, (e->avoid & AVOID_HEX_GUESS) != 0, out);
    return true;
}

static bool is_hex(const struct str *v, size_t n)
{
    struct slot_hex h;
    unsigned classes = 0;

    for (size_t i = 0; i < n && (classes & ~(unsigned)(SLOT_HEX_CLASSES | SLOT_DASH)) == 0; i++)
        classes |= slot_classes(v[i]);
    return slot_hex_fits(v, n, classes, &h);
}

/* Do values of these classes look like ids in base 36 or 64?  In those nothing comes again but what
 * they begin with, and zstd does best when it sees neither that nor where they end. */
static bool is_random(unsigned classes)
{
    const unsigned upper = SLOT_HEX_UPPER | SLOT_UPPER;
    const unsigned lower = SLOT_HEX_LOWER | SLOT_LOWER;
    const unsigned all = SLOT_DIGIT | upper | lower | SLOT_DASH | SLOT_UNDERSCORE;

    return (classes & ~all) == 0 && (classes & SLOT_DIGIT) != 0 && (classes & upper) != 0 &&
           (classes & lower) != 0;
}

static struct slot_encoder *inner_of(struct slot_encoder *e)
{
    if (e->inner == NULL) {
        e->inner = slot_encoder_new();
        e->inner->is_inner = true;
    }
    return e->inner;
}

static bool try_pattern(struct slot_encoder *e, const struct str *v, size_t n, bool small,
                        const struct slot_stamp *s, struct buf *out)
{
    struct slot_pattern *p = &e->pattern;

    if (e->is_inner || (e->avoid & AVOID_PATTERN) != 0 || n < PATTERN_MIN ||
        s->max_len > PATTERN_BYTES_MAX || (s->classes & SLOT_DIGIT) == 0)
        return false;
    if (!slot_pattern_numbers(p, v, n)) {
        if (!e->is_dict && slot_forms_put(p, inner_of(e), v, n, small, out))
            return true;
        if (!slot_pattern_frame(p, v, n) ||
            !((is_random(s->classes) && !e->repeats) || is_hex(p->value, n)))
            return false;
    }
    slot_pattern_put(p, inner_of(e), n, small, out);
    return true;
}

/* Strings in whichever way fits best; *s gets their lengths and classes, and the kind that a column
 * of nothing else is of. */
static void put_strings(struct slot_encoder *e, const struct str *v, size_t n, bool small,
                        struct buf *out, struct slot_stamp *s)
{
    const unsigned words = ~(unsigned)(SLOT_HEX_CLASSES | SLOT_DOT | SLOT_DASH | SLOT_CONTROL);
    unsigned classes = 0;
    size_t total = 0;

    s->min_len = UINT32_MAX;
    s->max_len = 0;
    for (size_t i = 0; i < n; i++) {
        total += v[i].n;
        classes |= slot_classes(v[i]);
        note_length(s, v[i].n);
    }
    s->classes = (uint16_t)classes;
    if (try_hex(e, v, n, s, out)) {
        s->kind = SLOT_HEX;
    } else if (try_pattern(e, v, n, small, s, out)) {
        s->kind = SLOT_PATTERN;
    } else {
        bool lines = s->min_len != s->max_len && (classes & words) != 0 &&
                     (e->repeats || !is_random(classes));
        s->kind = SLOT_TEXT;
        if (lines != ((e->avoid & AVOID_TEXT_GUESS) != 0) && (classes & SLOT_CONTROL) == 0)
            put_lines(v, n, total, out);
        else
            put_lengths(e, v, n, total, small, out);
    }
}

/* ---- DICT ---- */

static void grow_entries(struct slot_encoder *e, size_t max)
{
    if (max <= e->entry_cap)
        return;
    e->entry = mem_grow(e->entry, max * sizeof(*e->entry));
    e->sorted = mem_grow(e->sorted, max * sizeof(*e->sorted));
    e->value = mem_grow(e->value, max * sizeof(*e->value));
    e->key = mem_grow(e->key, max * sizeof(*e->key));
    e->spare = mem_grow(e->spare, max * sizeof(*e->spare));
    e->rank = mem_grow(e->rank, max * sizeof(*e->rank));
    e->entry_cap = max;
}

/* Distinct values in e->entry, the id of each value, both by appearance; how many, 0: more than
 * `max`, or too costly to find out. */
static size_t find_distinct(struct slot_encoder *e, const struct str *v, size_t n, size_t max)
{
    size_t places = slot_distinct_open(&e->distinct, n, max);
    size_t count = 0;
    size_t check = DICT_SAMPLE;

    e->repeats = false;
    grow_entries(e, max);
    for (size_t i = 0; i < n; i++) {
        unsigned probes = 0;
        size_t at;
        if (i == check) {
            e->repeats = i - count > i / 8;
            if (!slot_distinct_may_repeat(i, count, n, DICT_SHARE))
                return 0;
            check *= 4;
        }
        if (i > 0 && same(v[i], v[i - 1])) {
            e->distinct.id[i] = e->distinct.id[i - 1];
            continue;
        }
        at = (size_t)hash_bytes(v[i].p, v[i].n, 1) & (places - 1);
        while (e->distinct.table[at] != 0 &&
               !same(e->entry[e->distinct.table[at] - 1].value, v[i])) {
            at = (at + 1) & (places - 1);
            if (++probes > DICT_PROBES)
                return 0;
        }
        if (e->distinct.table[at] == 0) {
            if (count == max) {
                e->repeats = i - count > i / 8;
                return 0;
            }
            e->entry[count] = (struct entry){v[i], (uint32_t)count};
            e->distinct.table[at] = (uint32_t)++count;
        }
        e->distinct.id[i] = e->distinct.table[at] - 1;
    }
    return count;
}

/* Bytes that all entries begin with. */
static size_t common_prefix(const struct entry *entry, size_t count)
{
    size_t n = entry[0].value.n;

    for (size_t i = 1; i < count; i++) {
        size_t k = 0;
        size_t m = entry[i].value.n < n ? entry[i].value.n : n;
        while (k < m && entry[i].value.p[k] == entry[0].value.p[k])
            k++;
        n = k;
    }
    return n;
}

static int compare_entries(const void *a, const void *b)
{
    return str_cmp(((const struct entry *)a)->value, ((const struct entry *)b)->value);
}

/* e->sorted and e->rank: by the eight bytes behind what all share, what is equal then one by one.
 */
static void sort_entries(struct slot_encoder *e, size_t count)
{
    size_t prefix = common_prefix(e->entry, count);

    for (size_t i = 0; i < count; i++) {
        struct str rest = str_sub(e->entry[i].value, prefix, 8);
        uint64_t key = 0;
        for (size_t k = 0; k < rest.n; k++)
            key |= (uint64_t)(uint8_t)rest.p[k] << (56 - 8 * k);
        e->key[i] = (struct slot_number_key){key, (uint32_t)i};
    }
    slot_number_sort(e->key, e->spare, count);
    for (size_t i = 0; i < count; i++)
        e->sorted[i] = e->entry[e->key[i].id];
    for (size_t i = 0, end; i < count; i = end) {
        for (end = i + 1; end < count && e->key[end].key == e->key[i].key;)
            end++;
        if (end - i > 1)
            qsort(e->sorted + i, end - i, sizeof(*e->sorted), compare_entries);
    }
    for (size_t i = 0; i < count; i++)
        e->rank[e->sorted[i].id] = (uint32_t)i;
}

static void put_ids(const struct slot_encoder *e, size_t n, unsigned width, struct buf *out)
{
    uint8_t *p = (uint8_t *)buf_room(out, n * width + 1);

    if (p == NULL)
        return;
    if (width == 1)
        for (size_t i = 0; i < n; i++)
            p[i] = (uint8_t)e->rank[e->distinct.id[i]];
    else
        for (size_t i = 0; i < n; i++)
            le_put16(p + 2 * i, (uint16_t)e->rank[e->distinct.id[i]]);
    out->n += n * width;
}

/* Whether a dictionary of so many gives way to columns of the numbers in its values: those are
 * asked by arithmetic, a large dictionary must be written out. */
static bool has_numbers(struct slot_encoder *e, size_t count)
{
    if (count <= DICT_LARGE || e->is_inner || (e->avoid & (AVOID_PATTERN | AVOID_NUMBERS)) != 0)
        return false;
    for (size_t i = 0; i < count; i++) {
        e->value[i] = e->entry[i].value;
        if (e->value[i].n > PATTERN_BYTES_MAX)
            return false;
    }
    e->gave_way =
        slot_pattern_numbers(&e->pattern, e->value, count) || slot_forms_fit(e->value, count);
    return e->gave_way;
}

static bool try_dict(struct slot_encoder *e, const struct str *v, size_t n, bool small,
                     struct buf *out, struct slot_stamp *s)
{
    size_t max = n / DICT_SHARE < SLOT_DICT_MAX ? n / DICT_SHARE : SLOT_DICT_MAX;
    size_t count;

    if (n < DICT_MIN)
        return false;
    if ((e->avoid & AVOID_DICT) != 0)
        return false; /* and what is known of repeats stays so */
    count = find_distinct(e, v, n, max);
    if (count == 0 || has_numbers(e, count))
        return false;
    sort_entries(e, count);
    varint_put(out, count);
    put_ids(e, n, count <= 256 ? 1 : 2, out);
    for (size_t i = 0; i < count; i++)
        e->value[i] = e->sorted[i].value;
    e->repeats = false;
    e->is_dict = true;
    put_strings(e, e->value, count, small, out, s);
    e->is_dict = false;
    s->kind = SLOT_DICT;
    return true;
}

/* ---- times ---- */

static bool try_joined(struct slot_encoder *e, const struct str *v, size_t n, bool small,
                       struct buf *out, struct slot_stamp *s)
{
    struct slot_joined j;

    if (e->is_inner || (e->avoid & AVOID_JOINED) != 0 || n < PATTERN_MIN ||
        !slot_joined_fits(v, n, small, e->v, &j))
        return false;
    s->kind = SLOT_PATTERN;
    s->classes = slot_classes(v[0]);
    s->min_len = s->max_len = j.length;
    slot_joined_put(&j, v[0], out);
    slot_number_put(&e->number, e->v, n, small, out);
    return true;
}

/* ---- all ---- */

static void put_column(struct slot_encoder *e, const struct str *v, size_t n, bool small,
                       struct buf *out, struct slot_stamp *s)
{
    size_t before = out->n;

    if (!try_int(e, v, n, small, out, s) && !try_joined(e, v, n, small, out, s) &&
        !try_dict(e, v, n, small, out, s))
        put_strings(e, v, n, small, out, s);
    s->bytes = (uint32_t)(out->n - before);
}

/* Other ways than the usual one, worth trying when it gave `kind`, whose first byte is `way`; 0
 * ends the list. */
static const unsigned *other_ways(enum slot_kind kind, uint8_t way, bool gave_way)
{
    static const unsigned JOINED[] = {AVOID_JOINED, AVOID_JOINED | AVOID_DICT,
                                      AVOID_JOINED | AVOID_PATTERN, 0};
    static const unsigned DICT[] = {AVOID_DICT, AVOID_DICT | AVOID_PATTERN, 0};
    static const unsigned PATTERN[] = {AVOID_PATTERN, 0};
    static const unsigned NUMBERS[] = {AVOID_PATTERN, AVOID_NUMBERS, 0};
    static const unsigned TEXT[] = {AVOID_TEXT_GUESS, 0};
    static const unsigned HEX[] = {AVOID_HEX_GUESS, 0};
    static const unsigned NONE[] = {0};

    switch (kind) {
    case SLOT_DICT:
        return DICT;
    case SLOT_PATTERN:
        return way == SLOT_WAY_JOINED ? JOINED : gave_way ? NUMBERS : PATTERN;
    case SLOT_TEXT:
        return TEXT;
    case SLOT_HEX:
        return HEX;
    case SLOT_CONST:
    case SLOT_INT:
    case SLOT_KINDS:
        break;
    }
    return NONE;
}

/* The usual way, or another that saves enough: the usual one is the quickest to read, and a large
 * dictionary the slowest. */
static void put_smallest(struct slot_encoder *e, const struct str *v, size_t n, struct buf *out,
                         struct slot_stamp *s)
{
    struct slot_scale *scale = &e->number.scale;
    size_t before = out->n;
    unsigned best = 0;
    const unsigned *way;
    size_t least;
    bool gave_way;

    e->gave_way = false;
    put_column(e, v, n, true, out, s);
    if (out->over)
        return;
    gave_way = e->gave_way;
    way = other_ways(s->kind, (uint8_t)out->p[before], gave_way);
    if (*way == 0)
        return;
    least = slot_weigh(scale, str_from(buf_str(out), before));
    least -= least / WORTH;
    do {
        size_t weight;
        e->avoid = *way;
        out->n = before;
        put_column(e, v, n, true, out, s);
        weight = slot_weigh(scale, str_from(buf_str(out), before));
        weight += gave_way && s->kind == SLOT_DICT ? weight / WORTH : 0;
        if (weight < least) {
            least = weight;
            best = *way;
        }
    } while (*++way != 0);
    if (best != e->avoid) {
        e->avoid = best;
        out->n = before;
        put_column(e, v, n, true, out, s);
    }
    e->avoid = 0;
}

void slot_encode(struct slot_encoder *e, const struct str *v, size_t n, bool small, struct buf *out,
                 struct slot_stamp *ret)
{
    struct slot_stamp s = {0};
    size_t equal = 1;

    OBJ_CHECK(e, SLOT_ENCODER_MAGIC);
    INVARIANT(n > 0);
    while (equal < n && same(v[equal], v[0]))
        equal++;
    if (equal == n) {
        s.kind = SLOT_CONST;
        s.constant = v[0];
        s.classes = slot_classes(v[0]);
        s.min_len = s.max_len = (uint32_t)v[0].n;
        *ret = s;
        return;
    }
    if (n > e->v_cap) {
        e->v = mem_grow(e->v, n * sizeof(*e->v));
        e->v_cap = n;
    }
    if (small && n >= TRIAL_MIN)
        put_smallest(e, v, n, out, &s);
    else
        put_column(e, v, n, small, out, &s);
    *ret = s;
}
