/*
 * storage/line_match.c - see line_match.h.
 *
 * What has no automaton may still have text that each match must contain: then the automaton looks
 * for that text, and what it finds is asked of base/regexp.
 */
#include "storage/line_match.h"

#include "base/obj.h"
#include "base/regexp.h"
#include "storage/find.h"
#include "storage/line_eval.h"
#include "storage/line_quick.h"

enum {
    TEXT_SHARE = 4, /* write out the whole text when one row in so many is asked for */
    ROWS_SHARE = 8, /* look at all rows when one in so many is selected */
};

struct line_match {
    unsigned magic;
#define LINE_MATCH_MAGIC 0x11a7c4e5u
    const struct scan_filter *f; /* borrowed */
    bool negative;               /* rows pass in which nothing is found */
    struct dfa *d;               /* owned; NULL: every line is asked about */
    bool asks;                   /* what `d` finds is only worth asking about */
    struct line_needle needle;   /* of d */
    struct line_eats eats;       /* of d */
    struct line_quick quick;     /* of d */
    struct find *find;           /* of literals, [f->n]; owned; NULL for patterns */
};

/* ---- new, free ---- */

/* An automaton for the text that matches of each pattern must contain. */
static int require(struct line_match *m, struct err *err)
{
    struct scan_filter literals = {.op = SCAN_CONTAINS, .n = m->f->n};
    struct str *text;
    int r = 1;

    if (m->find != NULL)
        return 1;
    text = mem_new(m->f->n * sizeof(*text) + 1);
    literals.text = text;
    for (size_t i = 0; i < m->f->n; i++) {
        text[i] = regexp_required(m->f->re[i]);
        if (text[i].n == 0)
            break;
        r = i + 1 == m->f->n ? 0 : 1;
    }
    if (r == 0)
        r = dfa_new(&literals, &m->d, err);
    m->asks = true;
    free(text);
    return r;
}

int line_match_new(const struct scan_filter *f, struct line_match **ret, struct err *err)
{
    struct line_match *m = mem_new(sizeof(*m));
    int r;

    m->magic = LINE_MATCH_MAGIC;
    m->f = f;
    m->negative = f->op == SCAN_CONTAINS_NOT || f->op == SCAN_MATCHES_NOT;
    if (f->op == SCAN_CONTAINS || f->op == SCAN_CONTAINS_NOT) {
        m->find = mem_new(f->n * sizeof(*m->find) + 1);
        for (size_t i = 0; i < f->n; i++)
            find_init(&m->find[i], f->text[i]);
    }
    r = dfa_new(f, &m->d, err);
    if (r == 1)
        r = require(m, err);
    if (r < 0) {
        line_match_free(&m);
        return r;
    }
    if (m->d != NULL) {
        line_needle_init(&m->needle, m->d);
        line_eats_init(&m->eats, m->d);
        line_quick_init(&m->quick, m->d, &m->needle);
    }
    *ret = m;
    return 0;
}

void line_match_free(struct line_match **pm)
{
    struct line_match *m = *pm;

    if (m == NULL)
        return;
    OBJ_CHECK(m, LINE_MATCH_MAGIC);
    m->magic = 0;
    dfa_free(&m->d);
    free(m->find);
    free(m);
    *pm = NULL;
}

/* ---- one line ---- */

static bool ask(const struct line_match *m, struct str line)
{
    for (size_t i = 0; i < m->f->n; i++)
        if (m->find != NULL ? find_next(&m->find[i], line, 0) != SIZE_MAX
                            : regexp_matches(m->f->re[i], line))
            return true;
    return false;
}

static bool is_in(const struct line_match *m, struct str line)
{
    unsigned s;

    if (m->d == NULL || m->find != NULL)
        return ask(m, line);
    s = dfa_end(m->d, dfa_run(m->d, DFA_FIRST, line));
    if (s == DFA_UNKNOWN || (s == DFA_MATCH && m->asks))
        return ask(m, line);
    return s == DFA_MATCH;
}

bool line_match_line(const struct line_match *m, struct str line)
{
    OBJ_CHECK(m, LINE_MATCH_MAGIC);
    return is_in(m, line) != m->negative;
}

/* ---- a plan ---- */

/* What surely decides the other way: rows that are never found when the filter is positive. */
static bool may_pass(const struct line_match *m, unsigned root)
{
    if (m->negative)
        return root != LINE_ALWAYS || m->asks;
    return root != LINE_NEVER;
}

/* The first template from `from` on that is not settled in passing. */
static size_t skip_never(const struct line_match *m, const struct lines_plan *plan, size_t from)
{
    while (from < plan->n_templates && line_quick_never(&m->quick, plan, from))
        from++;
    return from;
}

static bool look_closely(const struct line_match *m, const struct lines_plan *plan, size_t from,
                         bool quick)
{
    struct arena *a = arena_new(NULL, 0);
    struct line_graph g;
    struct err err;
    bool may = line_graph_init(&g, m->d, &m->eats, a, &err) < 0;

    for (size_t t = from; t < plan->n_templates && !may; t++) {
        unsigned root;
        if (quick && line_quick_never(&m->quick, plan, t))
            continue;
        may = line_graph_make(&g, plan, t, &root, &err) < 0 || may_pass(m, root);
    }
    line_graph_fini(&g);
    arena_free(&a);
    return may;
}

bool line_match_plan(const struct line_match *m, const struct lines_plan *plan)
{
    bool quick;
    size_t from;

    OBJ_CHECK(m, LINE_MATCH_MAGIC);
    if (m->d == NULL)
        return true;
    quick = !m->negative && line_quick_begin(&m->quick, plan);
    from = quick ? skip_never(m, plan, 0) : 0;
    return from < plan->n_templates && look_closely(m, plan, from, quick);
}

