/*
 * query/query.h over a real store: log and metric queries give what a walk over all records gives.
 *
 * Records, histories and the way to a small counterexample: tests/lib/naive_world.h.  What stream,
 * time and line filters say is computed from the records in memory; what parsers
 * make of a line is asked of a log query, which shows all labels of each entry, and then added up
 * here.  LOGQ_SEEDS=N, LOGQ_SEED=S as in test_scan_naive.c.
 */
#include "query/query.h"

#include "query/units.h"
#include "tests/lib/check.h"
#include "tests/lib/naive_world.h"

#include <math.h>

enum { SEEDS = 16, SHORT_S = 15, STEPS_MAX = 16, GROUP_MAX = 3, FILTERS_MAX = 3 };

enum parser { PARSER_NONE, PARSER_JSON, PARSER_LOGFMT, PARSER_PATTERN };
/* From SUM on of what is unwrapped, from AVG on grouped by the range aggregation itself. */
enum fold {
    FOLD_COUNT,
    FOLD_BYTES,
    FOLD_RATE,
    FOLD_SUM,
    FOLD_MIN,
    FOLD_MAX,
    FOLD_AVG,
    FOLD_STDVAR,
    FOLD_QUANTILE
};
#define PHI 0.7 /* of quantiles; as in metric_text */

/* A label filter behind the parser. */
struct filter {
    struct str name;
    enum { IS_TEXT, IS_NUMBER, IS_DURATION } kind;
    unsigned op; /* of MATCH, or of ORDER */
    struct matcher m;
    double number; /* or ms */
};

struct sample {
    struct str key; /* text of the labels of its series; in the arena */
    ts_ns ts;
    double value;
};

struct ask {
    struct naive_run *r;
    struct naive_step *st;
    uint64_t rng;
    struct arena *arena;
    struct str tenants[2];
    size_t n_tenants;
    struct buf selector; /* text of the query as far as filters */
    struct query_params p;
    enum parser parser;
    struct str pattern; /* of PATTERN */
    enum fold fold;
    bool by_all;
    struct str group[GROUP_MAX]; /* sorted, each once */
    size_t n_group;
    struct filter filter[FILTERS_MAX];
    size_t n_filters;
    bool any; /* one of them is enough */
    dur_ns range;
    struct sample *v; /* owned */
    size_t n;
};

static void selector_add(struct buf *b, const struct naive_select *s)
{
    static const char *const MATCH[] = {"=", "!=", "=~", "!~"};
    static const char *const OP[] = {" |= ", " != ", " |~ ", " !~ "};

    buf_add_z(b, "{app=~\".+\"");
    for (size_t i = 0; i < s->n_m; i++) {
        buf_addf(b, ", %.*s%s", STR_ARG(s->m[i].name), MATCH[s->m[i].op]);
        quote_add(b, s->m[i].value);
    }
    buf_add_char(b, '}');
    for (size_t i = 0; i < s->n_f; i++) {
        for (size_t k = 0; k < s->f[i].n; k++) {
            buf_add_z(b, k == 0 ? OP[s->f[i].op] : " or ");
            quote_add(b, s->f[i].text[k]);
        }
    }
}

static int parse(struct ask *k, struct str text, struct query **ret)
{
    struct err err;

    if (query_parse(text, ret, NULL, NULL, &err) < 0)
        return naive_wrong(k->r, "%.*s: %s", STR_ARG(text), err.text);
    return 0;
}

/* ---- parsers ---- */

/* Some have the form of lines of naive_data.c, some end captures where slots may. */
static const struct str PATTERN[] = {
    STR_INIT("<_> - <app> [<_>] \"<level> <path> <_>\" <code> <n> \"<_>\" \"<_>\""),
    STR_INIT("<user_id> - <app> [<took>] \"<level> /<path>/<ok> HTTP/<_>\" <code> <n> \"<_>"),
    STR_INIT("Accepted password for <user_id> from <path> port <n> <_>"),
    STR_INIT("Accepted password for user<n> from 10.0.<user_id>.<code> port <took> ssh2"),
    STR_INIT("<level> served in <n> ms, id=<user_id>"),
    STR_INIT("<level> served in <took>.<n> ms"),
    STR_INIT("level=<level> n=<n> took=<took> msg=\"<path>\""),
    STR_INIT("<_>n=<n> <level>"),
    STR_INIT("<_>level=<level>"),
    STR_INIT("{\"level\":\"<level>\",\"msg\":\"<path>\",\"n\":<n>,\"took\":<took>,\"ok\":<ok>}"),
    STR_INIT("<_>\"n\":<n>,<path>"),
    STR_INIT("[<_>] <level>: <path> <_>"),
    STR_INIT("[<ok>:<n>:<took>] <level>: <path>"),
    STR_INIT("worker <n>: <user_id>% done (<code>/<ok>)"),
    STR_INIT("Received block <path> of size <n>"),
    STR_INIT("0x<path>: page fault at <user_id>"),
    STR_INIT("<level> <n>"),
    STR_INIT("<level> closed<n>"),
    STR_INIT("<_>e<n>"),
    STR_INIT("<_>0<n>1<level>"),
    STR_INIT("<n>"),
};
enum { CAPTURE_PATTERNS = sizeof(PATTERN) / sizeof(*PATTERN) };

