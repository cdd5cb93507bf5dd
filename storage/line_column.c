/*
 * storage/line_column.c - the automaton over the values of one column.  Contract: line_eval.h.
 *
 * Numbers are not printed: they are cut into groups of three digits, and a table for each state
 * says where a group leads.  Only a number's first group has fewer digits; in columns without
 * leading zeros it may be the first, or the second, ..., so the state "no digit yet" has a table of
 * its own, and a number of any length takes the same steps.
 */
#include "storage/line_eval.h"

enum {
    GROUPS_MAX = 7,  /* of a number: 20 digits */
    TABLES_MAX = 96, /* made at most; more states take the slow way */
    LONG_VALUE = 64,
    TEXT_SHARE = 8, /* search the whole text when one value in so many is asked for */
};

static void run_each(struct line_eval *e, const struct slot_view *v, unsigned state,
                     struct line_rows rows)
{
    for (size_t i = 0; i < rows.n; i++) {
        char room[SLOT_ROOM];
        struct str value = slot_value(v, line_rank(rows, i), room);
        e->state[i] = (uint16_t)dfa_run(e->d, state, value);
    }
}

static void set_all(struct line_eval *e, unsigned state, struct line_rows rows)
{
    for (size_t i = 0; i < rows.n; i++)
        e->state[i] = (uint16_t)state;
}

/* ---- numbers ---- */

/* The states after `digits` digits, by number: 10^digits of them, in `to`. */
static void run_digits(const struct dfa *d, unsigned state, unsigned digits, uint16_t *to)
{
    static const unsigned UNITS[] = {1, 10, 100};
    unsigned unit;

    if (digits == 0) {
        *to = (uint16_t)state;
        return;
    }
    unit = UNITS[digits - 1];
    for (unsigned c = 0; c < 10; c++)
        run_digits(d, dfa_step(d, state, (uint8_t)('0' + c)), digits - 1, to + c * unit);
}

static const uint16_t *make_group(struct line_eval *e, unsigned state, struct err *err)
{
    uint16_t *to = arena_alloc(e->a, LINE_GROUP * sizeof(*to));

    if (to == NULL) {
        (void)arena_err(e->a, err);
        return NULL;
    }
    run_digits(e->d, state, 3, to);
    e->group[state] = to;
    e->groups++;
    return to;
}

/* What the first `digits` digits of a number do; 0: as many as there are, and no digit leads to
 * the state behind all others. */
static const uint16_t *make_first(struct line_eval *e, unsigned state, unsigned digits,
                                  struct err *err)
{
    uint16_t *to = arena_alloc(e->a, LINE_GROUP * sizeof(*to));
    uint16_t all[LINE_GROUP];

    if (to == NULL) {
        (void)arena_err(e->a, err);
        return NULL;
    }
    for (unsigned n = digits == 0 ? 1 : digits; n <= (digits == 0 ? 3 : digits); n++) {
        unsigned count = n == 1 ? 10 : n == 2 ? 100 : 1000;
        unsigned from = digits == 0 ? count / 10 : 0;
        run_digits(e->d, state, n, all);
        memcpy(to + from, all + from, (count - from) * sizeof(*to));
    }
    if (digits == 0)
        to[0] = e->d->n_states;
    e->first[digits][state] = to;
    return to;
}

/* Tables for all states that digits lead to from those in `from`.  1: too many. */
static int close_groups(struct line_eval *e, const uint16_t *from, struct err *err)
{
    const uint16_t *todo[TABLES_MAX + 1];
    size_t n = 0;

    todo[n++] = from;
    while (n > 0) {
        const uint16_t *t = todo[--n];
        for (size_t i = 0; i < LINE_GROUP; i++) {
            const uint16_t *made;
            if (t[i] == e->d->n_states || e->group[t[i]] != NULL)
                continue;
            if (e->groups == TABLES_MAX) {
                e->open = true; /* some table leads to states that have none: use none any more */
                return 1;
            }
            made = make_group(e, t[i], err);
            if (made == NULL)
                return err->code;
            todo[n++] = made;
        }
    }
    return 0;
}

