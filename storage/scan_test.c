/*
 * storage/scan_test.c - conditions on labels, see scan_test in scan.h.
 *
 * Each test is put to each value once: to a constant, to the entries of a dictionary, to whole
 * numbers by comparing, else value by value.  A row goes when for one condition all tests fail; it
 * is marked unsure when for one of them this cannot be told, or when somebody may want to say why.
 */
#include "storage/scan_label.h"

#include <string.h>

enum { NUMBERS_MAX = 1 << 16 }; /* whole numbers that get a table of verdicts */

/* What the tests of a condition made of rows, by place in the layout. */
struct verdicts {
    uint64_t *passes, *unsure;
};

static enum scan_verdict judge(const struct scan_test *t, enum scan_text how, struct str text)
{
    struct str value;

    return scan_label_value(how, text, &value) ? t->judge(t->arg, value) : SCAN_UNSURE;
}

static enum scan_verdict judge_absent(const struct scan_test *t)
{
    return t->judge(t->arg, STR_NULL);
}

static bool number_passes(const struct scan_test *t, uint64_t v)
{
    double x = (double)v;

    return x < t->number ? t->below : x == t->number ? t->at : x > t->number && t->above;
}

/* ---- plans ---- */

/* What the stamp says of all values of a column. */
static enum scan_verdict judge_stamp(const struct scan_test *t, enum scan_text how,
                                     const struct slot_stamp *s)
{
    double min = (double)s->min;
    double max = (double)s->max;

    if (s->kind == SLOT_CONST)
        return judge(t, how, s->constant);
    if (s->kind != SLOT_INT || !t->is_order)
        return SCAN_UNSURE;
    if (max < t->number || min > t->number || min == max)
        return number_passes(t, s->min) ? SCAN_PASSES : SCAN_FAILS;
    return SCAN_UNSURE;
}

/* The streams of the block that have the label; FAILS and PASSES when all of them agree. */
static enum scan_verdict judge_streams(const struct scan_block *b, const struct scan_test *t)
{
    const struct scan_candidate *c = b->candidate;
    enum scan_verdict all = SCAN_UNSURE;
    bool first = true;

    for (uint32_t i = c->block.first_stream; i <= c->block.last_stream; i++) {
        uint32_t at = c->segment->stream[i];
        struct str value = STR_NULL;
        enum scan_verdict v;
        if (at == UINT32_MAX)
            continue;
        value = labels_get(&c->part->streams[at].labels, t->label);
        v = value.p == NULL ? SCAN_UNSURE : t->judge(t->arg, value);
        if (v == SCAN_UNSURE || (!first && v != all))
            return SCAN_UNSURE;
        all = v;
        first = false;
    }
    return all;
}

static enum scan_verdict judge_stretch(const struct scan_block *b, const struct scan_test *t,
                                       const struct scan_stretch *s)
{
    switch (s->kind) {
    case STRETCH_ABSENT:
        return judge_absent(t);
    case STRETCH_COLUMN:
        return judge_stamp(t, s->text, scan_label_stamp(b, s));
    case STRETCH_CONST:
        return judge(t, s->text, s->constant);
    case STRETCH_UNKNOWN:
        break;
    }
    return SCAN_UNSURE;
}

/* Do all rows fail the test, whatever is in the columns? */
static int fails_by_plan(struct scan_block *b, const struct scan_test *t, bool *ret,
                         struct err *err)
{
    struct scan_label l;
    int r = scan_label_open(b, t->label, t->parser, &l, err);

    if (r < 0)
        return r;
    *ret = true;
    if (l.in_streams) {
        *ret = judge_streams(b, t) == SCAN_FAILS;
        return 0;
    }
    for (size_t i = 0; *ret && i < l.n; i++)
        *ret = judge_stretch(b, t, &l.stretch[i]) == SCAN_FAILS;
    return 0;
}

int scan_test_plan(struct scan_selection *s, bool *ret, struct err *err)
{
    const struct scan_request *req = &s->block.sc->req;
    int r = req->n_conditions == 0 ? 0 : scan_block_plans(&s->block, err);

    *ret = true;
    for (size_t i = 0; r == 0 && *ret && i < req->n_conditions; i++) {
        const struct scan_condition *c = &req->conditions[i];
        bool fails = true;
        for (size_t k = 0; r == 0 && fails && k < c->n; k++)
            r = fails_by_plan(&s->block, &c->test[k], &fails, err);
        *ret = !fails;
    }
    return r;
}

/* ---- rows ---- */

/* One stretch under one test. */
struct walk {
    struct scan_selection *s;
    const struct scan_test *test;
    const struct scan_stretch *stretch;
    struct verdicts *v;
    const uint64_t *only; /* NULL: all selected rows, else these of them */
    const uint32_t *rows; /* of the stretch; NULL: row i is i */
    size_t n;
};

