/*
 * storage/line_parts.c - the automaton over a PATTERN column.  Contract: line_eval.h.
 *
 * Its parts are to the column what slots are to a template: a part is opened only if the states
 * behind it, and behind the piece that follows, depend on its values.  Rows are in one state for as
 * long as that is so, else each has its own.
 */
#include "storage/line_eval.h"

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
};

static int flow_init(struct flow *f, struct err *err)
{
    size_t n = f->rows.n;
    size_t states = f->e->d->n_states;
    struct arena *a = f->e->a;

    f->state = arena_alloc(a, n * sizeof(*f->state));
    f->list = arena_alloc(a, n * sizeof(*f->list));
    f->place = arena_alloc(a, n * sizeof(*f->place));
    f->found = arena_alloc(a, states * sizeof(*f->found));
    f->map = arena_alloc(a, states * sizeof(*f->map));
    return f->state == NULL || f->list == NULL || f->place == NULL || f->found == NULL ||
                   f->map == NULL
               ? arena_err(a, err)
               : 0;
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

/* Whether all that part k may hold lead to one state behind the next piece, or one target behind
 * the last: then the part is passed without a look. */
static bool pass_part(struct flow *f, const struct slot_parts *p, size_t k)
{
    const struct dfa *d = f->e->d;
    bool last = k + 1 == p->n;
    unsigned one = 0;
    bool any = false;

    survey(f);
    for (size_t i = 0; i < f->n_found; i++) {
        struct line_reach r;
        if (!line_graph_reach(f->e->g, &p->stamp[k], f->found[i], &r))
            return false;
        for (uint32_t j = 0; j < r.n; j++) {
            unsigned s = dfa_run(d, r.list[j], p->piece[k + 1]);
            bool equal = s == one || (last && line_graph_target(f->after, s) ==
                                                  line_graph_target(f->after, one));
            if (any && !equal)
                return false;
            one = s;
            any = true;
        }
    }
    f->mixed = false;
    f->same = one;
    return any;
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
        r = over_part(&f, k, err);
        if (r == 0)
            over_piece(&f, p->piece[k + 1]);
    }
    for (size_t i = 0; i < rows.n && r == 0; i++)
        e->state[i] = f.mixed ? f.state[i] : (uint16_t)f.same;
    return r;
}