/* Those of lines of few forms, by form. */
enum { FORMS = 6 };
static const struct str FORM_PATTERN[FORMS][2] = {
    {STR_INIT("level=<level> n=<n> took=<took> msg=\"<path>\""), STR_INIT("<_>n=<n> <_>=<code>m")},
    {STR_INIT("<level> served in <n> ms, id=<user_id>"), STR_INIT("<app> served <ok> <n> ")},
    {STR_INIT("<_> - <ok> [<app>] \"<level> <path> HTTP/<env>\" <code> <n> \"<_>"),
     STR_INIT("10.0.0.<user_id> - <level> [<_>] \"<path> <_>\" <code> <n> ")},
    {STR_INIT("{\"level\":\"<level>\",\"msg\":\"<_>\",\"n\":<n>,\"took\":<code>,\"ok\":<ok>}"),
     STR_INIT("<_>msg\":\"<level>\",\"n\":<n>,<env>")},
    {STR_INIT("worker <n>: <user_id>% done (<code>/<ok>)"), STR_INIT("<env> <n>:<_>(<_>/<ok>)")},
    {STR_INIT("[<ok>] <level> served by <env> in <code>ms, <n> of <user_id>"),
     STR_INIT("[<ok>] <env> by <_> in <took>, <n> <_>")},
};

/* The forms of the world's lines; n is 0 for lines of all kinds. */
static struct {
    size_t first, n;
} forms;

static void draw_parser(struct ask *k)
{
    k->parser = forms.n > 0 ? PARSER_PATTERN : (enum parser)naive_below(&k->rng, 4);
    if (forms.n > 0 && naive_below(&k->rng, 4) != 0)
        k->pattern = FORM_PATTERN[(forms.first + naive_below(&k->rng, forms.n)) % FORMS]
                                 [naive_below(&k->rng, 2)];
    else if (k->parser == PARSER_PATTERN)
        k->pattern = PATTERN[naive_below(&k->rng, CAPTURE_PATTERNS)];
}

static void parser_add(const struct ask *k, struct buf *b)
{
    static const char *const STAGE[] = {"", " | json", " | logfmt", " | pattern "};

    buf_add_z(b, STAGE[k->parser]);
    if (k->parser == PARSER_PATTERN)
        quote_add(b, k->pattern);
}

/* ---- log queries ---- */

struct walk {
    struct ask *k;
    size_t *want; /* records, in the order asked for */
    size_t n_want, n;
    bool wrong;
};

static const struct naive_run *sorting; /* for qsort */

static int by_time(const void *a, const void *b)
{
    size_t x = *(const size_t *)a;
    size_t y = *(const size_t *)b;
    ts_ns tx = sorting->w->d.v[x].ts;
    ts_ns ty = sorting->w->d.v[y].ts;

    if (tx != ty)
        return tx < ty ? -1 : 1;
    return (sorting->seq[x] > sorting->seq[y]) - (sorting->seq[x] < sorting->seq[y]);
}

static int check_entry(void *arg, const struct query_entry *e)
{
    struct walk *w = arg;
    const struct naive_run *r = w->k->r;
    bool back = w->k->p.direction == QUERY_BACKWARD;
    size_t i;

    w->wrong = true;
    if (w->n == w->n_want)
        return naive_wrong(w->k->r, "one entry too many");
    i = w->want[back ? w->n_want - 1 - w->n : w->n];
    if (e->ts != r->w->d.v[i].ts || e->seq != r->seq[i] || !str_eq(e->line, r->w->d.v[i].line) ||
        !labels_equal(&e->stream, &r->w->d.stream[r->w->d.v[i].stream]))
        return naive_wrong(w->k->r, "entry %zu is not record #%zu", w->n, i);
    w->wrong = false;
    w->n++;
    return 0;
}

