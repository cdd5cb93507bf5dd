/*
 * storage/line_eval.c - see line_eval.h.
 *
 * Edges lead to later slots only, so nodes are done slot by slot, and a node is done once, with all
 * rows that come to it.  A column is opened when rows come to a node of it.
 */
#include "storage/line_eval.h"

/* Rows that came to a node, in pieces. */
struct crowd {
    struct crowd *next;
    struct line_rows rows;
};

struct walk {
    struct line_eval *e;
    size_t template;
    bool has_row;         /* row is known: it costs reading the ids */
    const uint32_t *row;  /* of rank; NULL: the same */
    struct crowd **crowd; /* at node */
    size_t *count;        /* by target, scratch */
    size_t n_targets;
};

int line_eval_init(struct line_eval *e, struct line_graph *g, const struct line_needle *needle,
                   struct lines *l, struct err *err)
{
    const struct lines_plan *p = lines_plan_of(l);
    size_t words = (p->rows + 63) / 64;
    size_t states = g->d->n_states;
    bool ok;

    *e = (struct line_eval){.d = g->d, .l = l, .a = g->a, .g = g, .needle = needle};
    e->hits = arena_alloc(e->a, words * sizeof(*e->hits));
    e->asks = arena_alloc(e->a, words * sizeof(*e->asks));
    e->group = arena_alloc(e->a, (states + 1) * sizeof(*e->group));
    ok = e->hits != NULL && e->asks != NULL && e->group != NULL;
    for (size_t i = 0; i < LINE_WAYS && ok; i++) {
        e->first[i] = arena_alloc(e->a, states * sizeof(*e->first[i]));
        ok = e->first[i] != NULL;
    }
    for (size_t i = 0; i < 2 && ok; i++) {
        e->pair[i] = arena_alloc(e->a, states * sizeof(*e->pair[i]));
        ok = e->pair[i] != NULL;
    }
    return ok ? 0 : arena_err(e->a, err);
}

static int set_bits(struct walk *w, uint64_t *bits, struct line_rows rows, struct err *err)
{
    int r = w->has_row ? 0 : lines_rows(w->e->l, w->template, &w->row, err);

    if (r < 0)
        return r;
    w->has_row = true;
    for (size_t i = 0; i < rows.n; i++) {
        size_t rank = line_rank(rows, i);
        size_t row = w->row == NULL ? rank : w->row[rank];
        bits[row / 64] |= UINT64_C(1) << (row % 64);
    }
    return 0;
}

static int arrive(struct walk *w, unsigned target, struct line_rows rows, struct err *err)
{
    struct crowd *c;

    if (rows.n == 0 || target == LINE_NEVER)
        return 0;
    if (target < LINE_NODE)
        return set_bits(w, target == LINE_ALWAYS ? w->e->hits : w->e->asks, rows, err);
    c = arena_alloc(w->e->a, sizeof(*c));
    if (c == NULL)
        return arena_err(w->e->a, err);
    c->rows = rows;
    c->next = w->crowd[target - LINE_NODE];
    w->crowd[target - LINE_NODE] = c;
    return 0;
}

/* Room for n numbers and one more, which a loop without branches may write; not zeroed. */
static uint32_t *list_room(struct arena *a, size_t n)
{
    char *p = arena_bytes(a, (n + 2) * sizeof(uint32_t));

    return p == NULL ? NULL : (uint32_t *)(void *)(p + (4 - (uintptr_t)p % 4) % 4);
}

