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
    struct line_forms *column;
    const uint16_t *after;
    struct line_rows rows;
    struct line_reach reach;        /* behind the numbers from DFA_FIRST; n == 0: not asked yet */
    bool used[SLOT_FORMS_MAX];      /* by some of the rows; nothing is known of others */
    uint16_t front[SLOT_FORMS_MAX]; /* the state in front of the number, or behind the value */
    uint16_t rest[SLOT_FORMS_MAX];  /* behind a value whose number holds no literal */
};

/* ---- the column ---- */

/* The forms of a column; those of the last one asked for are kept, and what was opened of them:
 * rows come to a column in as many lots as there are ways to it. */
static int get_forms(struct line_eval *e, size_t template, size_t slot, struct err *err)
{
    struct line_forms *p = e->forms;
    struct str bytes = STR_NULL;
    int r;

    if (p != NULL && p->known && p->template == template && p->slot == slot)
        return 0;
    if (p == NULL)
        p = e->forms = arena_alloc(e->a, sizeof(*p));
    if (p == NULL)
        return arena_err(e->a, err);
    p->known = false;
    p->view.n = 0;
    p->rank = NULL;
    r = lines_slot_bytes(e->l, template, slot, &bytes, err);
    if (r == 0)
        r = slot_forms_open(&e->g->column[slot].stamp, bytes, e->g->t->rows, &p->forms, err);
    p->known = r == 0;
    p->template = template;
    p->slot = slot;
    return r;
}

static int open_numbers(struct forms *f, struct err *err)
{
    struct line_forms *p = f->column;

    return p->view.n > 0 ? 0 : slot_forms_numbers(&p->forms, f->e->a, &p->view, err);
}

static int count_ranks(struct forms *f, struct err *err)
{
    struct line_forms *p = f->column;
    size_t n = f->e->g->t->rows;
    uint32_t before = 0;
    uint32_t *rank;

    if (p->rank != NULL)
        return 0;
    rank = arena_room(f->e->a, n, sizeof(*rank));
    if (rank == NULL)
        return arena_err(f->e->a, err);
    for (size_t i = 0; i < n; i++) {
        rank[i] = before;
        before += p->forms.form[p->forms.id[i]].has_number;
    }
    p->rank = rank;
    return 0;
}

/* What stands in front of the numbers is run, for forms that rows are of. */
static void run_fronts(struct forms *f, unsigned state)
{
    const struct slot_forms *s = &f->column->forms;

    for (size_t i = 0; i < f->rows.n; i++)
        f->used[s->id[line_rank(f->rows, i)]] = true;
    for (size_t k = 0; k < s->n; k++)
        if (f->used[k])
            f->front[k] = (uint16_t)dfa_run(f->e->d, state, s->form[k].before);
}

/* ---- numbers asked ---- */

/* The one state behind `form` for all numbers without a literal, by its target; DFA_UNKNOWN: there
 * are several. */