static int ask_log(struct ask *k)
{
    const struct naive_run *r = k->r;
    struct walk w = {.k = k, .want = calloc(r->w->d.n + 1, sizeof(*w.want))};
    struct query *q = NULL;
    struct query_stats stats;
    struct err err;
    size_t due;
    int e = parse(k, buf_str(&k->selector), &q);

    k->p.start = k->st->s.from;
    k->p.end = k->st->s.to;
    k->p.direction = naive_below(&k->rng, 2) == 0 ? QUERY_FORWARD : QUERY_BACKWARD;
    k->p.limit = naive_below(&k->rng, 2) == 0 ? 1 + naive_below(&k->rng, 100) : 0;
    for (size_t i = 0; i < r->w->d.n; i++)
        if (naive_alive(r, i) && naive_selects(&k->st->s, &r->w->d, &r->w->d.v[i]))
            w.want[w.n_want++] = i;
    sorting = r;
    qsort(w.want, w.n_want, sizeof(*w.want), by_time);
    due = k->p.limit != 0 && k->p.limit < w.n_want ? (size_t)k->p.limit : w.n_want;
    if (e == 0 && query_run_log(q, r->s, &k->p, check_entry, &w, &stats, &err) < 0 && !w.wrong)
        e = naive_wrong(k->r, "%.*s: %s", STR_ARG(buf_str(&k->selector)), err.text);
    else if (e == 0 && (w.wrong || w.n != due))
        e = naive_wrong(k->r, "%.*s limit %llu: %zu entries of %zu", STR_ARG(buf_str(&k->selector)),
                        (unsigned long long)k->p.limit, w.n, due);
    query_unref(&q);
    free(w.want);
    return e;
}

/* ---- label filters ---- */

static const char *const ORDER[] = {"==", "!=", ">", ">=", "<", "<="};

static struct str find_label(const struct labels *three, struct str name)
{
    struct str v = STR_NULL;

    for (size_t i = 0; i < 3 && v.p == NULL; i++)
        v = labels_get(&three[i], name);
    return v;
}

static bool in_order(unsigned op, double a, double b)
{
    const bool holds[] = {a == b, a != b, a > b, a >= b, a < b, a <= b};

    return holds[op];
}

/* 1: passes; 0: not; -1: cannot be compared, so it passes and is marked. */
static int judge(const struct filter *f, const struct labels *three)
{
    struct str v = find_label(three, f->name);
    dur_ns d;
    double x;

    if (f->kind == IS_TEXT)
        return matcher_matches(&f->m, v.p == NULL ? STR("") : v);
    if (v.p == NULL)
        return 0;
    if (f->kind == IS_NUMBER)
        return units_parse_float(v, &x) ? in_order(f->op, x, f->number) : -1;
    if (units_parse_go_duration(v, &d, NULL) != UNITS_OK)
        return -1;
    return in_order(f->op, (double)d, f->number * NS_PER_MS);
}

/* As judge: what all filters together come to. */
static int judge_all(const struct ask *k, const struct labels *three)
{
    bool marked = find_label(three, STR("__error__")).n != 0;
    bool failed = false;

    for (size_t i = 0; i < k->n_filters; i++) {
        int v = judge(&k->filter[i], three);
        if (k->any && v != 0)
            return v < 0 || marked ? -1 : 1;
        marked = marked || v < 0;
        failed = failed || v == 0;
    }
    if (failed)
        return 0;
    return marked ? -1 : 1;
}

static void draw_filters(struct ask *k)
{
    static const struct str NAMES[] = {STR_INIT("level"), STR_INIT("n"),
                                       STR_INIT("took"),  STR_INIT("user_id"),
                                       STR_INIT("ok"),    STR_INIT("app"),
                                       STR_INIT("empty"), STR_INIT("path"),
                                       STR_INIT("n"),     STR_INIT("detected_level")};
    static const struct str VALUES[] = {STR_INIT("error"), STR_INIT("info"), STR_INIT("7"),
                                        STR_INIT(""),      STR_INIT("true"), STR_INIT("app-1")};
    static const struct str PATTERNS[] = {STR_INIT("e.*"), STR_INIT(".*[1-3]"), STR_INIT("|info"),
                                          STR_INIT("[0-9]+")};

    k->any = naive_below(&k->rng, 3) == 0;
    k->n_filters = naive_below(&k->rng, FILTERS_MAX + 1);
    for (size_t i = 0; i < k->n_filters; i++) {
        struct filter *f = &k->filter[i];
        struct err err;
        f->name = NAMES[naive_below(&k->rng, 10)];
        f->kind = naive_below(&k->rng, 2) == 0   ? IS_TEXT
                  : str_eq(f->name, STR("took")) ? IS_DURATION
                                                 : IS_NUMBER;
        f->op = (unsigned)naive_below(&k->rng, f->kind == IS_TEXT ? 4 : 6);
        f->number = (double)naive_below(&k->rng, naive_below(&k->rng, 2) == 0 ? 12 : 600);
        if (f->kind == IS_TEXT && matcher_init(&f->m, (enum match_op)f->op, f->name,
                                               f->op < 2 ? VALUES[naive_below(&k->rng, 6)]
                                                         : PATTERNS[naive_below(&k->rng, 4)],
                                               &err) < 0)
            fail_msg("%s", err.text);
    }
}

