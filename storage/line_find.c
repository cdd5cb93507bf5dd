/*
 * storage/line_find.c - literals found in columns as they are packed.  Contract: line_eval.h.
 *
 * A filter that looks for nothing but literals finds them inside of a value, or not; where the
 * automaton is behind a value without any does not matter when all such values have one target.
 * Then numbers are asked by arithmetic, hex digits two at a time, text by a finder over all of it,
 * and nothing is written out; rows that hold a literal are few.
 */
#include "storage/line_eval.h"
#include "storage/line_number.h"

enum { ROWS_SHARE = 8 }; /* the whole column is searched when one row in so many is asked for */

/* A state that stands for all in which nothing was found, since they have one target; DFA_UNKNOWN:
 * they have several. */
static unsigned common_rest(const struct dfa *d, const uint16_t *after)
{
    unsigned rest = DFA_UNKNOWN;

    for (unsigned s = DFA_FIRST; s < d->n_states; s++) {
        if (after[s] == LINE_NOT_YET)
            continue;
        if (rest != DFA_UNKNOWN && after[s] != after[rest])
            return DFA_UNKNOWN;
        rest = s;
    }
    return rest;
}

static unsigned never_state(const struct dfa *d, const uint16_t *after)
{
    for (unsigned s = DFA_FIRST; s < d->n_states; s++)
        if (after[s] == LINE_NEVER)
            return s;
    return DFA_UNKNOWN;
}

/* Where no byte is above 0x7f, a value without what each match needs holds none, and no question
 * either. */
unsigned line_find_rest(const struct line_eval *e, const struct line_at *at)
{
    const struct line_needle *w = e->needle;
    bool ascii = (at->stamp->classes & SLOT_HIGH) == 0;
    unsigned rest = DFA_UNKNOWN;

    if (at->after == NULL || w->n == 0 || (w->ascii && !ascii) || at->state != DFA_FIRST)
        return DFA_UNKNOWN;
    if (w->whole || ascii)
        rest = common_rest(e->d, at->after);
    return rest == DFA_UNKNOWN && at->alone ? never_state(e->d, at->after) : rest;
}

bool line_find_is_exact(const struct line_eval *e, const struct slot_stamp *s, unsigned state)
{
    const struct line_needle *w = e->needle;

    return w->n > 0 && w->whole && state == DFA_FIRST &&
           (!w->ascii || (s->classes & SLOT_HIGH) == 0);
}

/* ---- numbers ---- */

struct numbers {
    struct line_number number;
    uint64_t *found;
};

static void mark_numbers(void *arg, const uint64_t *v, size_t n, size_t first)
{
    struct numbers *to = arg;

    line_number_mark(&to->number, v, n, first, to->found);
}

static int find_numbers(const struct line_eval *e, const struct slot_stamp *s, struct str bytes,
                        size_t n, uint64_t *found, struct err *err)
{
    struct numbers to = {.found = found};

    if (!line_number_init(&to.number, e->needle, s))
        return 1;
    return to.number.n == 0 ? 0 : slot_numbers_each(s, bytes, n, e->a, mark_numbers, &to, err);
}

bool line_find_numbers(const struct line_eval *e, const struct slot_stamp *s, const uint64_t *v,
                       size_t n, uint64_t *found)
{
    struct line_number number;

    if (!line_number_init(&number, e->needle, s))
        return false;
    line_number_mark(&number, v, n, 0, found);
    return true;
}

/* ---- text ---- */

static int find_text(const struct line_eval *e, const struct slot_stamp *s, struct str bytes,
                     size_t n, uint64_t *found, struct err *err)
{
    struct str text = STR_NULL;
    bool any = false;
    int r = slot_peek(s, bytes, n, &text, err);

    for (size_t i = 0; i < e->needle->n && r == 0; i++)
        any = any || find_next(&e->needle->find[i], text, 0) != SIZE_MAX;
    if (r != 0 || !any)
        return r;
    r = slot_lines_open(s, bytes, &text);
    for (size_t i = 0; i < e->needle->n && r == 0; i++)
        find_ended(&e->needle->find[i], text, n, found);
    return r;
}

int line_find_values(struct line_eval *e, const struct slot_stamp *s, struct str bytes, size_t n,
                     uint64_t *found, struct err *err)
{
    int r;

    if (s->kind == SLOT_INT)
        return find_numbers(e, s, bytes, n, found, err);
    r = line_digits_find(e, s, bytes, n, found, err);
    return r == 1 ? find_text(e, s, bytes, n, found, err) : r;
}

/* ---- a column ---- */

/* Nothing that a match needs is in the column: then all rows are in `rest`. */
static int peek(struct line_eval *e, const struct line_at *at, struct str bytes, struct err *err)
{
    struct str text = STR_NULL;
    int r = slot_peek(at->stamp, bytes, at->n, &text, err);

    for (size_t i = 0; i < e->needle->n && r == 0; i++)
        r = find_next(&e->needle->find[i], text, 0) != SIZE_MAX;
    return r;
}

int line_find_column(struct line_eval *e, const struct line_at *at, struct str bytes,
                     struct line_rows rows, struct err *err)
{
    unsigned rest = line_find_rest(e, at);
    uint64_t *found = NULL;
    int r;

    if (rest == DFA_UNKNOWN)
        return 1;
    if (!line_find_is_exact(e, at->stamp, at->state) || rows.n < at->n / ROWS_SHARE) {
        r = peek(e, at, bytes, err);
    } else {
        found = arena_alloc(e->a, (at->n + 63) / 64 * sizeof(*found));
        if (found == NULL)
            return arena_err(e->a, err);
        r = line_find_values(e, at->stamp, bytes, at->n, found, err);
    }
    if (r != 0)
        return r;
    e->settled = true;
    e->rest = rest;
    e->found = found;
    return 0;
}