static inline unsigned walk(const uint16_t *first, const uint16_t *const *group, uint64_t v,
                            unsigned n)
{
    unsigned g[GROUPS_MAX];
    unsigned s;

    for (unsigned i = n; i-- > 1; v /= LINE_GROUP)
        g[i] = (unsigned)(v % LINE_GROUP);
    s = first[v < LINE_GROUP ? v : LINE_GROUP - 1]; /* above: not what the stamp said */
    for (unsigned i = 1; i < n; i++)
        s = group[s][g[i]];
    return s;
}

/* One loop for each count of groups, so that the steps are laid out flat. */
#define WALK_ALL(groups_of)                                                                        \
    for (size_t i = 0; i < rows.n; i++) {                                                          \
        unsigned s = walk(first, e->group, number[line_rank(rows, i)], groups_of);                 \
        e->state[i] = (uint16_t)(s == none ? zero : s);                                            \
    }

static void walk_all(struct line_eval *e, const uint64_t *number, const uint16_t *first, unsigned n,
                     unsigned zero, struct line_rows rows)
{
    unsigned none = e->d->n_states;

    switch (n) {
    case 1:
        WALK_ALL(1)
        break;
    case 2:
        WALK_ALL(2)
        break;
    case 3:
        WALK_ALL(3)
        break;
    case 4:
        WALK_ALL(4)
        break;
    default:
        WALK_ALL(n)
        break;
    }
}

static unsigned digits_of(uint64_t v)
{
    unsigned n = 1;

    for (; v >= 10; v /= 10)
        n++;
    return n;
}

static int run_numbers(struct line_eval *e, const struct slot_view *v, unsigned state,
                       struct line_rows rows, struct err *err)
{
    uint64_t most = 0;
    unsigned digits = v->width;
    unsigned lead = 0;
    const uint16_t *first;
    int r;

    if (digits == 0) {
        for (size_t i = 0; i < rows.n; i++) {
            uint64_t x = v->number[line_rank(rows, i)];
            most = x > most ? x : most;
        }
        digits = digits_of(most);
    } else {
        lead = digits % 3 == 0 ? 3 : digits % 3;
    }
    first = e->first[lead][state];
    if (first == NULL)
        first = make_first(e, state, lead, err);
    if (first == NULL)
        return err->code;
    r = digits <= 3 ? 0 : e->open ? 1 : close_groups(e, first, err);
    if (r < 0)
        return r;
    if (r == 1 || digits > 3 * GROUPS_MAX) {
        run_each(e, v, state, rows);
        return 0;
    }
    e->group[e->d->n_states] = first; /* where no digit was yet; used when lead == 0 */
    walk_all(e, v->number, first, (digits + 2) / 3, dfa_step(e->d, state, '0'), rows);
    return 0;
}

/* ---- dictionaries ---- */

static int run_dict(struct line_eval *e, const struct slot_view *v, unsigned state,
                    struct line_rows rows, struct err *err)
{
    uint16_t *of_entry;

    if (rows.n < v->n_entries) {
        run_each(e, v, state, rows);
        return 0;
    }
    of_entry = arena_alloc(e->a, v->n_entries * sizeof(*of_entry) + 1);
    if (of_entry == NULL)
        return arena_err(e->a, err);
    for (size_t i = 0; i < v->n_entries; i++)
        of_entry[i] = (uint16_t)dfa_run(e->d, state, v->entry[i]);
    for (size_t i = 0; i < rows.n; i++)
        e->state[i] = of_entry[v->id[line_rank(rows, i)]];
    return 0;
}

/* ---- text ---- */

static struct str text_of(const struct slot_view *v, size_t rank)
{
    uint32_t from = rank == 0 ? 0 : v->end[rank - 1];

    return (struct str){v->text.p + from, v->end[rank] - from};
}