static void drop_filters(struct ask *k)
{
    for (size_t i = 0; i < k->n_filters; i++)
        if (k->filter[i].kind == IS_TEXT)
            matcher_fini(&k->filter[i].m);
}

static void filters_add(const struct ask *k, struct buf *b)
{
    static const char *const MATCH[] = {"=", "!=", "=~", "!~"};

    for (size_t i = 0; i < k->n_filters; i++) {
        const struct filter *f = &k->filter[i];
        buf_add_z(b, i > 0 && k->any ? " or " : " | ");
        buf_addf(b, "%.*s%s", STR_ARG(f->name), f->kind == IS_TEXT ? MATCH[f->op] : ORDER[f->op]);
        if (f->kind == IS_TEXT)
            quote_add(b, f->m.value);
        else
            buf_addf(b, "%g%s", f->number, f->kind == IS_DURATION ? "ms" : "");
    }
}

/* ---- samples ---- */

static int by_name(const void *a, const void *b)
{
    return str_cmp(((const struct label *)a)->name, ((const struct label *)b)->name);
}

/* Text of the labels of the series that a sample with these three kinds of labels belongs to. */
static struct str key_of(struct ask *k, const struct labels *three)
{
    struct label *v =
        arena_alloc(k->arena, (three[0].n + three[1].n + three[2].n + GROUP_MAX) * sizeof(*v));
    struct labels l = {v, 0};
    struct str key;
    struct buf b;

    for (size_t i = 0; !k->by_all && i < k->n_group; i++) {
        struct str value = find_label(three, k->group[i]);
        if ((k->fold == FOLD_MIN || k->fold == FOLD_MAX) && str_eq(k->group[i], STR("n")))
            continue; /* what is unwrapped is no label that an outer aggregation sees */
        if (value.p != NULL)
            v[l.n++] = (struct label){k->group[i], value};
    }
    for (size_t i = 0; k->by_all && i < 3; i++)
        for (size_t j = 0; j < three[i].n; j++)
            v[l.n++] = three[i].v[j];
    qsort(v, l.n, sizeof(*v), by_name); /* a parsed label may be empty */
    buf_init(&b, 1 << 20);
    labels_format(&b, &l);
    key = arena_str(k->arena, buf_str(&b));
    buf_fini(&b);
    return key;
}

static void add_sample(struct ask *k, const struct labels *three, ts_ns ts, double value)
{
    k->v[k->n++] = (struct sample){key_of(k, three), ts, value};
}

/* Of records: an attribute with the name of a stream label is called otherwise. */
static void sample_records(struct ask *k)
{
    const struct naive_data *d = &k->r->w->d;
    struct naive_select s = k->st->s;

    s.from = INT64_MIN;
    s.to = INT64_MAX;
    for (size_t i = 0; i < d->n; i++) {
        const struct naive_record *rec = &d->v[i];
        struct label v[RECORD_ATTRS_MAX];
        struct labels three[3] = {d->stream[rec->stream], {v, rec->n_attr}, {NULL, 0}};
        if (!naive_alive(k->r, i) || !naive_selects(&s, d, rec))
            continue;
        for (uint32_t a = 0; a < rec->n_attr; a++) {
            v[a] = rec->attr[a];
            if (labels_get(&three[0], v[a].name).p != NULL)
                v[a].name = arena_printf(k->arena, "%.*s_extracted", STR_ARG(v[a].name));
        }
        add_sample(k, three, rec->ts, k->fold == FOLD_BYTES ? (double)rec->line.n : 1);
    }
}

static int sample_entry(void *arg, const struct query_entry *e)
{
    struct ask *k = arg;
    struct labels three[3] = {e->stream, e->meta, e->parsed};
    double value = 1;

    if (judge_all(k, three) != 1)
        return 0;
    if (k->fold >= FOLD_SUM) {
        struct str n = find_label(three, STR("n"));
        if (n.n == 0 || !str_to_f64(n, &value))
            return 0;
    } else if (k->fold == FOLD_BYTES) {
        value = (double)e->line.n;
    }
    add_sample(k, three, e->ts, value);
    return 0;
}