/* Rows by target: those of `rows` at the places given, whose targets are not the common one. */
static int part_rest(struct walk *w, const uint16_t *target, struct line_rows rows,
                     const uint32_t *rest, size_t n_rest, struct err *err)
{
    const uint16_t *state = w->e->state;
    uint32_t **to = arena_alloc(w->e->a, w->n_targets * sizeof(*to));
    int r = 0;

    if (to == NULL)
        return arena_err(w->e->a, err);
    memset(w->count, 0, w->n_targets * sizeof(*w->count));
    for (size_t i = 0; i < n_rest; i++)
        w->count[target[state[rest[i]]]]++;
    for (size_t t = 0; t < w->n_targets; t++) {
        to[t] = w->count[t] == 0 ? NULL : arena_alloc(w->e->a, w->count[t] * sizeof(**to));
        if (to[t] == NULL && w->count[t] > 0)
            return arena_err(w->e->a, err);
    }
    for (size_t i = 0; i < n_rest; i++)
        *to[target[state[rest[i]]]]++ = (uint32_t)line_rank(rows, rest[i]);
    for (unsigned t = 0; t < w->n_targets && r == 0; t++) {
        struct line_rows some = {NULL, w->count[t]};
        if (some.n > 0)
            some.list = to[t] - some.n;
        r = arrive(w, t, some, err);
    }
    return r;
}

/* Those of `rows` whose target is the common one. */
static int take_common(struct walk *w, const uint16_t *target, unsigned common,
                       struct line_rows *rows, struct err *err)
{
    const uint16_t *state = w->e->state;
    struct line_rows some = {NULL, 0};
    uint32_t *list;

    if (common == LINE_NEVER)
        return 0;
    list = list_room(w->e->a, rows->n);
    if (list == NULL)
        return arena_err(w->e->a, err);
    for (size_t i = 0; i < rows->n; i++) {
        list[some.n] = (uint32_t)line_rank(*rows, i);
        some.n += target[state[i]] == common;
    }
    some.list = list;
    *rows = some;
    return 0;
}

/* Send each row to the target of its state.  Most go to the same; when the others are settled as
 * found, they may go on with the rest, which saves a list: found once is found. */
static int part(struct walk *w, const uint16_t *after, struct line_rows rows, struct err *err)
{
    const uint16_t *state = w->e->state;
    uint16_t target[DFA_STATES_MAX];
    uint32_t *rest;
    size_t n_rest = 0;
    bool settled = true;
    unsigned common;
    int r;

    for (size_t s = 0; s < w->e->d->n_states; s++)
        target[s] = (uint16_t)line_graph_target(after, (unsigned)s);
    common = target[state[rows.n / 2]];
    rest = list_room(w->e->a, rows.n);
    if (rest == NULL)
        return arena_err(w->e->a, err);
    for (size_t i = 0; i < rows.n; i++) {
        rest[n_rest] = (uint32_t)i;
        n_rest += target[state[i]] != common;
    }
    if (n_rest == 0)
        return arrive(w, common, rows, err);
    for (size_t i = 0; i < n_rest; i++)
        settled = settled && target[state[rest[i]]] == LINE_ALWAYS;
    r = part_rest(w, target, rows, rest, n_rest, err);
    if (r == 0 && !(settled && common >= LINE_NODE))
        r = take_common(w, target, common, &rows, err);
    return r < 0 ? r : arrive(w, common, rows, err);
}

static bool is_found(const uint64_t *found, size_t rank)
{
    return (found[rank / 64] >> (rank % 64) & 1) != 0;
}

/* Those of `rows` that were found. */
static int list_found(struct walk *w, struct line_rows rows, struct line_rows *ret, struct err *err)
{
    const uint64_t *found = w->e->found;
    size_t words = (w->e->g->t->rows + 63) / 64;
    size_t n = 0;
    uint32_t *list;

    *ret = (struct line_rows){NULL, 0};
    for (size_t i = 0; found != NULL && i < words; i++)
        n += found[i] == 0 ? 0 : (size_t)__builtin_popcountll(found[i]);
    if (n == 0)
        return 0;
    list = list_room(w->e->a, n);
    if (list == NULL)
        return arena_err(w->e->a, err);
    ret->list = list;
    for (size_t i = 0; rows.list != NULL && i < rows.n; i++)
        if (is_found(found, rows.list[i]))
            list[ret->n++] = rows.list[i];
    for (size_t i = 0; rows.list == NULL && i < words; i++)
        for (uint64_t left = found[i]; left != 0; left &= left - 1)
            list[ret->n++] = (uint32_t)(i * 64 + (unsigned)__builtin_ctzll(left));
    return 0;
}