/* Four values at a time: a step waits for the step before it, and four wait no longer than one. */
static void run_four(const struct dfa *d, const struct str value[4], unsigned state, uint16_t *ret)
{
    unsigned s[4] = {state, state, state, state};
    size_t n = value[0].n;

    for (size_t k = 1; k < 4; k++)
        n = value[k].n < n ? value[k].n : n;
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < 4; k++)
            s[k] = d->wide[s[k] << 8 | (uint8_t)value[k].p[i]];
    for (size_t k = 0; k < 4; k++)
        ret[k] = (uint16_t)dfa_run(d, s[k], str_from(value[k], n));
}

static void run_text(struct line_eval *e, const struct slot_view *v, unsigned state,
                     struct line_rows rows)
{
    size_t i = 0;

    for (; e->d->wide != NULL && rows.n - i >= 4; i += 4) {
        struct str value[4];
        size_t bytes = 0;
        for (size_t k = 0; k < 4; k++) {
            value[k] = text_of(v, line_rank(rows, i + k));
            bytes += value[k].n;
        }
        if (bytes > 4 * LONG_VALUE) /* skipping is faster */
            break;
        run_four(e->d, value, state, e->state + i);
    }
    for (; i < rows.n; i++)
        e->state[i] = (uint16_t)dfa_run(e->d, state, text_of(v, line_rank(rows, i)));
}

int line_column_run(struct line_eval *e, const struct slot_view *v, unsigned state,
                    struct line_rows rows, struct err *err)
{
    switch (v->kind) {
    case SLOT_VIEW_CONST:
        set_all(e, dfa_run(e->d, state, v->constant), rows);
        return 0;
    case SLOT_VIEW_INT:
        return run_numbers(e, v, state, rows, err);
    case SLOT_VIEW_DICT:
        return run_dict(e, v, state, rows, err);
    case SLOT_VIEW_TEXT:
        run_text(e, v, state, rows);
        return 0;
    }
    return 0;
}

/* Values with a literal in them are found; of others the last bytes say where the automaton is. */
static void set_literals(struct line_eval *e, const struct slot_view *v, const uint64_t *marked,
                         unsigned rest, struct line_rows rows)
{
    size_t tail = e->needle->longest - 1;

    for (size_t i = 0; i < rows.n; i++) {
        size_t rank = line_rank(rows, i);
        struct str value;
        if ((marked[rank / 64] >> (rank % 64) & 1) != 0) {
            e->state[i] = DFA_MATCH;
            continue;
        }
        if (rest != DFA_UNKNOWN) {
            e->state[i] = (uint16_t)rest;
            continue;
        }
        value = text_of(v, rank);
        if (value.n > tail)
            value = str_from(value, value.n - tail);
        e->state[i] = (uint16_t)dfa_run(e->d, DFA_FIRST, value);
    }
}

/* Lines with what each match needs are run, others settled. */
static void set_candidates(struct line_eval *e, const struct slot_view *v, const uint64_t *marked,
                           unsigned never, struct line_rows rows)
{
    for (size_t i = 0; i < rows.n; i++) {
        size_t rank = line_rank(rows, i);
        bool worth = (marked[rank / 64] >> (rank % 64) & 1) != 0;
        e->state[i] = (uint16_t)(worth ? dfa_run(e->d, DFA_FIRST, text_of(v, rank)) : never);
    }
}

int line_column_find(struct line_eval *e, const struct slot_view *v, const struct line_at *at,
                     struct line_rows rows, struct err *err)
{
    const struct line_needle *w = e->needle;
    unsigned rest = line_find_rest(e, at);
    bool exact = line_find_is_exact(e, at->stamp, at->state);
    uint64_t *marked;

    if (v->kind != SLOT_VIEW_TEXT || rows.n < v->n / TEXT_SHARE || (!exact && rest == DFA_UNKNOWN))
        return line_column_run(e, v, at->state, rows, err);
    marked = arena_alloc(e->a, (v->n + 63) / 64 * sizeof(*marked));
    if (marked == NULL)
        return arena_err(e->a, err);
    line_needle_mark(w, v->text, v->end, v->n, marked);
    if (exact)
        set_literals(e, v, marked, rest, rows);
    else
        set_candidates(e, v, marked, rest, rows);
    return 0;
}