/* Every entry of the selector with its parser, unfiltered. */
static int each_entry(struct ask *k, query_entry_fn *fn)
{
    struct query_params p = k->p;
    struct query_stats stats;
    struct query *q = NULL;
    struct err err;
    struct buf text;
    int e;

    buf_init(&text, 1 << 16);
    buf_add_str(&text, buf_str(&k->selector));
    parser_add(k, &text);
    p.limit = 0;
    e = parse(k, buf_str(&text), &q);
    if (e == 0 && query_run_log(q, k->r->s, &p, fn, k, &stats, &err) < 0)
        e = naive_wrong(k->r, "%.*s: %s", STR_ARG(buf_str(&text)), err.text);
    query_unref(&q);
    buf_fini(&text);
    return e;
}

static int sample_entries(struct ask *k)
{
    struct query_params p = k->p;
    int e;

    k->p.start = 0;
    k->p.end = INT64_MAX;
    e = each_entry(k, sample_entry);
    k->p = p;
    return e;
}

/* ---- log queries with label filters ---- */

static int expect_entry(void *arg, const struct query_entry *e)
{
    struct ask *k = arg;
    struct labels three[3] = {e->stream, e->meta, e->parsed};

    if (judge_all(k, three) != 0)
        k->v[k->n++] = (struct sample){arena_str(k->arena, e->line), e->ts, (double)e->seq};
    return 0;
}

static int check_filtered(void *arg, const struct query_entry *e)
{
    struct walk *w = arg;
    const struct sample *x = &w->k->v[w->n];

    w->wrong =
        w->n == w->k->n || e->ts != x->ts || (double)e->seq != x->value || !str_eq(e->line, x->key);
    if (w->wrong)
        return naive_wrong(w->k->r, "entry %zu of %zu is not the one expected: %.*s", w->n, w->k->n,
                           STR_ARG(e->line));
    w->n++;
    return 0;
}

static int ask_filtered(struct ask *k)
{
    struct walk w = {.k = k};
    struct query *q = NULL;
    struct query_stats stats;
    struct err err;
    struct buf text;
    size_t due;
    int e;

    draw_parser(k);
    draw_filters(k);
    k->p.start = k->st->s.from;
    k->p.end = k->st->s.to;
    k->p.direction = naive_below(&k->rng, 2) == 0 ? QUERY_FORWARD : QUERY_BACKWARD;
    e = each_entry(k, expect_entry);
    k->p.limit = naive_below(&k->rng, 2) == 0 ? 1 + naive_below(&k->rng, 100) : 0;
    due = k->p.limit != 0 && k->p.limit < k->n ? (size_t)k->p.limit : k->n;
    buf_init(&text, 1 << 16);
    buf_add_str(&text, buf_str(&k->selector));
    parser_add(k, &text);
    filters_add(k, &text);
    if (e == 0)
        e = parse(k, buf_str(&text), &q);
    if (e == 0 && query_run_log(q, k->r->s, &k->p, check_filtered, &w, &stats, &err) < 0 &&
        !w.wrong)
        e = naive_wrong(k->r, "%.*s: %s", STR_ARG(buf_str(&text)), err.text);
    else if (e == 0 && (w.wrong || w.n != due))
        e = naive_wrong(k->r, "%.*s limit %llu: %zu entries of %zu", STR_ARG(buf_str(&text)),
                        (unsigned long long)k->p.limit, w.n, due);
    query_unref(&q);
    buf_fini(&text);
    drop_filters(k);
    return e;
}

static int by_key(const void *a, const void *b)
{
    const struct sample *x = a;
    const struct sample *y = b;
    int c = str_cmp(x->key, y->key);

    if (c != 0)
        return c;
    return (x->ts > y->ts) - (x->ts < y->ts);
}

/* ---- metric queries ---- */

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;

    return (x > y) - (x < y);
}

/* Of values that lie within the range; between two of them in proportion. */
static bool fold_quantile(const struct ask *k, size_t from, size_t to, ts_ns at, double *ret)
{
    double *v = calloc(to - from + 1, sizeof(*v));
    size_t n = 0;
    size_t low;
    double rank;

    for (size_t i = from; i < to; i++)
        if (k->v[i].ts > at - k->range && k->v[i].ts <= at)
            v[n++] = k->v[i].value;
    if (n > 0) {
        qsort(v, n, sizeof(*v), by_value);
        rank = PHI * (double)(n - 1);
        low = (size_t)rank;
        *ret = v[low];
        if (low + 1 < n)
            *ret += (v[low + 1] - v[low]) * (rank - (double)low);
    }
    free(v);
    return n > 0;
}

