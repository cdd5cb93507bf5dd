/*
 * storage/line_parts.c - the automaton over a PATTERN column.  Contract: line_eval.h.
 *
 * Its parts are to the column what slots are to a template: a part is opened only if the states
 * behind it, and behind the piece that follows, depend on its values.  Rows are in one state for as
 * long as that is so, else each has its own.
 */
#include "storage/line_eval.h"

enum { ROWS_SHARE = 8 }; /* a whole part is searched when one row in so many is asked for */

struct flow {
    struct line_eval *e;
    const uint16_t *after;
    struct line_rows rows;
    bool mixed;      /* each row has its own state */
    unsigned same;   /* of all, if not */
    uint16_t *state; /* by place in rows */
    uint16_t *found; /* states that rows are in: n_found of them */
    size_t n_found;
    uint32_t *list, *place; /* rows of one state: rank, place in rows */
    uint16_t *map;          /* by state, scratch */
    uint64_t *held;         /* rows in which a part holds a literal, by rank; NULL: none */
};

static int flow_init(struct flow *f, struct err *err)
{
    size_t states = f->e->d->n_states;

    f->found = arena_alloc(f->e->a, states * sizeof(*f->found));
    f->map = arena_alloc(f->e->a, states * sizeof(*f->map));
    return f->found == NULL || f->map == NULL ? arena_err(f->e->a, err) : 0;
}

/* For states of each row. */
static int make_room(struct flow *f, struct err *err)
{
    size_t n = f->rows.n;
    struct arena *a = f->e->a;

    if (f->state != NULL)
        return 0;
    f->state = arena_alloc(a, n * sizeof(*f->state));
    f->list = arena_alloc(a, n * sizeof(*f->list));
    f->place = arena_alloc(a, n * sizeof(*f->place));
    return f->state == NULL || f->list == NULL || f->place == NULL ? arena_err(a, err) : 0;
}

/* Which states rows are in. */
static void survey(struct flow *f)
{
    f->n_found = 0;
    if (!f->mixed) {
        f->found[f->n_found++] = (uint16_t)f->same;
        return;
    }
    memset(f->map, 0, f->e->d->n_states * sizeof(*f->map));
    for (size_t i = 0; i < f->rows.n; i++)
        if (f->map[f->state[i]] == 0) {
            f->map[f->state[i]] = 1;
            f->found[f->n_found++] = f->state[i];
        }
    f->mixed = f->n_found > 1;
    f->same = f->found[0];
}

static void over_piece(struct flow *f, struct str piece)
{
    const struct dfa *d = f->e->d;

    survey(f);
    f->same = dfa_run(d, f->same, piece);
    if (!f->mixed)
        return;
    for (size_t i = 0; i < f->n_found; i++)
        f->map[f->found[i]] = (uint16_t)dfa_run(d, f->found[i], piece);
    for (size_t i = 0; i < f->rows.n; i++)
        f->state[i] = f->map[f->state[i]];
}

/* The one state behind part k and the next piece (behind the last: one of those with one target)
 * for all that the part may hold after any state that rows are in; DFA_UNKNOWN: there are several.
 * `unless_found`: for what holds no literal. */
static unsigned state_behind(struct flow *f, const struct slot_parts *p, size_t k,
                             bool unless_found)
{
    const struct dfa *d = f->e->d;
    bool last = k + 1 == p->n;
    unsigned one = DFA_UNKNOWN;

    for (size_t i = 0; i < f->n_found; i++) {
        struct line_reach r;
        if (!line_graph_reach(f->e->g, &p->stamp[k], f->found[i], &r))
            return DFA_UNKNOWN;
        for (uint32_t j = 0; j < r.n; j++) {
            unsigned s;
            if (unless_found && r.list[j] == DFA_MATCH)
                continue;
            s = dfa_run(d, r.list[j], p->piece[k + 1]);
            if (s == DFA_UNKNOWN)
                return s;
            if (one != DFA_UNKNOWN && s != one &&
                (!last || line_graph_target(f->after, s) != line_graph_target(f->after, one)))
                return DFA_UNKNOWN;
            one = s;
        }
    }
    return one;
}

/* Whether part k can be passed without a look. */
static bool pass_part(struct flow *f, const struct slot_parts *p, size_t k)
{
    unsigned one;

    survey(f);
    one = state_behind(f, p, k, false);
    if (one == DFA_UNKNOWN)
        return false;
    f->mixed = false;
    f->same = one;
    return true;
}

/* Rows that are in `state`. */
static struct line_rows rows_in(struct flow *f, unsigned state)
{
    struct line_rows some = {f->list, 0};

    for (size_t i = 0; i < f->rows.n; i++)
        if (f->state[i] == state) {
            f->list[some.n] = (uint32_t)line_rank(f->rows, i);
            f->place[some.n++] = (uint32_t)i;
        }
    return some;
}

/* The parts of a column; those of the last one asked for are kept. */
static int get_parts(struct line_eval *e, size_t template, size_t slot, struct err *err)
{
    struct line_parts *p = &e->parts;
    struct str bytes;
    int r;

    if (p->known && p->template == template && p->slot == slot)
        return 0;
    *p = (struct line_parts){.template = template, .slot = slot};
    r = lines_slot_bytes(e->l, template, slot, &bytes, err);
    if (r == 0)
        r = slot_parts_open(&e->g->column[slot].stamp, bytes, &p->parts, err);
    p->known = r == 0;
    return r;
}

