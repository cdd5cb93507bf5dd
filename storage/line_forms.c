/*
 * storage/line_forms.c - the automaton over a PATTERN column of a few forms.  Contract:
 * line_eval.h.
 *
 * What stands around the numbers is run once for each form.  Where finders tell which numbers hold
 * a literal, those of all forms are asked at once and none is printed; else numbers are run in
 * turn for each state that is in front of some.
 */
#include "storage/line_eval.h"

enum { ROWS_SHARE = 8 }; /* all numbers are searched when one row in so many is asked for */

struct forms {
    struct line_eval *e;
    const uint16_t *after;
    struct line_rows rows;
    struct slot_forms f;
    uint16_t front[SLOT_FORMS_MAX]; /* the state in front of the number, or behind the value */
    uint16_t rest[SLOT_FORMS_MAX];  /* behind a value whose number holds no literal */
};

/* The one state behind `form` for all numbers without a literal, by its target; DFA_UNKNOWN: there
 * are several. */
static unsigned state_behind(const struct forms *f, const struct slot_form *form)
{
    const struct dfa *d = f->e->d;
    unsigned one = DFA_UNKNOWN;
    struct line_reach r;

    if (!line_graph_reach(f->e->g, &f->f.stamp, DFA_FIRST, &r))
        return DFA_UNKNOWN;
    for (uint32_t j = 0; j < r.n; j++) {
        unsigned s;
        if (r.list[j] == DFA_MATCH)
            continue;
        s = dfa_run(d, r.list[j], form->behind);
        if (s == DFA_UNKNOWN)
            return s;
        if (one != DFA_UNKNOWN && s != one &&
            line_graph_target(f->after, s) != line_graph_target(f->after, one))
            return DFA_UNKNOWN;
        one = s;
    }
    return one;
}

/* Whether finders settle all numbers; then f->rest is known. */
static bool can_find(struct forms *f)
{
    if (f->rows.n < f->e->g->t->rows / ROWS_SHARE)
        return false;
    for (size_t k = 0; k < f->f.n; k++) {
        const struct slot_form *form = &f->f.form[k];
        unsigned s = f->front[k];
        if (form->has_number && s != DFA_MATCH) {
            if (!line_find_is_exact(f->e, &f->f.stamp, s))
                return false;
            s = state_behind(f, form);
        }
        if (s == DFA_UNKNOWN)
            return false;
        f->rest[k] = (uint16_t)s;
    }
    return true;
}

/* All that hold nothing have one target: then those that do are noted. */
static bool settle(struct forms *f, const uint64_t *held, uint64_t *found)
{
    unsigned rest = DFA_UNKNOWN;
    bool any = false;
    size_t rank = 0;

    for (size_t i = 0; i < (f->f.n_numbers + 63) / 64; i++)
        any = any || held[i] != 0;
    for (size_t k = 0; k < f->f.n; k++) {
        unsigned s = f->rest[k];
        any = any || s == DFA_MATCH;
        if (s == DFA_MATCH)
            continue;
        if (rest != DFA_UNKNOWN &&
            line_graph_target(f->after, s) != line_graph_target(f->after, rest))
            return false;
        rest = s;
    }
    if (rest == DFA_UNKNOWN)
        return false;
    f->e->settled = true;
    f->e->rest = rest;
    f->e->found = any ? found : NULL;
    for (size_t i = 0; any && i < f->e->g->t->rows; i++) {
        size_t k = f->f.id[i];
        bool hit = f->rest[k] == DFA_MATCH;
        if (f->f.form[k].has_number) {
            hit = hit || (held[rank / 64] >> (rank % 64) & 1) != 0;
            rank++;
        }
        found[i / 64] |= (uint64_t)hit << (i % 64);
    }
    return true;
}

