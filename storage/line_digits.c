/*
 * storage/line_digits.c - the automaton over hex digits as they are packed.  Contract: line_eval.h.
 *
 * Two digits are one byte, so a table for each state says where a byte leads: half the steps of
 * the text, which is never written.  An id that is looked for as a whole, or a literal whose dashes
 * leave it few places, is compared in binary.
 */
#include "storage/le.h"
#include "storage/line_eval.h"
#include "storage/line_nibble.h"

enum {
    BYTES = 256,
    PAIRS_MAX = 128, /* tables made at most */
    LANES = 8,       /* values at a time: a step waits for the one before it */
    PLACES = 4,      /* compared in binary at most */
    STRIP = 64,      /* values of which a plane is compared at a time: bits of a word */
};

struct run {
    struct line_eval *e;
    const struct slot_digits *d;
    const uint16_t **pair;
    unsigned at_byte[SLOT_DASHES_MAX]; /* each dash stands before this byte */
    bool odd;                          /* the last byte is one digit */
    bool full;                         /* too many tables, or out of memory */
};

static uint8_t digit_of(unsigned v, bool upper)
{
    return (uint8_t)(v < 10 ? '0' + v : (upper ? 'A' : 'a') + v - 10);
}

static unsigned step_digit(const struct run *r, unsigned state, unsigned v)
{
    return dfa_step(r->e->d, state, digit_of(v, r->d->upper));
}

static const uint16_t *make_pair(struct run *r, unsigned state)
{
    uint16_t *to = NULL;

    if (r->e->pairs < PAIRS_MAX)
        to = (uint16_t *)arena_alloc(r->e->a, BYTES * sizeof(*to));
    if (to == NULL) {
        r->full = true;
        return NULL;
    }
    for (unsigned high = 0; high < 16; high++) {
        unsigned s = step_digit(r, state, high);
        for (unsigned low = 0; low < 16; low++)
            to[high << 4 | low] = (uint16_t)step_digit(r, s, low);
    }
    r->pair[state] = to;
    r->e->pairs++;
    return to;
}

static inline unsigned step_pair(struct run *r, unsigned state, uint8_t byte)
{
    const uint16_t *t = r->pair[state];

    if (t == NULL)
        t = make_pair(r, state);
    return t == NULL ? state : t[byte];
}

/* Bytes [from, to) of some values. */
static void run_bytes(struct run *r, const uint8_t *const p[LANES], size_t from, size_t to,
                      unsigned s[LANES])
{
    size_t column = r->d->column;

    for (size_t k = from; k < to; k++)
        for (size_t i = 0; i < LANES; i++)
            s[i] = step_pair(r, s[i], p[i][k * column]);
}

static void run_lanes(struct run *r, const uint8_t *const p[LANES], unsigned s[LANES])
{
    const struct slot_digits *d = r->d;
    size_t whole = d->width - r->odd;
    size_t at = 0;

    for (size_t k = 0; k < d->n_dashes; k++) {
        run_bytes(r, p, at, r->at_byte[k], s);
        at = r->at_byte[k];
        for (size_t i = 0; i < LANES; i++)
            s[i] = dfa_step(r->e->d, s[i], '-');
    }
    run_bytes(r, p, at, whole, s);
    for (size_t i = 0; r->odd && i < LANES; i++)
        s[i] = step_digit(r, s[i], p[i][whole * d->column] >> 4);
}

static void run_rows(struct run *r, unsigned state, struct line_rows rows)
{
    const struct slot_digits *d = r->d;

    for (size_t i = 0; i < rows.n && !r->full; i += LANES) {
        size_t n = rows.n - i < LANES ? rows.n - i : LANES;
        const uint8_t *p[LANES];
        unsigned s[LANES];
        for (size_t k = 0; k < LANES; k++) { /* what is left over goes the way of the last */
            p[k] = d->bytes + line_rank(rows, i + (k < n ? k : n - 1)) * d->row;
            s[k] = state;
        }
        run_lanes(r, p, s);
        for (size_t k = 0; k < n; k++)
            r->e->state[i + k] = (uint16_t)s[k];
    }
}

/* Dashes stand between whole bytes in all ids that are known; others take the way of text. */
static bool place_dashes(struct run *r)
{
    const struct slot_digits *d = r->d;

    r->odd = (d->length - d->n_dashes) % 2 != 0;
    for (unsigned k = 0; k < d->n_dashes; k++) {
        unsigned digits = d->dash[k] - k;
        if (digits % 2 != 0)
            return false;
        r->at_byte[k] = digits / 2;
    }
    return true;
}

/* ---- few places ---- */

/* A literal somewhere in a value: what is left of the value's bytes under `mask` is `value`. */
struct place {
    size_t from, to; /* bytes that count */
    uint8_t value[BYTES], mask[BYTES];
};