/* The states of `rows` behind part k, in e->state. */
static int run_part(struct line_eval *e, size_t k, unsigned state, struct line_rows rows,
                    struct err *err)
{
    struct line_parts *p = &e->parts;
    const struct line_at at = {.stamp = &p->parts.stamp[k], .n = e->g->t->rows, .state = state};
    int r = 1;

    if (!p->parts.joined)
        r = line_digits_run(e, &at, p->parts.bytes[k], rows, err);
    if (r != 1)
        return r;
    r = p->view[k].n > 0 ? 0 : slot_part_open(&p->parts, k, at.n, e->a, &p->view[k], err);
    return r < 0 ? r : line_column_run(e, &p->view[k], state, rows, err);
}

static int find_values(struct line_eval *e, size_t k, uint64_t *held, struct err *err)
{
    struct line_parts *p = &e->parts;
    const struct slot_stamp *s = &p->parts.stamp[k];
    size_t n = e->g->t->rows;
    int r;

    if (!p->parts.joined)
        return line_find_values(e, s, p->parts.bytes[k], n, held, err);
    r = p->view[k].n > 0 ? 0 : slot_part_open(&p->parts, k, n, e->a, &p->view[k], err);
    return r < 0 ? r : line_find_numbers(e, s, p->view[k].number, n, held) ? 0 : 1;
}

/* Rows of which part k holds a literal are noted, all others are in one state behind it and the
 * next piece.  1: that is not so, or finders do not tell. */
static int find_part(struct flow *f, const struct slot_parts *p, size_t k, struct err *err)
{
    struct line_eval *e = f->e;
    size_t words = (e->g->t->rows + 63) / 64;
    uint64_t *held;
    unsigned rest;
    int r;

    if (f->mixed || !line_find_is_exact(e, &p->stamp[k], f->same) ||
        f->rows.n < e->g->t->rows / ROWS_SHARE)
        return 1;
    rest = state_behind(f, p, k, true);
    if (rest == DFA_UNKNOWN || rest == DFA_MATCH)
        return 1;
    held = arena_alloc(e->a, words * sizeof(*held));
    if (held == NULL)
        return arena_err(e->a, err);
    r = find_values(e, k, held, err);
    if (r != 0)
        return r;
    for (size_t i = 0; f->held != NULL && i < words; i++)
        held[i] |= f->held[i];
    f->held = held;
    f->same = rest;
    return 0;
}

/* Rows that hold a literal are in DFA_MATCH, whatever came behind it. */
static void put_held(struct flow *f)
{
    for (size_t i = 0; i < f->rows.n; i++) {
        size_t rank = line_rank(f->rows, i);
        if ((f->held[rank / 64] >> (rank % 64) & 1) != 0)
            f->e->state[i] = DFA_MATCH;
    }
}

static int over_part(struct flow *f, size_t k, struct err *err)
{
    struct line_eval *e = f->e;
    uint16_t *behind;
    int r = 0;

    survey(f);
    if (!f->mixed) {
        r = run_part(e, k, f->same, f->rows, err);
        if (r == 0)
            memcpy(f->state, e->state, f->rows.n * sizeof(*f->state));
        f->mixed = true;
        return r;
    }
    behind = arena_alloc(e->a, f->rows.n * sizeof(*behind));
    if (behind == NULL)
        return arena_err(e->a, err);
    for (size_t i = 0; i < f->n_found && r == 0; i++) {
        struct line_rows some = rows_in(f, f->found[i]);
        r = run_part(e, k, f->found[i], some, err);
        for (size_t j = 0; j < some.n && r == 0; j++)
            behind[f->place[j]] = e->state[j];
    }
    f->state = behind;
    return r;
}

int line_parts_run(struct line_eval *e, size_t template, size_t slot, unsigned state,
                   struct line_rows rows, struct err *err)
{
    struct flow f = {.e = e, .after = line_graph_after(e->g, slot), .rows = rows};
    const struct slot_parts *p = &e->parts.parts;
    int r;

    if (e->g->column[slot].stamp.kind != SLOT_PATTERN)
        return 1;
    r = get_parts(e, template, slot, err);
    if (r == 0)
        r = flow_init(&f, err);
    if (r != 0)
        return r;
    f.same = dfa_run(e->d, state, p->piece[0]);
    for (size_t k = 0; k < p->n && r == 0; k++) {
        if (pass_part(&f, p, k))
            continue;
        r = find_part(&f, p, k, err);
        if (r != 1)
            continue;
        r = make_room(&f, err);
        if (r == 0)
            r = over_part(&f, k, err);
        if (r == 0)
            over_piece(&f, p->piece[k + 1]);
    }
    if (r < 0)
        return r;
    e->settled = !f.mixed;
    e->rest = f.same;
    e->found = f.held;
    for (size_t i = 0; i < rows.n && f.mixed; i++)
        e->state[i] = f.state[i];
    if (f.mixed && f.held != NULL)
        put_held(&f);
    return 0;
}