static unsigned state_behind(struct forms *f, const struct slot_form *form)
{
    const struct dfa *d = f->e->d;
    unsigned one = DFA_UNKNOWN;

    if (f->reach.n == 0 &&
        !line_graph_reach(f->e->g, &f->column->forms.stamp, DFA_FIRST, &f->reach))
        return DFA_UNKNOWN;
    for (uint32_t j = 0; j < f->reach.n; j++) {
        unsigned s;
        if (f->reach.list[j] == DFA_MATCH)
            continue;
        s = dfa_run(d, f->reach.list[j], form->behind);
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
    const struct slot_forms *s = &f->column->forms;

    if (f->rows.n < f->e->g->t->rows / ROWS_SHARE)
        return false;
    for (size_t k = 0; k < s->n; k++) {
        unsigned rest = f->front[k];
        if (!f->used[k])
            continue;
        if (s->form[k].has_number && rest != DFA_MATCH) {
            if (!line_find_is_exact(f->e, &s->stamp, rest))
                return false;
            rest = state_behind(f, &s->form[k]);
        }
        if (rest == DFA_UNKNOWN)
            return false;
        f->rest[k] = (uint16_t)rest;
    }
    return true;
}

/* All that hold nothing have one target: then those that do are noted. */
static bool settle(struct forms *f, const uint64_t *held, uint64_t *found)
{
    const struct slot_forms *s = &f->column->forms;
    unsigned rest = DFA_UNKNOWN;
    bool any = false;
    size_t rank = 0;

    for (size_t i = 0; i < (s->n_numbers + 63) / 64; i++)
        any = any || held[i] != 0;
    for (size_t k = 0; k < s->n; k++) {
        unsigned to = f->rest[k];
        if (!f->used[k])
            continue;
        any = any || to == DFA_MATCH;
        if (to == DFA_MATCH)
            continue;
        if (rest != DFA_UNKNOWN &&
            line_graph_target(f->after, to) != line_graph_target(f->after, rest))
            return false;
        rest = to;
    }
    if (rest == DFA_UNKNOWN)
        return false;
    f->e->settled = true;
    f->e->rest = rest;
    f->e->found = any ? found : NULL;
    for (size_t i = 0; any && i < f->e->g->t->rows; i++) {
        size_t k = s->id[i];
        bool hit = f->used[k] && f->rest[k] == DFA_MATCH;
        if (s->form[k].has_number) {
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
    const struct slot_forms *s = &f->column->forms;
    uint64_t *held;
    uint64_t *found;
    int r;

    if (!can_find(f))
        return 1;
    held = arena_alloc(e->a, (s->n_numbers + 63) / 64 * sizeof(*held));
    found = arena_alloc(e->a, (e->g->t->rows + 63) / 64 * sizeof(*found));
    if (held == NULL || found == NULL)
        return arena_err(e->a, err);
    r = line_find_values(e, &s->stamp, s->bytes, s->n_numbers, held, err);
    if (r != 0 || settle(f, held, found))
        return r;
    r = count_ranks(f, err);
    for (size_t i = 0; r == 0 && i < f->rows.n; i++) {
        size_t row = line_rank(f->rows, i);
        size_t k = s->id[row];
        size_t rank = f->column->rank[row];
        e->state[i] = f->rest[k];
        if (s->form[k].has_number && (held[rank / 64] >> (rank % 64) & 1) != 0)
            e->state[i] = DFA_MATCH;
    }
    return r;
}

/* ---- numbers run ---- */

/* Numbers of rows whose form has `state` in front of it: their ranks, and the places in rows. */
static struct line_rows numbers_in(const struct forms *f, unsigned state, uint32_t *list,
                                   uint32_t *place)
{
    const struct slot_forms *s = &f->column->forms;
    struct line_rows some = {list, 0};

    for (size_t i = 0; i < f->rows.n; i++) {
        size_t row = line_rank(f->rows, i);
        size_t k = s->id[row];
        if (!s->form[k].has_number || f->front[k] != state)
            continue;
        list[some.n] = f->column->rank[row];
        place[some.n++] = (uint32_t)i;
    }
    return some;
}

/* Whether form k is the first in use with its state in front of a number. */
static bool is_first(const struct forms *f, size_t k)
{
    const struct slot_form *form = f->column->forms.form;

    for (size_t i = 0; i < k; i++)
        if (f->used[i] && form[i].has_number && f->front[i] == f->front[k])
            return false;
    return f->used[k] && form[k].has_number;
}

static int run(struct forms *f, struct err *err)
{
    struct line_eval *e = f->e;
    const struct slot_forms *s = &f->column->forms;
    uint16_t *state = arena_alloc(e->a, f->rows.n * sizeof(*state));
    uint32_t *list = arena_alloc(e->a, f->rows.n * sizeof(*list));
    uint32_t *place = arena_alloc(e->a, f->rows.n * sizeof(*place));
    int r = state == NULL || list == NULL || place == NULL ? arena_err(e->a, err)
                                                           : open_numbers(f, err);

    if (r == 0)
        r = count_ranks(f, err);
    for (size_t i = 0; r == 0 && i < f->rows.n; i++)
        state[i] = f->front[s->id[line_rank(f->rows, i)]];
    for (size_t k = 0; r == 0 && k < s->n; k++) {
        struct line_rows some;
        if (!is_first(f, k))
            continue;
        some = numbers_in(f, f->front[k], list, place);
        r = line_column_run(e, &f->column->view, f->front[k], some, err);
        for (size_t i = 0; r == 0 && i < some.n; i++) {
            size_t id = s->id[line_rank(f->rows, place[i])];
            state[place[i]] = (uint16_t)dfa_run(e->d, e->state[i], s->form[id].behind);
        }
    }
    for (size_t i = 0; r == 0 && i < f->rows.n; i++)
        e->state[i] = state[i];
    return r;
}

int line_forms_run(struct line_eval *e, size_t template, size_t slot, unsigned state,
                   struct line_rows rows, struct err *err)
{
    struct forms f = {.e = e, .after = line_graph_after(e->g, slot), .rows = rows};
    int r;

    if (e->g->column[slot].stamp.kind != SLOT_PATTERN)
        return 1;
    r = get_forms(e, template, slot, err);
    if (r != 0)
        return r;
    f.column = e->forms;
    run_fronts(&f, state);
    r = find(&f, err);
    return r == 1 ? run(&f, err) : r;
}