/* The value at `at` of samples [from, to) of one series; false: no point. */
static bool fold(const struct ask *k, size_t from, size_t to, ts_ns at, double *ret)
{
    bool any = false;
    double squares = 0;
    double n = 0;

    if (k->fold == FOLD_QUANTILE)
        return fold_quantile(k, from, to, at, ret);
    *ret = 0;
    for (size_t i = from; i < to; i++) {
        double v = k->v[i].value;
        if (k->v[i].ts <= at - k->range || k->v[i].ts > at)
            continue;
        if (k->fold == FOLD_MIN || k->fold == FOLD_MAX)
            *ret = !any || (k->fold == FOLD_MIN ? v < *ret : v > *ret) ? v : *ret;
        else
            *ret += v;
        any = true;
        n++;
        squares += v * v;
    }
    if (any && k->fold >= FOLD_AVG)
        *ret /= n;
    if (any && k->fold == FOLD_STDVAR)
        *ret = squares / n - *ret * *ret;
    if (k->fold == FOLD_RATE)
        *ret /= (double)k->range / 1e9;
    return any;
}

static bool near(double a, double b)
{
    return fabs(a - b) <= 1e-9 * (fabs(a) + fabs(b)) + 1e-12;
}

static int check_series(struct ask *k, const struct query_series *s, size_t from, size_t to,
                        struct str text)
{
    size_t n = 0;

    for (ts_ns at = k->p.start; at <= k->p.end; at += k->p.step == 0 ? INT64_MAX / 2 : k->p.step) {
        double v;
        if (!fold(k, from, to, at, &v))
            continue;
        if (s == NULL || n == s->n || s->ts[n] != at || !near(s->value[n], v))
            return naive_wrong(k->r, "%.*s: series %.*s at %lld is %g, not %g", STR_ARG(text),
                               STR_ARG(k->v[from].key), (long long)at,
                               s == NULL || n == s->n ? (double)NAN : s->value[n], v);
        n++;
    }
    if (s != NULL && n != s->n)
        return naive_wrong(k->r, "%.*s: series %.*s has %zu points, not %zu", STR_ARG(text),
                           STR_ARG(k->v[from].key), s->n, n);
    return 0;
}

static const struct query_series *find_series(const struct query_result *res, struct str key,
                                              bool *seen)
{
    const struct query_series *found = NULL;
    struct buf b;

    buf_init(&b, 1 << 20);
    for (size_t i = 0; i < res->n && found == NULL; i++) {
        buf_clear(&b);
        labels_format(&b, &res->series[i].labels);
        if (!str_eq(buf_str(&b), key))
            continue;
        found = &res->series[i];
        seen[i] = true;
    }
    buf_fini(&b);
    return found;
}

static int check_result(struct ask *k, const struct query_result *res, struct str text)
{
    bool *seen = calloc(res->n + 1, 1);
    int e = 0;
    size_t to;

    qsort(k->v, k->n, sizeof(*k->v), by_key);
    for (size_t from = 0; e == 0 && from < k->n; from = to) {
        const struct query_series *s = find_series(res, k->v[from].key, seen);
        for (to = from; to < k->n && str_eq(k->v[to].key, k->v[from].key);)
            to++;
        e = check_series(k, s, from, to, text);
    }
    for (size_t i = 0; e == 0 && i < res->n; i++)
        if (!seen[i])
            e = naive_wrong(k->r, "%.*s: series %zu of %zu is one that must not be", STR_ARG(text),
                            i, res->n);
    free(seen);
    return e;
}

static void group_add(const struct ask *k, struct buf *b)
{
    buf_add_z(b, " by (");
    for (size_t i = 0; i < k->n_group; i++)
        buf_addf(b, "%s%.*s", i == 0 ? "" : ", ", STR_ARG(k->group[i]));
    buf_add_char(b, ')');
}

/* min and max of groups are those of their series: one aggregation for both. */
static void metric_text(struct ask *k, struct buf *b)
{
    static const char *const RANGE[] = {
        "count_over_time", "bytes_over_time",  "rate",
        "sum_over_time",   "min_over_time",    "max_over_time",
        "avg_over_time",   "stdvar_over_time", "quantile_over_time"};
    static const char *const OUTER[] = {"sum", "sum", "sum", "sum", "min", "max"};
    bool inner = k->fold >= FOLD_AVG;
    char range[TIME_TEXT_MAX];

    if (!k->by_all && !inner) {
        buf_add_z(b, OUTER[k->fold]);
        group_add(k, b);
        buf_add_char(b, '(');
    }
    buf_addf(b, "%s(%s", RANGE[k->fold], k->fold == FOLD_QUANTILE ? "0.7, " : "");
    buf_add_str(b, buf_str(&k->selector));
    parser_add(k, b);
    filters_add(k, b);
    if (k->fold >= FOLD_SUM)
        buf_add_z(b, " | unwrap n");
    if (k->parser != PARSER_NONE)
        buf_add_z(b, " | __error__=\"\"");
    buf_addf(b, " [%.*s])%s", STR_ARG(dur_format(k->range, range)), k->by_all || inner ? "" : ")");
    if (inner)
        group_add(k, b);
}