/* 1: it cannot be done so. */
static int find(struct forms *f, struct err *err)
{
    struct line_eval *e = f->e;
    uint64_t *held;
    uint64_t *found;
    size_t rank = 0;
    size_t at = 0;
    int r;

    if (!can_find(f))
        return 1;
    held = arena_alloc(e->a, (f->f.n_numbers + 63) / 64 * sizeof(*held));
    found = arena_alloc(e->a, (e->g->t->rows + 63) / 64 * sizeof(*found));
    if (held == NULL || found == NULL)
        return arena_err(e->a, err);
    r = line_find_values(e, &f->f.stamp, f->f.bytes, f->f.n_numbers, held, err);
    if (r != 0 || settle(f, held, found))
        return r;
    for (size_t i = 0; i < f->rows.n; i++) {
        size_t k = f->f.id[line_rank(f->rows, i)];
        for (; at < line_rank(f->rows, i); at++)
            rank += f->f.form[f->f.id[at]].has_number;
        e->state[i] = f->rest[k];
        if (f->f.form[k].has_number && (held[rank / 64] >> (rank % 64) & 1) != 0)
            e->state[i] = DFA_MATCH;
    }
    return 0;
}

/* ---- numbers run ---- */

/* Numbers of rows whose form has `state` in front of it: their ranks, and the places in rows. */
static struct line_rows numbers_in(const struct forms *f, unsigned state, uint32_t *list,
                                   uint32_t *place)
{
    struct line_rows some = {list, 0};
    uint32_t rank = 0;
    size_t at = 0;

    for (size_t i = 0; i < f->rows.n; i++) {
        size_t row = line_rank(f->rows, i);
        size_t k = f->f.id[row];
        for (; at < row; at++)
            rank += f->f.form[f->f.id[at]].has_number;
        if (!f->f.form[k].has_number || f->front[k] != state)
            continue;
        list[some.n] = rank;
        place[some.n++] = (uint32_t)i;
    }
    return some;
}

/* A form before k has the same state in front of its number. */
static bool is_done(const struct forms *f, size_t k)
{
    for (size_t i = 0; i < k; i++)
        if (f->f.form[i].has_number && f->front[i] == f->front[k])
            return true;
    return false;
}

static int run(struct forms *f, struct err *err)
{
    struct line_eval *e = f->e;
    struct slot_view v = {.n = 0};
    uint16_t *state = arena_alloc(e->a, f->rows.n * sizeof(*state));
    uint32_t *list = arena_alloc(e->a, f->rows.n * sizeof(*list));
    uint32_t *place = arena_alloc(e->a, f->rows.n * sizeof(*place));
    int r = state == NULL || list == NULL || place == NULL
                ? arena_err(e->a, err)
                : slot_forms_numbers(&f->f, e->a, &v, err);

    for (size_t i = 0; r == 0 && i < f->rows.n; i++)
        state[i] = f->front[f->f.id[line_rank(f->rows, i)]];
    for (size_t k = 0; r == 0 && k < f->f.n; k++) {
        struct line_rows some;
        if (!f->f.form[k].has_number || is_done(f, k))
            continue;
        some = numbers_in(f, f->front[k], list, place);
        r = line_column_run(e, &v, f->front[k], some, err);
        for (size_t i = 0; r == 0 && i < some.n; i++) {
            size_t id = f->f.id[line_rank(f->rows, place[i])];
            state[place[i]] = (uint16_t)dfa_run(e->d, e->state[i], f->f.form[id].behind);
        }
    }
    for (size_t i = 0; r == 0 && i < f->rows.n; i++)
        e->state[i] = state[i];
    return r;
}

int line_forms_run(struct line_eval *e, size_t template, size_t slot, unsigned state,
                   struct line_rows rows, struct err *err)
{
    struct forms *f;
    struct str bytes = STR_NULL;
    int r;

    if (e->g->column[slot].stamp.kind != SLOT_PATTERN)
        return 1;
    f = arena_alloc(e->a, sizeof(*f));
    if (f == NULL)
        return arena_err(e->a, err);
    *f = (struct forms){.e = e, .after = line_graph_after(e->g, slot), .rows = rows};
    r = lines_slot_bytes(e->l, template, slot, &bytes, err);
    if (r == 0)
        r = slot_forms_open(&e->g->column[slot].stamp, bytes, e->g->t->rows, &f->f, err);
    if (r != 0)
        return r;
    for (size_t k = 0; k < f->f.n; k++)
        f->front[k] = (uint16_t)dfa_run(e->d, state, f->f.form[k].before);
    r = find(f, err);
    return r == 1 ? run(f, err) : r;
}