static bool is_meant(const struct walk *w, size_t row)
{
    const uint64_t *m = w->only != NULL ? w->only : w->s->bits;

    return (m[row / 64] >> (row % 64) & 1) != 0;
}

static void put(const struct walk *w, size_t i, enum scan_verdict v)
{
    size_t row = w->rows == NULL ? i : w->rows[i];

    w->v->passes[row / 64] |= (uint64_t)(v == SCAN_PASSES) << (row % 64);
    w->v->unsure[row / 64] |= (uint64_t)(v == SCAN_UNSURE) << (row % 64);
}

/* What is said of rows that are not meant is masked off at the end. */
static void put_all(const struct walk *w, enum scan_verdict v)
{
    for (size_t i = 0; v != SCAN_FAILS && i < w->n; i++)
        put(w, i, v);
}

static int put_entries(const struct walk *w, const struct slot_view *v, struct err *err)
{
    uint8_t *of = arena_alloc(w->s->block.arena, v->n_entries + 1);

    if (of == NULL)
        return arena_err(w->s->block.arena, err);
    for (size_t i = 0; i < v->n_entries; i++)
        of[i] = (uint8_t)judge(w->test, w->stretch->text, v->entry[i]);
    for (size_t i = 0; i < w->n; i++)
        put(w, i, (enum scan_verdict)of[v->id[i]]);
    return 0;
}

static void put_numbers(const struct walk *w, const struct slot_view *v)
{
    for (size_t i = 0; i < w->n; i++)
        put(w, i, number_passes(w->test, v->number[i]) ? SCAN_PASSES : SCAN_FAILS);
}

/* Numbers that are not far apart: each once, when it comes. */
static int put_near(const struct walk *w, const struct slot_view *v, struct err *err)
{
    const struct slot_stamp *s = scan_label_stamp(&w->s->block, w->stretch);
    uint8_t *of = arena_alloc(w->s->block.arena, (size_t)(s->max - s->min) + 1);

    if (of == NULL)
        return arena_err(w->s->block.arena, err);
    for (size_t i = 0; i < w->n; i++) {
        size_t at = (size_t)(v->number[i] - s->min);
        char room[SLOT_ROOM];
        if (at > s->max - s->min)
            return err_set(err, ERR_CORRUPT, "lines: a number outside of its stamp");
        if (of[at] == 0)
            of[at] = (uint8_t)(1 + judge(w->test, w->stretch->text, slot_value(v, i, room)));
        put(w, i, (enum scan_verdict)(of[at] - 1));
    }
    return 0;
}

static void put_each(const struct walk *w, const struct slot_view *v)
{
    for (size_t i = 0; i < w->n; i++) {
        char room[SLOT_ROOM];
        if (is_meant(w, w->rows == NULL ? i : w->rows[i]))
            put(w, i, judge(w->test, w->stretch->text, slot_value(v, i, room)));
    }
}

static int put_column(const struct walk *w, struct err *err)
{
    const struct slot_stamp *s = scan_label_stamp(&w->s->block, w->stretch);
    const struct slot_view *v = NULL;
    int r = scan_label_column(&w->s->block, w->stretch, &v, err);

    if (r < 0)
        return r;
    switch (v->kind) {
    case SLOT_VIEW_CONST:
        put_all(w, judge(w->test, w->stretch->text, v->constant));
        break;
    case SLOT_VIEW_DICT:
        return put_entries(w, v, err);
    case SLOT_VIEW_INT:
        if (w->test->is_order)
            put_numbers(w, v);
        else if (s->kind == SLOT_INT && s->max >= s->min && s->max - s->min < NUMBERS_MAX)
            return put_near(w, v, err);
        else
            put_each(w, v);
        break;
    case SLOT_VIEW_TEXT:
        put_each(w, v);
        break;
    }
    return 0;
}

/* Lines of which only some may have the label. */
static int put_suspects(const struct walk *w, struct err *err)
{
    enum scan_verdict absent = judge_absent(w->test);
    const uint64_t *suspect = NULL;
    int r = scan_label_suspects(&w->s->block, w->test->parser, w->stretch->template, &suspect, err);

    for (size_t i = 0; r == 0 && i < w->n; i++)
        put(w, i, (suspect[i / 64] >> (i % 64) & 1) != 0 ? SCAN_UNSURE : absent);
    return r;
}