static void draw_metric(struct ask *k)
{
    static const struct str NAMES[] = {
        STR_INIT("app"), STR_INIT("code"),  STR_INIT("detected_level"),
        STR_INIT("env"), STR_INIT("level"), STR_INIT("n"),
        STR_INIT("ok"),  STR_INIT("pod"),   STR_INIT("user_id")};
    const struct naive_data *d = &k->r->w->d;
    dur_ns whole = (d->to - d->from) / NS_PER_MS + 1;

    draw_parser(k);
    k->fold = (enum fold)naive_below(&k->rng, k->parser == PARSER_NONE ? 3 : 9);
    if (k->parser != PARSER_NONE)
        draw_filters(k);
    k->by_all = k->fold < FOLD_SUM && naive_below(&k->rng, 6) == 0;
    for (size_t i = 0; i < 9 && k->n_group < GROUP_MAX; i++)
        if (naive_below(&k->rng, k->parser == PARSER_PATTERN ? 2 : 4) == 0)
            k->group[k->n_group++] = NAMES[i];
    k->range = NS_PER_MS * (1 + (dur_ns)naive_below(&k->rng, (size_t)whole));
    if (naive_below(&k->rng, 2) == 0)
        k->range = NS_PER_MIN * (1 + (dur_ns)naive_below(&k->rng, 100));
    k->p.start = d->v[naive_below(&k->rng, d->n)].ts;
    if (naive_below(&k->rng, 2) == 0)
        k->p.start -= k->p.start % NS_PER_MIN;
    k->p.step = naive_below(&k->rng, 2) == 0 ? k->range : k->range / 3 + NS_PER_MS;
    k->p.step -= k->p.step % NS_PER_MS;
    k->p.end = k->p.start + (ts_ns)naive_below(&k->rng, STEPS_MAX) * k->p.step;
    if (k->p.end == k->p.start)
        k->p.step = 0;
}

static int ask_metric(struct ask *k)
{
    struct query_result *res = NULL;
    struct query_stats stats;
    struct query *q = NULL;
    struct buf text;
    struct err err;
    int e = 0;

    buf_init(&text, 1 << 16);
    draw_metric(k);
    metric_text(k, &text);
    if (k->parser == PARSER_NONE)
        sample_records(k);
    else
        e = sample_entries(k);
    if (e == 0)
        e = parse(k, buf_str(&text), &q);
    if (e == 0 && query_run_metric(q, k->r->s, &k->p, &res, &stats, &err) < 0)
        e = naive_wrong(k->r, "%.*s: %s", STR_ARG(buf_str(&text)), err.text);
    if (e == 0)
        e = check_result(k, res, buf_str(&text));
    query_result_free(&res);
    query_unref(&q);
    buf_fini(&text);
    drop_filters(k);
    return e;
}

static int ask(struct naive_run *r, struct naive_step *st)
{
    struct ask k = {.r = r, .st = st, .rng = st->seed | 1, .arena = arena_new(NULL, 0)};
    int e;

    for (unsigned t = 0; t < 2; t++)
        if ((st->s.tenants >> t & 1) != 0)
            k.tenants[k.n_tenants++] = *naive_tenant(t);
    k.p = (struct query_params){.tenants = k.tenants,
                                .n_tenants = k.n_tenants,
                                .direction = QUERY_FORWARD,
                                .limits = {.memory_bytes = (size_t)1 << 30, .series = 1 << 20}};
    buf_init(&k.selector, 1 << 16);
    selector_add(&k.selector, &st->s);
    k.v = calloc(r->w->d.n + 1, sizeof(*k.v));
    switch (naive_below(&k.rng, 6)) {
    case 0:
        e = ask_log(&k);
        break;
    case 1:
        e = ask_filtered(&k);
        break;
    default:
        e = ask_metric(&k);
        break;
    }
    free(k.v);
    buf_fini(&k.selector);
    arena_free(&k.arena);
    return e;
}

static uint64_t number_of(const char *variable, uint64_t otherwise)
{
    const char *z = getenv(variable);
    uint64_t n = otherwise;

    if (z != NULL && !str_to_u64(str_of(z), &n))
        fail_msg("%s=%s is no number", variable, z);
    return n;
}

/* ---- lines of few forms ---- */