/* The needle at `offset` of a value; false: dashes or digits do not allow it. */
static bool fit(const struct find *f, const struct slot_digits *d, size_t offset, struct place *ret)
{
    size_t dash = 0;
    size_t digit;

    while (dash < d->n_dashes && d->dash[dash] < offset)
        dash++;
    digit = offset - dash;
    memset(ret, 0, sizeof(*ret));
    ret->from = digit / 2;
    for (size_t i = 0; i < f->needle.n; i++) {
        unsigned v;
        if (dash < d->n_dashes && d->dash[dash] == offset + i) {
            dash++;
            if (f->needle.p[i] != '-')
                return false;
            continue;
        }
        v = line_nibble_of(f, i, d->upper);
        if (v == 16)
            return false;
        ret->value[digit / 2] |= (uint8_t)(digit % 2 == 0 ? v << 4 : v);
        ret->mask[digit / 2] |= digit % 2 == 0 ? 0xf0 : 0x0f;
        digit++;
    }
    ret->to = (digit + 1) / 2;
    return true;
}

/* Values in planes, STRIP at a time, plane after plane as long as one may be it. */
static void compare_planes(const struct slot_digits *d, const struct place *pl, size_t n,
                           uint64_t *found)
{
    for (size_t at = 0; at < n; at += STRIP) {
        size_t m = n - at < STRIP ? n - at : STRIP;
        uint8_t equal[STRIP];
        uint8_t any = 1;
        memset(equal, 1, sizeof(equal));
        for (size_t k = pl->from; k < pl->to && any != 0; k++) {
            const uint8_t *p = d->bytes + k * d->column + at;
            any = 0;
            for (size_t i = 0; i < m; i++) {
                equal[i] &= (p[i] & pl->mask[k]) == pl->value[k];
                any |= equal[i];
            }
        }
        for (size_t i = 0; i < m && any != 0; i++)
            found[at / STRIP] |= (uint64_t)equal[i] << i;
    }
}

static bool is_at(const struct slot_digits *d, const uint8_t *p, const struct place *pl)
{
    size_t k = pl->from;

    while (k < pl->to && (p[k * d->column] & pl->mask[k]) == pl->value[k])
        k++;
    return k == pl->to;
}

/* Values one after the other; where eight bytes count, those are looked at together. */
static void compare_rows(const struct slot_digits *d, const struct place *pl, size_t n,
                         uint64_t *found)
{
    bool wide = d->column == 1 && pl->to - pl->from >= 8;
    uint64_t value = wide ? le_get64(pl->value + pl->from) : 0;
    uint64_t mask = wide ? le_get64(pl->mask + pl->from) : 0;

    for (size_t i = 0; i < n; i++) {
        const uint8_t *p = d->bytes + i * d->row;
        if (wide && (le_get64(p + pl->from) & mask) != value)
            continue;
        if (is_at(d, p, pl))
            found[i / 64] |= UINT64_C(1) << (i % 64);
    }
}

/* The literal is compared where it fits, if those are few places; else looked for.  false: neither
 * can be done. */
static bool find_literal(const struct find *f, const struct slot_digits *d, size_t n,
                         uint64_t *found)
{
    struct place place[PLACES];
    size_t n_places = 0;

    for (size_t at = 0; at + f->needle.n <= d->length; at++) {
        struct place one;
        if (!fit(f, d, at, &one))
            continue;
        if (n_places == PLACES)
            return line_nibble_mark(f, d, n, found);
        place[n_places++] = one;
    }
    for (size_t k = 0; k < n_places; k++) {
        if (d->row == 1)
            compare_planes(d, &place[k], n, found);
        else
            compare_rows(d, &place[k], n, found);
    }
    return true;
}

int line_digits_find(struct line_eval *e, const struct slot_stamp *s, struct str bytes, size_t n,
                     uint64_t *found, struct err *err)
{
    struct slot_digits d;
    int r = slot_digits_open(s, bytes, n, &d, err);

    for (size_t i = 0; r == 0 && i < e->needle->n; i++)
        r = !find_literal(&e->needle->find[i], &d, n, found);
    return r;
}

int line_digits_run(struct line_eval *e, const struct line_at *at, struct str bytes,
                    struct line_rows rows, struct err *err)
{
    struct slot_digits d;
    struct run run = {.e = e, .d = &d};
    int r = slot_digits_open(at->stamp, bytes, at->n, &d, err);

    if (r != 0)
        return r;
    if (!place_dashes(&run))
        return 1;
    run.pair = e->pair[d.upper];
    run_rows(&run, at->state, rows);
    return run.full ? 1 : 0;
}