/* ---- a block ---- */

struct judge {
    const struct line_match *m;
    struct lines *l;
    const struct lines_plan *plan;
    const uint64_t *selected;
    bool quick; /* line_quick_never may be asked */
    bool all;   /* are selected, or so many that all are looked at */
    struct arena *a;
    struct line_match_stats *stats;
    struct line_graph g;
    struct line_eval e;
};

static size_t count_bits(const uint64_t *bits, size_t n)
{
    size_t count = 0;

    for (size_t i = 0; i < (n + 63) / 64; i++)
        count += (size_t)__builtin_popcountll(bits[i]);
    return count;
}

static bool has(const uint64_t *bits, size_t i)
{
    return (bits[i / 64] >> (i % 64) & 1) != 0;
}

/* The selected rows of a template. */
static int select_rows(struct judge *j, size_t template, struct line_rows *ret, struct err *err)
{
    size_t n = j->plan->template[template].rows;
    const uint32_t *row;
    uint32_t *list;
    int r;

    *ret = (struct line_rows){NULL, n};
    if (j->all)
        return 0;
    r = lines_rows(j->l, template, &row, err);
    if (r < 0)
        return r;
    list = arena_alloc(j->a, n * sizeof(*list) + 1);
    if (list == NULL)
        return arena_err(j->a, err);
    ret->n = 0;
    for (size_t i = 0; i < n; i++)
        if (has(j->selected, row == NULL ? i : row[i]))
            list[ret->n++] = (uint32_t)i;
    ret->list = list;
    return 0;
}

static int do_template(struct judge *j, size_t template, struct err *err)
{
    struct line_rows rows;
    unsigned root = LINE_NEVER;
    int r = 0;

    if (!j->quick || !line_quick_never(&j->m->quick, j->plan, template))
        r = line_graph_make(&j->g, j->plan, template, &root, err);
    if (r < 0)
        return r;
    j->stats->templates++;
    j->stats->never += root == LINE_NEVER;
    j->stats->always += root == LINE_ALWAYS;
    if (root == LINE_NEVER)
        return 0;
    r = select_rows(j, template, &rows, err);
    if (r == 0 && rows.n > 0)
        r = line_eval_rows(&j->e, template, root, rows, err);
    return r;
}

/* Ask about the lines in `asks`; what is found goes to `hits`. */
static int ask_rows(struct judge *j, const uint64_t *asks, uint64_t *hits, struct err *err)
{
    size_t words = (j->plan->rows + 63) / 64;
    size_t n = count_bits(asks, j->plan->rows);
    const uint32_t *end = NULL;
    struct str text = STR_NULL;
    struct arena *room;
    int r = 0;

    if (n == 0)
        return 0;
    room = arena_new(NULL, 0);
    j->stats->rendered += n;
    if (n >= j->plan->rows / TEXT_SHARE)
        r = lines_text(j->l, &text, &end, err);
    for (size_t w = 0; w < words && r == 0; w++)
        for (uint64_t left = asks[w]; left != 0 && r == 0; left &= left - 1) {
            size_t row = w * 64 + (unsigned)__builtin_ctzll(left);
            uint32_t from = end == NULL || row == 0 ? 0 : end[row - 1];
            struct str line = end == NULL ? STR_NULL : str_sub(text, from, end[row] - from);
            if (end == NULL) {
                arena_reset(room);
                r = lines_render(j->l, row, room, &line, err);
            }
            if (r == 0 && ask(j->m, line))
                hits[w] |= left & -left;
        }
    arena_free(&room);
    return r;
}

static int judge_templates(struct judge *j, struct err *err)
{
    const struct line_match *m = j->m;
    size_t words = (j->plan->rows + 63) / 64;
    int r = line_graph_init(&j->g, m->d, &m->eats, j->a, err);

    if (r == 0)
        r = line_eval_init(&j->e, &j->g, &m->needle, j->l, err);
    j->quick = line_quick_begin(&m->quick, j->plan);
    for (size_t t = 0; t < j->plan->n_templates && r == 0; t++)
        r = do_template(j, t, err);
    j->stats->columns += j->e.columns;
    line_graph_fini(&j->g);
    if (r == 0 && m->asks) {
        for (size_t w = 0; w < words; w++)
            j->e.asks[w] |= j->e.hits[w];
        memset(j->e.hits, 0, words * sizeof(*j->e.hits));
    }
    for (size_t w = 0; w < words && r == 0; w++)
        j->e.asks[w] &= j->selected[w] & ~j->e.hits[w];
    return r < 0 ? r : ask_rows(j, j->e.asks, j->e.hits, err);
}

int line_match_block(const struct line_match *m, struct lines *l, uint64_t *selected,
                     struct arena *a, struct line_match_stats *stats, struct err *err)
{
    const struct lines_plan *plan = lines_plan_of(l);
    struct judge j = {.m = m, .l = l, .plan = plan, .selected = selected, .a = a, .stats = stats};
    size_t words = (plan->rows + 63) / 64;
    size_t n = count_bits(selected, plan->rows);
    uint64_t *hits;
    int r;

    OBJ_CHECK(m, LINE_MATCH_MAGIC);
    if (n == 0)
        return 0;
    j.all = n >= plan->rows / ROWS_SHARE;
    if (m->d == NULL) {
        hits = arena_alloc(a, words * sizeof(*hits));
        if (hits == NULL)
            return arena_err(a, err);
        r = ask_rows(&j, selected, hits, err);
    } else {
        r = judge_templates(&j, err);
        hits = j.e.hits;
    }
    for (size_t w = 0; w < words && r == 0; w++)
        selected[w] &= m->negative ? ~hits[w] : hits[w];
    return r;
}