static int walk_stretch(struct walk *w, struct err *err)
{
    enum scan_verdict v = judge_stretch(&w->s->block, w->test, w->stretch);
    int r;

    if (v == SCAN_FAILS)
        return 0;
    r = scan_label_rows(&w->s->block, w->stretch, &w->rows, &w->n, err);
    if (r < 0)
        return r;
    if (v == SCAN_UNSURE && w->stretch->kind == STRETCH_COLUMN)
        return put_column(w, err);
    if (v == SCAN_UNSURE && w->stretch->in_some)
        return put_suspects(w, err);
    put_all(w, v);
    return 0;
}

static void fill(const struct scan_selection *s, struct verdicts *v, enum scan_verdict of)
{
    if (of == SCAN_PASSES)
        memset(v->passes, 0xff, s->words * sizeof(*v->passes));
    else if (of == SCAN_UNSURE)
        memset(v->unsure, 0xff, s->words * sizeof(*v->unsure));
}

/* The verdicts of one side of the label's stretches are added where `only` says. */
static int walk_side(struct walk *w, const struct scan_label *l, bool of_attrs,
                     struct verdicts *sum, struct err *err)
{
    size_t words = w->s->words;
    int r = 0;

    memset(w->v->passes, 0, words * sizeof(*w->v->passes));
    memset(w->v->unsure, 0, words * sizeof(*w->v->unsure));
    for (size_t i = 0; r == 0 && i < l->n; i++) {
        w->stretch = &l->stretch[i];
        if (w->stretch->of_attrs == of_attrs)
            r = walk_stretch(w, err);
    }
    for (size_t i = 0; i < words; i++) {
        uint64_t meant = w->only != NULL ? w->only[i] : w->s->bits[i];
        sum->passes[i] |= w->v->passes[i] & meant;
        sum->unsure[i] |= w->v->unsure[i] & meant;
    }
    return r;
}

static int make_verdicts(struct scan_selection *s, struct verdicts *ret, struct err *err)
{
    ret->passes = arena_alloc(s->block.arena, s->words * sizeof(*ret->passes));
    ret->unsure = arena_alloc(s->block.arena, s->words * sizeof(*ret->unsure));
    return ret->passes == NULL || ret->unsure == NULL ? arena_err(s->block.arena, err) : 0;
}

static int test_rows(struct scan_selection *s, const struct scan_test *t, struct verdicts *sum,
                     struct verdicts *scratch, struct err *err)
{
    struct walk w = {.s = s, .test = t, .v = scratch};
    uint64_t *rest = NULL;
    struct scan_label l;
    int r = scan_label_open(&s->block, t->label, t->parser, &l, err);

    if (r == 0 && l.in_streams) {
        fill(s, sum, judge_streams(&s->block, t));
        return 0;
    }
    if (r == 0 && l.in_attrs)
        r = scan_label_rest(s, &l, &rest, err);
    if (r == 0 && l.in_attrs)
        r = walk_side(&w, &l, true, sum, err);
    w.only = rest;
    return r < 0 ? r : walk_side(&w, &l, false, sum, err);
}

/* Take out the rows for which nothing passes, and note those of which this is not known. */
static int settle(struct scan_selection *s, const struct verdicts *v, struct err *err)
{
    uint64_t any = 0;

    s->n = 0;
    for (size_t i = 0; i < s->words; i++) {
        s->bits[i] &= v->passes[i] | v->unsure[i];
        s->n += (size_t)__builtin_popcountll(s->bits[i]);
        any |= s->bits[i] & v->unsure[i];
    }
    if (any == 0)
        return 0;
    if (s->unsure == NULL)
        s->unsure = arena_alloc(s->block.arena, s->words * sizeof(*s->unsure));
    if (s->unsure == NULL)
        return arena_err(s->block.arena, err);
    for (size_t i = 0; i < s->words; i++)
        s->unsure[i] |= v->unsure[i];
    return 0;
}

int scan_test_rows(struct scan_selection *s, struct err *err)
{
    const struct scan_request *req = &s->block.sc->req;
    struct verdicts sum = {NULL, NULL};
    struct verdicts scratch = {NULL, NULL};
    int r = req->n_conditions == 0 ? 0 : scan_select_bits(s, err);

    if (r == 0 && req->n_conditions > 0)
        r = make_verdicts(s, &sum, err);
    if (r == 0 && req->n_conditions > 0)
        r = make_verdicts(s, &scratch, err);
    for (size_t i = 0; r == 0 && s->n > 0 && i < req->n_conditions; i++) {
        const struct scan_condition *c = &req->conditions[i];
        memset(sum.passes, 0, s->words * sizeof(*sum.passes));
        memset(sum.unsure, 0, s->words * sizeof(*sum.unsure));
        for (size_t k = 0; r == 0 && k < c->n; k++)
            r = test_rows(s, &c->test[k], &sum, &scratch, err);
        if (r == 0)
            r = settle(s, &sum, err);
    }
    return r;
}