/* All rows have one target, but for those that were found; these may go on with the others: found
 * once is found. */
static int part_settled(struct walk *w, const uint16_t *after, struct line_rows rows,
                        struct err *err)
{
    struct line_rows found = {NULL, 0};
    int r = list_found(w, rows, &found, err);

    if (r == 0)
        r = arrive(w, line_graph_target(after, DFA_MATCH), found, err);
    return r < 0 ? r : arrive(w, line_graph_target(after, w->e->rest), rows, err);
}

static int run_node(struct walk *w, const struct line_node *n, struct line_rows rows,
                    struct err *err)
{
    struct line_eval *e = w->e;
    const struct lines_template *t = e->g->t;
    const struct line_at at = {
        .stamp = &e->g->column[n->slot].stamp,
        .n = t->rows,
        .state = n->state,
        .after = line_graph_after(e->g, n->slot),
        .alone = t->n_slots == 1 && t->piece[0].n == 0 && t->piece[1].n == 0,
    };
    const struct slot_view *v;
    struct str bytes;
    int r;

    e->settled = false;
    r = line_parts_run(e, w->template, n->slot, n->state, rows, err);
    if (r == 1)
        r = line_forms_run(e, w->template, n->slot, n->state, rows, err);
    if (r == 1)
        r = lines_slot_bytes(e->l, w->template, n->slot, &bytes, err);
    else
        return r;
    if (r == 0)
        r = line_find_column(e, &at, bytes, rows, err);
    if (r == 1)
        r = line_digits_run(e, &at, bytes, rows, err);
    if (r == 1)
        r = lines_slot(e->l, w->template, n->slot, &v, err);
    else
        return r;
    return r < 0 ? r : line_column_find(e, v, &at, rows, err);
}

static int do_node(struct walk *w, size_t node, struct err *err)
{
    const struct line_graph *g = w->e->g;
    const struct line_node *n = &g->node.p[node];
    int r = 0;

    for (struct crowd *c = w->crowd[node]; c != NULL && r == 0; c = c->next) {
        r = run_node(w, n, c->rows, err);
        if (r == 0 && w->e->settled)
            r = part_settled(w, line_graph_after(g, n->slot), c->rows, err);
        else if (r == 0)
            r = part(w, line_graph_after(g, n->slot), c->rows, err);
    }
    return r;
}

static int do_slots(struct walk *w, struct err *err)
{
    const struct line_graph *g = w->e->g;
    int r = 0;

    for (size_t k = 0; k < g->t->n_slots && r == 0; k++) {
        bool read = false;
        for (size_t i = 0; i < g->node.n && r == 0; i++)
            if (g->node.p[i].slot == k) {
                read = read || w->crowd[i] != NULL;
                r = do_node(w, i, err);
            }
        w->e->columns += read;
    }
    return r;
}

static int get_room(struct line_eval *e, size_t n, struct err *err)
{
    if (n <= e->cap)
        return 0;
    e->state = arena_alloc(e->a, n * sizeof(*e->state));
    if (e->state == NULL)
        return arena_err(e->a, err);
    e->cap = n;
    return 0;
}

int line_eval_rows(struct line_eval *e, size_t template, unsigned root, struct line_rows rows,
                   struct err *err)
{
    struct walk w = {.e = e, .template = template, .n_targets = LINE_NODE + e->g->node.n};
    int r;

    if (root < LINE_NODE)
        return arrive(&w, root, rows, err);
    r = get_room(e, rows.n, err);
    if (r < 0)
        return r;
    w.crowd = arena_alloc(e->a, e->g->node.n * sizeof(struct crowd *));
    w.count = arena_alloc(e->a, w.n_targets * sizeof(*w.count));
    if (w.crowd == NULL || w.count == NULL)
        return arena_err(e->a, err);
    r = arrive(&w, root, rows, err);
    return r < 0 ? r : do_slots(&w, err);
}