/* Most blocks of these have templates, and most captures of them are slots or always the same. */
static struct str few_line(struct arena *a, size_t form, uint64_t *rng)
{
    static const char *const LEVEL[] = {"info", "error", "warn", "", "debug"};
    static const char *const WORD[] = {"a", "e1", "path", "7", "-", "by", "zeta"};
    const char *level = LEVEL[naive_below(rng, 5)];
    const char *word = WORD[naive_below(rng, 7)];
    unsigned n = (unsigned)naive_below(rng, naive_below(rng, 20) == 0 ? 1000000 : 40);
    unsigned m = (unsigned)naive_below(rng, 300);

    switch (form) {
    case 0:
        return arena_printf(a, "level=%s n=%u took=%ums msg=\"%s\"", level, n, m, word);
    case 1:
        return arena_printf(a, "%s served in %u ms, id=%u", level, n, m);
    case 2:
        return arena_printf(a, "10.0.0.%u - %s [today] \"%s /%s/%u HTTP/1.1\" %u %u \"-\" \"-\"",
                            m % 9, m % 2 == 0 ? "-" : "bob", m % 3 == 0 ? "GET" : "POST", word,
                            m % 7, m % 5 == 0 ? 404u : 200u, n);
    case 3:
        return arena_printf(a, "{\"level\":\"%s\",\"msg\":\"%s\",\"n\":%u,\"took\":%u,\"ok\":true}",
                            level, word, n, m);
    case 4:
        return arena_printf(a, "worker %u: %u%% done (%u/100)", n % 8, m / 3, m);
    default:
        return arena_printf(a, "[true] %s served by %s in %ums, %u of 40", level, word, m, n);
    }
}

/* Sets `forms`. */
static const struct str *few_lines(struct arena *a, uint64_t seed, size_t n)
{
    struct str *line = arena_alloc(a, n * sizeof(*line));
    uint64_t rng = seed * 0x9e3779b97f4a7c15u + 88172645463325252u;

    forms.first = naive_below(&rng, FORMS);
    forms.n = 1 + naive_below(&rng, 3);
    for (size_t i = 0; i < n; i++)
        line[i] = few_line(a, (forms.first + naive_below(&rng, forms.n)) % FORMS, &rng);
    return line;
}

static void captures_are_counted_as_a_walk_over_all_records_counts_them(void **state)
{
    enum { LINES = 1500, WORLDS = 6 };
    uint64_t first = number_of("LOGQ_SEED", 1);
    uint64_t seeds = number_of("LOGQ_SEEDS", getenv("LOGQ_SEED") != NULL ? 1 : 0);
    dur_ns end = time_mono() + SHORT_S * NS_PER_S;
    unsigned failed = 0;
    uint64_t done = 0;
    (void)state;

    naive_off_disk();
    while (seeds != 0 ? done < seeds : done < WORLDS && (done < 3 || time_mono() < end)) {
        struct arena *a = arena_new(NULL, 0);
        struct naive_plan plan = {.records = LINES,
                                  .asks = 80,
                                  .text = few_lines(a, first + done, LINES),
                                  .n_text = LINES};
        failed += naive_check(first + done, &plan, ask) ? 0 : 1;
        done++;
        arena_free(&a);
    }
    forms.n = 0;
    print_message("%llu worlds of few forms\n", (unsigned long long)done);
    if (failed != 0)
        fail_msg("%u worlds failed", failed);
}

static void queries_give_what_a_walk_over_all_records_gives(void **state)
{
    static const size_t N[] = {12, 1500, 60, 600, 200, 1200, 400, 900};
    uint64_t first = number_of("LOGQ_SEED", 1);
    uint64_t seeds = number_of("LOGQ_SEEDS", getenv("LOGQ_SEED") != NULL ? 1 : 0);
    dur_ns end = time_mono() + SHORT_S * NS_PER_S;
    unsigned failed = 0;
    uint64_t done = 0;
    (void)state;

    naive_off_disk();
    for (; seeds != 0 ? done < seeds : done < SEEDS && (done < 8 || time_mono() < end); done++) {
        struct naive_plan plan = {.records = N[(first + done) % 8], .asks = 80};
        failed += naive_check(first + done, &plan, ask) ? 0 : 1;
        if (seeds == 0 && failed != 0)
            break;
    }
    print_message("%llu worlds\n", (unsigned long long)done);
    if (failed != 0)
        fail_msg("%u worlds failed", failed);
}

CHECK_MAIN(cmocka_unit_test(captures_are_counted_as_a_walk_over_all_records_counts_them),
           cmocka_unit_test(queries_give_what_a_walk_over_all_records_gives))
